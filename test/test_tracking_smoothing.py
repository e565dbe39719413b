# SPDX-License-Identifier: Apache-2.0
"""Joints that go, come back, stand still or are filmed by a camera that turns, smoothed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from tracking_scenes import figure, make_tracker, scene, stamp

from alphapose_ros.tracking.smoothing import OneEuroFilter
from alphapose_ros.tracking.warp import scale_of, warp_points

STEP_NS = 100_000_000
SEEN, HIDDEN = np.ones(1, np.float32), np.zeros(1, np.float32)


def joint(x: float, y: float = 50.0) -> NDArray[np.float32]:
    return np.array([[x, y]], np.float32)


def test_a_joint_that_is_no_longer_seen_is_passed_on_unchanged() -> None:
    smooth = OneEuroFilter(1.5, 2.0)
    for i in range(5):
        smooth(joint(50), SEEN, 100.0, i * STEP_NS)
    np.testing.assert_array_equal(smooth(joint(80), HIDDEN, 100.0, 5 * STEP_NS), joint(80))


def test_a_joint_that_is_back_elsewhere_is_smoothed_as_one_seen_for_the_first_time() -> None:
    returned, fresh = (OneEuroFilter(1.5, 2.0) for _ in range(2))
    returned(joint(0), SEEN, 100.0, 0)
    returned(joint(0), HIDDEN, 100.0, STEP_NS)
    for i in range(2, 6):
        place = joint(500 + 3 * (-1) ** i)
        shown = [each(place, SEEN, 100.0, i * STEP_NS) for each in (returned, fresh)]
        np.testing.assert_array_equal(*shown)


def test_a_standing_joint_is_calmed_from_the_second_image_wherever_it_is() -> None:
    for x in (0.0, 5000.0):
        smooth = OneEuroFilter(1.5, 2.0)
        smooth(joint(x), SEEN, 100.0, 0)
        moved = smooth(joint(x + 2), SEEN, 100.0, STEP_NS)[0, 0] - x
        assert 0.9 < moved < 1.2  # of 2 px


def test_a_joint_is_smoothed_as_in_the_paper() -> None:
    """Algorithm 1 of the paper for one coordinate, at the stamps of a camera that stutters."""
    rng, smooth = np.random.default_rng(0), OneEuroFilter(1.5, 2.0)
    value = speed = before = 0.0
    time_s = 1.0

    def weight(cutoff_hz: float, dt: float) -> float:
        tau = 1 / (2 * np.pi * cutoff_hz)
        return 1 / (1 + tau / dt)

    for i in range(30):
        dt = float(rng.choice([0.03, 0.1, 0.2]))
        time_s += dt
        now = 60 + 40 * i * dt + float(rng.normal(0, 3))
        if i:
            speed += weight(1.0, dt) * ((now - before) / dt - speed)
            value += weight(1.5 + 2.0 * abs(speed) / 80, dt) * (now - value)
        else:
            value = now
        before = now
        found = smooth(joint(now), SEEN, 80.0, round(time_s * 1e9))
        np.testing.assert_allclose(found, joint(value), atol=0.01)


def test_a_camera_that_turns_and_zooms_smooths_as_one_that_stands_still() -> None:
    turn = 1.02 * np.array([[np.cos(0.1), -np.sin(0.1)], [np.sin(0.1), np.cos(0.1)]])
    motion, view = np.column_stack([turn, [7, -3]]), np.eye(3)
    rng = np.random.default_rng(0)
    standing, turning = (OneEuroFilter(1.5, 2.0) for _ in range(2))
    for i in range(12):
        if i:
            turning.move_camera(motion)
            view = np.vstack([motion, [0, 0, 1]]) @ view
        place = joint(100 + 15 * i) + rng.normal(0, 2, (1, 2)).astype(np.float32)
        seen = warp_points(place, view[:2]).astype(np.float32)
        want = standing(place, SEEN, 100.0, i * STEP_NS)
        found = turning(seen, SEEN, 100.0 * scale_of(view[:2]), i * STEP_NS)
        np.testing.assert_allclose(found, warp_points(want, view[:2]), atol=0.01)


def test_shown_joints_lag_by_the_same_share_of_a_child_and_of_a_giant() -> None:
    lags = []
    for height in (40, 400):
        tracker = make_tracker(smoothing=True)
        for i in range(15):
            poses = scene([(figure(0), height * (2 + 0.05 * i), 300, height)])
            shown = tracker.update(poses, stamp(i / 10)).poses.keypoints
        lags.append(float((poses.keypoints - shown)[..., 0].mean()) / height)
    assert lags[0] > 0.02
    np.testing.assert_allclose(lags[0], lags[1], rtol=0.05)


def test_who_is_hidden_changes_nothing_in_how_another_is_smoothed() -> None:
    """The first of two people, much larger than the other, is out of sight from 1 s on."""
    shown = []
    for first in (True, False):
        tracker = make_tracker(smoothing=True)
        for i in range(15):
            giant = [(figure(1), 700, 50, 500)] if first and i < 10 else []
            poses = scene([*giant, (figure(0), 100 + 8 * i, 300, 80)])
            tracks = tracker.update(poses, stamp(i / 10))
        shown.append(tracks.poses.keypoints)
    np.testing.assert_array_equal(*shown)
