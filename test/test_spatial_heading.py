# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_spatial_scenes import CAMERA, Scene, camera_at, joint_array, make_person, see

from alphapose_ros.base.skeletons import COCO17, HAND21
from alphapose_ros.base.transform import RigidTransform
from alphapose_ros.spatial.bones import Bones
from alphapose_ros.spatial.config import SpatialConfig
from alphapose_ros.spatial.estimator import SpatialEstimator
from alphapose_ros.spatial.heading import headings, is_optical

BONES = Bones(COCO17)
AWAY, LEFT, TOWARDS, RIGHT = 0.0, np.pi / 2, np.pi, -np.pi / 2  # seen from the camera


def apart(a, b):
    return abs(np.angle(np.exp(1j * (a - b))))


@given(st.floats(-3.1, 3.1), st.floats(-3.1, 3.1), st.floats(-0.5, 0.5))
def test_a_person_who_turns_in_the_world_turns_in_every_frame(yaw, camera_yaw, pitch) -> None:
    points = joint_array(make_person((2.0, 0.5), yaw), COCO17)[None]
    assert apart(headings(points, BONES, False)[0], yaw) < 1e-6
    level = camera_at((0.3, 0.1, 1.0), camera_yaw).inverse().points(points)
    assert apart(headings(level, BONES, True)[0], yaw - camera_yaw) < 1e-6
    tilted = camera_at((0.3, 0.1, 1.0), camera_yaw, pitch).inverse().points(points)
    assert apart(headings(tilted, BONES, True)[0], yaw - camera_yaw) < 0.15


@pytest.mark.parametrize(
    ("frame", "transform", "optical"),
    [
        ("camera_optical_frame", camera_at(), True),
        ("front_optical", camera_at(), True),
        ("camera", RigidTransform(), True),
        ("odom", camera_at(), False),
        ("camera", RigidTransform(translation=np.array([0.0, 0.1, 0.0])), False),
    ],
)
def test_which_frames_are_optical(frame, transform, optical) -> None:
    assert is_optical(frame, transform) == optical


@pytest.mark.parametrize("yaw", [AWAY, LEFT / 2, 3 * LEFT / 2, TOWARDS, RIGHT / 2, 3 * RIGHT / 2])
def test_in_a_picture(yaw, rng) -> None:
    """Points lie on the surface, so a turned person seems turned a little less or more."""
    person, camera = make_person((2.0, 0.0), yaw), camera_at()
    depth, _ = Scene((person,), 3.0).image(camera, rng=rng)
    for frame, to_frame in (("camera", RigidTransform()), ("odom", camera)):
        spatial = SpatialEstimator(SpatialConfig()).update(
            see([person], camera), 0, CAMERA, depth, frame=frame, to_frame=to_frame, to_fixed=None
        )
        assert apart(spatial.headings[0], yaw) < 0.3


def test_facing_left_and_right_of_the_camera() -> None:
    """Exactly from the side, one shoulder hides the other in a picture; in space it does not."""
    for yaw in (LEFT, RIGHT):
        points = joint_array(make_person((2.0, 0.0), yaw), COCO17)[None]
        own = camera_at().inverse().points(points)
        assert headings(own, BONES, True)[0] == pytest.approx(yaw)
        assert headings(points, BONES, False)[0] == pytest.approx(yaw)


def test_what_is_needed() -> None:
    points = np.repeat(joint_array(make_person((2.0, 0.0), 1.0), COCO17)[None], 5, 0)
    shoulder, hip = COCO17.index("left_shoulder"), COCO17.index("right_hip")
    points[1, shoulder] = np.nan  # hips are enough
    points[2, hip] = np.nan  # so are shoulders
    points[3, [shoulder, hip]] = np.nan
    middle = points[4, [5, 6, 11, 12]].reshape(2, 2, 3).mean(1, keepdims=True)
    points[4, [5, 6, 11, 12]] = (
        0.1 * points[4, [5, 6, 11, 12]].reshape(2, 2, 3) + 0.9 * middle
    ).reshape(4, 3)
    found = headings(points, BONES, False)
    np.testing.assert_allclose(found[:3], 1.0)
    assert np.isnan(found[3:]).all()  # one of each pair; less than 0.1 m apart


def test_nobody_and_hands_have_no_heading() -> None:
    assert headings(np.zeros((0, 17, 3)), BONES, True).shape == (0,)
    assert np.isnan(headings(np.zeros((2, 21, 3)), Bones(HAND21), True)).all()
