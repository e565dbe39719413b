# SPDX-License-Identifier: Apache-2.0
"""What the filter of velocities remembers, and how sure it is after a change."""

from __future__ import annotations

import numpy as np
import pytest
from test_spatial_velocity import CONFIG, step

from alphapose_ros.spatial.torso import BODY, WHOLE
from alphapose_ros.spatial.velocity import VelocityFilter


def walked(frames=30):
    """Who was seen to walk at 1 m/s along x, and arrives at (frames - 1) / 15 m."""
    tracker = VelocityFilter(CONFIG)
    for i in range(frames):
        step(tracker, i / 15, [i / 15, 0, 2])
    return tracker


def test_who_is_seen_again_within_the_limit_is_not_forgotten() -> None:
    tracker = VelocityFilter(CONFIG)
    step(tracker, 0.0, [0, 0, 2])
    step(tracker, 0.5, [0.5, 0, 2])
    assert np.isfinite(step(tracker, 0.5 + CONFIG.forget_s, [1.5, 0, 2])[0]).all()


def test_an_image_that_comes_twice_forgets_nobody() -> None:
    tracker = walked()
    found, _ = step(tracker, 29 / 15, [29 / 15, 0, 2])
    np.testing.assert_allclose(found, [[1, 0, 0]], atol=0.03)


def test_who_stops_while_the_hips_are_hidden_is_seen_to_stop() -> None:
    """Only the first place by other joints is taken as it is; the next ones tell a motion."""
    tracker = walked()
    for i in range(30, 90):
        found, _ = step(tracker, i / 15, [2, 0.25, 2], evidence=BODY)
    np.testing.assert_allclose(found, [[0, 0, 0]], atol=0.1)


def test_other_joints_are_no_jump_however_far_away() -> None:
    tracker = walked()
    _, before = step(tracker, 2.0, [2, 0, 2])
    found, after = step(tracker, 31 / 15, [31 / 15, -2, 2], evidence=BODY)
    np.testing.assert_allclose(found, [[1, 0, 0]], atol=0.03)
    assert after[0, 1, 1] < 2 * before[0, 1, 1]
    found, after = step(tracker, 32 / 15, [32 / 15, 2, 2], evidence=BODY)  # that is a jump
    assert after[0, 1, 1] == pytest.approx(CONFIG.speed**2)


def test_of_who_was_just_found_any_speed_of_a_person_is_possible() -> None:
    tracker = VelocityFilter(CONFIG)
    step(tracker, 0.0, [0, 0, 2], sigma=100.0)
    _, covariance = step(tracker, 0.01, [0, 0, 2], sigma=100.0, evidence=WHOLE)
    np.testing.assert_allclose(covariance[0], CONFIG.speed**2 * np.eye(3), rtol=0.01)
