# SPDX-License-Identifier: Apache-2.0
"""Searching parameters two at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest

from alphapose_ros.train.pair_search import search_pairs

FACTORS = (0.5, 0.8, 1.25, 2.0)


def valley(values: Mapping[str, float]) -> float:
    """Highest at a = 4, b = 1 / a; along a alone and b alone the start is a local best."""
    along, across = math.log2(values["a"] / 4), math.log2(values["a"] * values["b"])
    return -(along**2) - 100 * across**2


def test_two_at_a_time_find_what_one_at_a_time_cannot() -> None:
    start = {"a": 1.0, "b": 1.0}
    pair = search_pairs(start, [("a", "b")], FACTORS, valley, rounds=5)
    assert pair.values == {"a": 4.0, "b": 0.25}
    assert pair.score == pytest.approx(0)
    alone = search_pairs(start, [("a", "a"), ("b", "b")], FACTORS, valley, rounds=5)
    assert alone.values == start
    assert start == {"a": 1.0, "b": 1.0}  # its arguments are not touched


def test_it_equals_an_exhaustive_search_of_one_round() -> None:
    def score(values: Mapping[str, float]) -> float:
        return -abs(values["a"] - 1.9) - abs(values["b"] - 0.6)

    found = search_pairs({"a": 1.0, "b": 1.0}, [("a", "b")], FACTORS, score, rounds=1)
    grid = [(a, b) for a in (1.0, *FACTORS) for b in (1.0, *FACTORS)]
    best = max(grid, key=lambda ab: score({"a": ab[0], "b": ab[1]}))
    assert (found.values["a"], found.values["b"]) == best
    assert (found.tried, found.rounds) == (25, 1)


def test_the_score_never_falls_and_stays_where_nothing_is_gained() -> None:
    flat = search_pairs({"a": 3.0, "b": 2.0}, [("a", "b")], FACTORS, lambda _: 0.5)
    assert flat.values == {"a": 3.0, "b": 2.0}
    assert (flat.score, flat.start, flat.rounds) == (0.5, 0.5, 1)


def test_values_stay_within_their_limits() -> None:
    found = search_pairs(
        {"a": 1.0, "b": 1.0}, [("a", "b")], FACTORS, lambda v: v["a"] - v["b"],
        rounds=9, limits={"a": (0.0, 3.0), "b": (0.2, 9.0)},
    )  # fmt: skip
    assert found.values == {"a": 3.0, "b": 0.2}


def test_nothing_known_is_no_gain() -> None:
    found = search_pairs({"a": 1.0}, [("a", "a")], FACTORS, lambda _: math.nan)
    assert found.values == {"a": 1.0}
