# SPDX-License-Identifier: Apache-2.0
"""Pointing arms, without ROS."""

from __future__ import annotations

import math
import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

FILE = Path(__file__).parents[1] / "examples" / "pointing.py"
pointing = SimpleNamespace(**runpy.run_path(str(FILE)))
VECTORS = st.lists(st.floats(-3, 3), min_size=3, max_size=3).map(np.array)


def straight(direction: Any, **more: Any) -> dict[str, Any]:
    """A left arm that is stretched from a shoulder 1.4 m above the floor."""
    shoulder, way = np.array([0.0, 0.0, 1.4]), np.asarray(direction, float)
    points = {"shoulder": shoulder, "elbow": shoulder + 0.3 * way, "wrist": shoulder + 0.6 * way}
    return {f"left_{name}": p for name, p in {**points, **more}.items()}


def test_straight_down_meets_the_floor_at_the_feet() -> None:
    hand, direction = pointing.arm(straight([0, 0, -1]), "left")
    np.testing.assert_allclose(direction, [0, 0, -1], atol=1e-9)
    np.testing.assert_allclose(pointing.floor_hit(hand, direction, 0.0), [0, 0, 0], atol=1e-9)


def test_forty_five_degrees_ahead() -> None:
    way = np.array([1, 0, -1]) / math.sqrt(2)
    hand, direction = pointing.arm(straight(way), "left")
    np.testing.assert_allclose(pointing.floor_hit(hand, direction, 0.0), [1.4, 0, 0], atol=1e-9)
    np.testing.assert_allclose(pointing.floor_hit(hand, direction, 0.4), [1, 0, 0.4], atol=1e-9)


@pytest.mark.parametrize("way", [(1, 0, 0), (0, 0, 1), (1, 0, -0.01)])
def test_level_upwards_and_far_away_meet_no_floor(way: Any) -> None:
    hand, direction = pointing.arm(straight(way), "left")
    assert pointing.floor_hit(hand, direction, 0.0) is None
    assert pointing.floor_hit(np.array([0, 0, -1.0]), np.array([0, 0, -1.0]), 0.0) is None


def test_the_finger_decides_where_it_is_seen() -> None:
    tip = np.array([0.8, 0.1, 1.4])
    hand, direction = pointing.arm(straight([1, 0, 0], hand_index_4=tip), "left")
    np.testing.assert_array_equal(hand, tip)
    assert direction[1] > 0
    knuckle = np.array([0.7, -0.1, 1.4])
    hand, _ = pointing.arm(straight([1, 0, 0], hand_index_1=knuckle), "left")
    np.testing.assert_array_equal(hand, knuckle)


def test_bent_and_unseen_arms_do_not_point() -> None:
    points = straight([1, 0, 0])
    assert pointing.arm(points, "right") is None
    assert pointing.arm({}, "left") is None
    for name in points:
        assert pointing.arm({k: v for k, v in points.items() if k != name}, "left") is None
    bent = {**points, "left_wrist": points["left_elbow"] + [0, 0.3, 0]}
    assert pointing.arm(bent, "left") is None
    assert pointing.arm({name: np.zeros(3) for name in points}, "left") is None


def test_seen_leaves_out_nan_and_low_scores() -> None:
    names = ["a", "b", "c"]
    found = pointing.seen(names, [1, 2, 3, math.nan, 2, 3, 4, 5, 6], [0.9, 0.9, 0.29])
    assert list(found) == ["a"]
    np.testing.assert_array_equal(found["a"], [1, 2, 3])
    found = pointing.seen(names, [[1, 2], [3, 4], [5, 6]], [0.3, 0, 0.9])
    assert {k: v.tolist() for k, v in found.items()} == {"a": [1, 2], "c": [5, 6]}


def test_in_the_image() -> None:
    flat = {"left_shoulder": [10, 20], "left_elbow": [30, 20], "left_wrist": [50, 20]}
    points = {k: np.array(v, float) for k, v in flat.items()}
    assert pointing.arm(points, "left")[1].tolist() == [1, 0]


@given(VECTORS, VECTORS)
def test_a_hit_lies_on_the_floor_and_on_the_ray(hand: Any, way: Any) -> None:
    length = np.linalg.norm(way)
    if length < 1e-3:
        return
    at = pointing.floor_hit(hand, way / length, 0.0)
    if at is None:
        assert way[2] >= -1e-6 * length or hand[2] < 0 or hand[2] / -way[2] * length > 8
        return
    assert at[2] == pytest.approx(0, abs=1e-9)
    assert np.linalg.norm(np.cross(at - hand, way)) < 1e-6
    assert (at - hand) @ way >= -1e-9


@given(VECTORS, VECTORS)
def test_rotated(vector: Any, turn: Any) -> None:
    rotation = Rotation.from_rotvec(turn)
    expected = rotation.apply(vector)
    np.testing.assert_allclose(pointing.rotated(vector, rotation.as_quat()), expected, atol=1e-9)
