# SPDX-License-Identifier: Apache-2.0
"""Positions without depth, by the height of the body."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_spatial_scenes import (
    CAMERA,
    SECOND,
    camera_at,
    joint_array,
    make_person,
    make_tracks,
    project,
)

from alphapose_ros.base.skeletons import COCO17, HALPE136
from alphapose_ros.base.transform import RigidTransform
from alphapose_ros.spatial.config import SpatialConfig
from alphapose_ros.spatial.estimator import SpatialEstimator

LEGS = ("knee", "ankle")


def guess(pixels, height=1.7, scores=0.9, skeleton=COCO17, intrinsics=CAMERA):
    estimator = SpatialEstimator(SpatialConfig(body_height=height))
    return estimator.update(
        make_tracks(pixels, skeleton, scores), 0, intrinsics, None, frame="camera",
        to_frame=RigidTransform(), to_fixed=RigidTransform(),
    )  # fmt: skip


def sigmas(spatial, centre):
    """The error in standard deviations."""
    error = spatial.positions[0] - centre
    return np.sqrt(error @ np.linalg.inv(spatial.position_covariances[0].astype(float)) @ error)


def scores_without(*joints):
    return np.array([0.1 if any(j in n for j in joints) else 0.9 for n in COCO17.keypoint_names])


@pytest.mark.parametrize("distance", [2.0, 3.0, 4.0, 6.0])
@pytest.mark.parametrize("yaw", [np.pi, 0.5, np.pi / 2])
@pytest.mark.parametrize("seen", ["all", "no legs", "no shins"])
def test_it_is_within_its_sigma(distance, yaw, seen, rng) -> None:
    camera = camera_at(pitch=0.05)
    person = make_person((distance, 0.3), yaw, height=1.7)
    pixels = project(joint_array(person, COCO17), camera) + rng.normal(0, 1.5, (17, 2))
    scores = {"all": 0.9, "no legs": scores_without(*LEGS), "no shins": scores_without("ankle")}
    spatial = guess(pixels, scores=scores[seen])
    centre = camera.inverse().points(person.centre)
    assert sigmas(spatial, centre) < 1.8
    assert abs(spatial.positions[0, 2] / centre[2] - 1) < 0.15
    along = np.sqrt(spatial.position_covariances[0, 2, 2]) / centre[2]
    assert 0.15 < along < 0.22
    assert np.isnan(spatial.keypoints).all()
    assert np.isnan(spatial.headings).all()
    assert not spatial.has_depth


def test_people_of_other_heights_are_within_two_sigmas(rng) -> None:
    camera, found = camera_at(), []
    for height in rng.normal(1.7, 0.1, 40):
        person = make_person((4.0, rng.uniform(-1, 1)), rng.uniform(-3, 3), height)
        pixels = project(joint_array(person, COCO17), camera) + rng.normal(0, 1.5, (17, 2))
        found.append(sigmas(guess(pixels), camera.inverse().points(person.centre)))
    assert max(found) < 3
    assert np.mean(np.square(found)) < 3


def test_a_foreshortened_trunk_leaves_it_to_the_legs() -> None:
    """Who bends towards the camera has a short trunk in the picture, and is not far away."""
    camera, person = camera_at(), make_person((3.0, 0.0), np.pi)
    points = joint_array(person, COCO17)
    upper = [COCO17.index(n) for n in COCO17.keypoint_names if "shoulder" in n]
    points[upper] += [-0.4, 0, -0.25]
    spatial = guess(project(points, camera))
    assert spatial.positions[0, 2] == pytest.approx(3.0, rel=0.15)


def test_noise_of_a_short_segment_does_not_win(rng) -> None:
    """The longest of many noisy lengths is too long; whole chains are trusted more."""
    pixels = project(joint_array(make_person((4.0, 0.0), np.pi), COCO17), camera_at())
    noisy = pixels + rng.normal(0, 2.0, (400, 17, 2))
    depths = guess(noisy).positions[:, 2]
    assert np.mean(depths) == pytest.approx(4.0, rel=0.04)


def test_shoulders_alone_are_no_evidence() -> None:
    pixels = project(joint_array(make_person((3.0, 0.0), np.pi), COCO17), camera_at())
    scores = scores_without("hip", *LEGS)
    assert np.isnan(guess(pixels, scores=scores).positions).all()


def test_it_is_off_unless_a_height_is_given() -> None:
    pixels = project(joint_array(make_person((3.0, 0.0), np.pi), COCO17), camera_at())
    assert np.isnan(guess(pixels, height=0.0).positions).all()
    assert np.isfinite(guess(pixels).positions).all()


def test_twice_as_tall_is_twice_as_far() -> None:
    pixels = project(joint_array(make_person((3.0, 0.2), np.pi), HALPE136), camera_at())
    near, far = (guess(pixels, h, skeleton=HALPE136).positions[0] for h in (1.0, 2.0))
    np.testing.assert_allclose(far, 2 * near, rtol=0.02)


def test_distortion_is_respected() -> None:
    cv2 = pytest.importorskip("cv2")
    camera, person = camera_at(), make_person((3.0, 0.8), np.pi)
    lens = replace(CAMERA, distortion=(-0.3, 0.1, 0, 0, 0))
    own = camera.inverse().points(joint_array(person, COCO17))
    matrix = np.array([[lens.fx, 0, lens.cx], [0, lens.fy, lens.cy], [0, 0, 1]])
    pixels = cv2.projectPoints(own, np.zeros(3), np.zeros(3), matrix, np.array(lens.distortion))[0]
    straight = guess(project(joint_array(person, COCO17), camera))
    found = guess(pixels[:, 0], intrinsics=lens)
    np.testing.assert_allclose(found.positions, straight.positions, atol=1e-3)


def test_a_walker_has_a_velocity_and_doubts(rng) -> None:
    camera = camera_at()
    estimator = SpatialEstimator(SpatialConfig(body_height=1.7))
    for i in range(40):
        person = make_person((4.0, i / 15 - 1.3), np.pi / 2)
        pixels = project(joint_array(person, COCO17), camera) + rng.normal(0, 1, (17, 2))
        spatial = estimator.update(
            make_tracks(pixels, COCO17), i * SECOND // 15, CAMERA, None, frame="odom",
            to_frame=camera, to_fixed=camera,
        )  # fmt: skip
    error = spatial.velocities[0] - [0, 1, 0]
    covariance = spatial.velocity_covariances[0].astype(float)
    assert error @ np.linalg.inv(covariance) @ error < 9
    assert abs(error[1]) < 0.25
    assert covariance[0, 0] > 0.05
