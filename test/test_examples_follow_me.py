# SPDX-License-Identifier: Apache-2.0
"""The follower's control law, without ROS."""

from __future__ import annotations

import math
import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

FILE = Path(__file__).parents[1] / "examples" / "follow_me.py"
follow = SimpleNamespace(**runpy.run_path(str(FILE)))
LIMITS = follow.Limits()
PLACES = st.floats(-20, 20)


@pytest.mark.parametrize(
    ("x", "y", "linear", "angular"),
    [
        (1.5, 0.0, 0.0, 0.0),  # at the distance
        (1.75, 0.0, 0.2, 0.0),
        (9.0, 0.0, 0.5, 0.0),
        (1.0, 0.0, 0.0, 0.0),  # nearer: never backwards
        (0.5, 0.3, 0.0, 0.0),  # too near: not even a turn
        (0.0, 3.0, 0.0, 1.0),  # to the left
        (0.0, -3.0, 0.0, -1.0),
        (-3.0, 0.1, 0.0, 1.0),
        (1.0, 0.1, 0.0, 1.5 * math.atan2(0.1, 1.0)),
        (math.nan, 0.0, 0.0, 0.0),
        (1.0, math.nan, 0.0, 0.0),
        (math.inf, 0.0, 0.0, 0.0),
    ],
)
def test_velocity(x: float, y: float, linear: float, angular: float) -> None:
    assert follow.velocity(x, y, LIMITS) == pytest.approx((linear, angular), abs=1e-9)


@given(PLACES, PLACES)
def test_velocity_keeps_its_limits_and_its_sides(x: float, y: float) -> None:
    linear, angular = follow.velocity(x, y, LIMITS)
    assert 0 <= linear <= LIMITS.max_linear
    assert abs(angular) <= LIMITS.max_angular
    assert angular * y >= 0
    mirrored = follow.velocity(x, -y, LIMITS)
    if y:
        assert mirrored == pytest.approx((linear, -angular))
    if linear > 1e-9:
        assert x > 0
        assert math.hypot(x, y) > LIMITS.distance
    if math.hypot(x, y) >= LIMITS.too_near and abs(y) > 1e-6:
        assert angular


@given(st.floats(-3, 3), st.floats(-3, 3))
def test_the_robot_arrives(x: float, y: float) -> None:
    """Driven for twenty seconds towards someone who stands, it ends at the distance, facing."""
    place, yaw = np.zeros(2), 0.0
    person = np.array([x, y])
    if np.hypot(x, y) < LIMITS.distance:
        person = np.array([x + 4.0, y])
    for _ in range(400):
        ahead = np.array([math.cos(yaw), math.sin(yaw)])
        offset = person - place
        left = ahead[0] * offset[1] - ahead[1] * offset[0]
        linear, angular = follow.velocity(float(ahead @ offset), float(left), LIMITS)
        place = place + 0.05 * linear * ahead
        yaw += 0.05 * angular
    offset = person - place
    assert np.linalg.norm(offset) == pytest.approx(LIMITS.distance, abs=0.05)
    assert offset @ [math.cos(yaw), math.sin(yaw)] > 0.99 * np.linalg.norm(offset)


@given(st.lists(st.floats(-3, 3), min_size=9, max_size=9))
def test_moved_is_a_rotation_and_a_shift(numbers: list[float]) -> None:
    point, shift, turn = np.reshape(numbers, (3, 3))
    rotation = Rotation.from_rotvec(turn)
    found = follow.moved(point, shift, rotation.as_quat())
    np.testing.assert_allclose(found, rotation.apply(point) + shift, atol=1e-9)
