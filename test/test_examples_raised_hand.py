# SPDX-License-Identifier: Apache-2.0
"""Raised hands, without ROS."""

from __future__ import annotations

import math
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

FILE = Path(__file__).parents[1] / "examples" / "raised_hand.py"
hand = SimpleNamespace(**runpy.run_path(str(FILE)))
NAMES = ["right_wrist", "left_eye", "nose", "left_wrist"]
KEY = (3, "left")
STEP = 100_000_000


def flat(heights: dict[str, float], score: float = 0.9) -> list[float]:
    """y by name; the other joints are unseen."""
    out = []
    for name in NAMES:
        out += [50.0, heights.get(name, 0.0), score if name in heights else 0.0]
    return out


def run(
    heights: list[float], start: int = 10**9, hands: Any = None
) -> list[tuple[int, Any, bool]]:
    hands = hands or hand.RaisedHands()
    out = []
    for i, height in enumerate(heights):
        seen = {} if height is None else {KEY: height}
        out += [(i, *event) for event in hands.update(start + i * STEP, seen)]
    return out


@pytest.mark.parametrize(
    ("y", "height"),
    [
        ({"nose": 100, "left_eye": 90, "left_wrist": 70}, 0.1),  # y points down: above is less
        ({"nose": 100, "left_wrist": 120}, -0.1),
        ({"nose": 100, "right_wrist": 20}, math.nan),
        ({"left_wrist": 20}, math.nan),
        ({"nose": math.nan, "left_wrist": 20}, math.nan),
        ({}, math.nan),
    ],
)
def test_wrist_height(y: dict[str, float], height: float) -> None:
    found = hand.wrist_height(NAMES, flat(y), "left", 200.0)
    assert found == pytest.approx(height, nan_ok=True)
    assert math.isnan(hand.wrist_height(NAMES, flat(y, 0.29), "left", 200.0))
    assert math.isnan(hand.wrist_height(NAMES, flat(y), "left", 0.0))
    assert math.isnan(hand.wrist_height([], [], "left", 200.0))


def test_a_hand_counts_after_half_a_second_of_image_time() -> None:
    assert run([0.1] * 10) == [(5, KEY, True)]
    assert run([0.1] * 5 + [-0.2] + [0.1] * 5) == []
    assert run([0.1] * 6 + [-0.2] * 6) == [(5, KEY, True), (11, KEY, False)]


def test_between_the_two_heights_nothing_changes() -> None:
    assert run([-0.04] * 20) == []
    assert run([0.1] * 6 + [-0.04] * 20) == [(5, KEY, True)]


def test_unseen_hands_are_forgotten() -> None:
    assert run([0.1] * 6 + [None] * 20) == [(5, KEY, True), (16, KEY, False)]
    assert run([0.1] * 6 + [math.nan] * 9 + [0.1]) == [(5, KEY, True)]
    assert run([0.1] + [None] * 8 + [0.1]) == []  # what was in the gap is not known
    assert run([]) == []


def test_a_new_clock_lowers_all_hands() -> None:
    hands = hand.RaisedHands()
    assert run([0.1] * 6, hands=hands) == [(5, KEY, True)]
    assert hands.update(5, {}) == [(KEY, False)]
    assert run([0.1] * 6, start=100, hands=hands) == [(5, KEY, True)]


@given(st.lists(st.sampled_from([None, math.nan, -0.2, -0.04, 0.1]), max_size=80))
def test_events_alternate_and_are_held(heights: list[float]) -> None:
    events = run(heights)
    assert [up for *_, up in events] == [i % 2 == 0 for i in range(len(events))]
    for i, _, up in events:
        if up:  # six images in a row, at least, did not look lowered
            window = heights[i - 5 : i + 1]
            assert heights[i] == 0.1
            assert not [h for h in window if h in (-0.2, -0.04)]
