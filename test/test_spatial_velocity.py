# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_spatial_scenes import (
    CAMERA,
    SECOND,
    Scene,
    camera_at,
    joint_array,
    make_person,
    make_tracks,
    project,
)

from alphapose_ros.base.skeletons import COCO17
from alphapose_ros.base.transform import RigidTransform
from alphapose_ros.spatial.config import SpatialConfig
from alphapose_ros.spatial.estimator import SpatialEstimator
from alphapose_ros.spatial.torso import BODY, WHOLE, Places
from alphapose_ros.spatial.velocity import VelocityFilter

SMALL = replace(CAMERA, fx=118.75, fy=118.75, cx=79.5, cy=59.5, size_hw=(120, 160))  # same view
CONFIG = SpatialConfig()
EYE = np.eye(3)


def places(points, sigma=0.01, evidence=WHOLE):
    points = np.asarray(points, float).reshape(-1, 3)
    known = np.isfinite(points).all(1)
    noise = np.where(known, sigma**2, np.nan)[:, None, None] * EYE
    return Places(points, noise, noise * 0, np.where(known, evidence, 0))


def step(tracker, t, point, ids=(1,), **options):
    """Velocities (N, 3) and covariances at ``t`` seconds."""
    return tracker.update(np.array(ids), round(t * SECOND) + 10 * SECOND, places(point, **options))


# ---------------------------------------------------------------- in whole scenes


def film(camera_of, person_of, times, rng, frame="camera", to_frame=None, ids=(7,)):
    """Spatial records at ``times`` s of a moving camera and person, with a Kinect's noise."""
    estimator, out = SpatialEstimator(CONFIG), []
    for t in times:
        camera, person = camera_of(t), person_of(t)
        depth, _ = Scene((person,), 6.0).image(camera, SMALL, rng)
        pixels = project(joint_array(person, COCO17), camera) + rng.normal(0, 1, (17, 2))
        out.append(
            estimator.update(
                make_tracks(pixels, COCO17, ids=ids), round(t * SECOND), CAMERA, depth,
                frame=frame, to_frame=to_frame(t) if to_frame else RigidTransform(),
                to_fixed=camera,
            )
        )  # fmt: skip
    return out


def standing_camera(t):
    return camera_at()


def passing_camera(t):
    return camera_at((0.0, t - 0.8, 0.9), yaw=0.1 * t)


STANDING = make_person((2.5, 0.0), np.pi)
TIMES = np.arange(0, 1.6, 1 / 15)


def test_a_camera_that_passes_does_not_move_a_person(rng) -> None:
    results = film(passing_camera, lambda t: STANDING, TIMES, rng)
    late = [r.velocities[0] for r, t in zip(results, TIMES, strict=True) if t >= 1]
    assert np.linalg.norm(late, axis=1).max() < 0.1
    assert (
        np.linalg.norm(results[-1].positions[0] - results[0].positions[0]) > 1
    )  # in its own frame


@pytest.mark.parametrize("camera_of", [standing_camera, passing_camera])
@pytest.mark.parametrize("direction", [(0.0, 0.6, 0.0), (-0.6, 0.0, 0.0)])
def test_a_person_walks_before_a_camera(camera_of, direction, rng) -> None:
    velocity = np.array(direction) / 0.6
    start = STANDING.moved(-0.7 * velocity)
    world = film(
        camera_of,
        lambda t: start.moved(t * velocity),
        TIMES,
        rng,
        frame="odom",
        to_frame=camera_of,
    )
    np.testing.assert_allclose(world[-1].velocities[0], velocity, atol=0.15)
    rng = np.random.default_rng(0)
    own = film(camera_of, lambda t: start.moved(t * velocity), TIMES, rng)
    expected = camera_of(TIMES[-1]).inverse().vectors(velocity)
    np.testing.assert_allclose(own[-1].velocities[0], expected, atol=0.15)
    np.testing.assert_allclose(
        np.linalg.norm(own[-1].velocities), np.linalg.norm(world[-1].velocities), rtol=1e-4
    )


def test_dropped_frames_and_uneven_times_change_little(rng) -> None:
    start, velocity = STANDING.moved((0, -0.7, 0)), np.array([0.0, 1.0, 0.0])
    uneven = np.sort(np.concatenate([rng.uniform(0, TIMES[-1], 12), TIMES[[0, -1]]]))
    for times in (TIMES, TIMES[::-1][::3][::-1], uneven):
        last = film(standing_camera, lambda t: start.moved(t * velocity), times, rng)[-1]
        np.testing.assert_allclose(last.velocities[0], [-1, 0, 0], atol=0.15)


# ---------------------------------------------------------------- the filter


def test_a_velocity_needs_two_times() -> None:
    tracker = VelocityFilter(CONFIG)
    assert np.isnan(step(tracker, 0.0, [0, 0, 2])[0]).all()
    assert np.isnan(step(tracker, 0.0, [0, 0, 2])[0]).all()  # the same image again
    assert np.isfinite(step(tracker, 0.1, [0, 0, 2])[0]).all()


def test_a_gap_is_the_same_as_its_parts() -> None:
    tracker = VelocityFilter(CONFIG)
    for i in range(5):
        step(tracker, 0.1 * i, [0.1 * i, 0, 2])
    motion, stamp = tracker._motion, int(tracker._stamp_ns)
    once = tracker._predict(motion, stamp + 300_000_000)
    parts = motion
    for ms in (50, 170, 300):
        parts = tracker._predict(parts, stamp + ms * 1_000_000)
    np.testing.assert_allclose(parts.state, once.state)
    np.testing.assert_allclose(parts.covariance, once.covariance, rtol=1e-9)


def test_velocities_are_of_honest_size_and_covariances_positive(rng) -> None:
    """Accelerations and noise as the filter expects them: a normalised error of 3."""
    people, sigma, dt = 400, 0.02, 1 / 15
    tracker, position = VelocityFilter(CONFIG), rng.normal(0, 2, (people, 3))
    velocity = rng.normal(0, CONFIG.speed, (people, 3))
    spread = CONFIG.acceleration**2 * np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])
    for i in range(30):
        seen = position + rng.normal(0, sigma, position.shape)
        found, covariance = step(tracker, i * dt, seen, np.arange(people), sigma=sigma)
        if i > 0:
            error = found - velocity
            normal = error[:, None] @ np.linalg.inv(covariance) @ error[..., None]
            assert 2.6 < normal.mean() < 3.4
            assert (np.linalg.eigvalsh(covariance) > 0).all()
        jolt = rng.multivariate_normal([0, 0], spread, (people, 3))
        position = position + velocity * dt + jolt[..., 0]
        velocity = velocity + jolt[..., 1]


def test_a_person_unseen_for_long_is_forgotten() -> None:
    for gap, known in ((0.9, True), (1.1, False)):
        tracker = VelocityFilter(CONFIG)
        step(tracker, 0.0, [0, 0, 2])
        step(tracker, 0.1, [0.1, 0, 2])
        step(tracker, 0.1 + gap / 2, [np.nan] * 3)  # seen, but not where
        found, _ = step(tracker, 0.1 + gap, [0.1 + gap, 0, 2])
        assert np.isfinite(found).all() == known


def test_stamps_that_go_back_are_a_new_clock() -> None:
    tracker = VelocityFilter(CONFIG)
    for i in range(3):
        step(tracker, 5 + 0.1 * i, [0.1 * i, 0, 2])
    assert np.isnan(step(tracker, 1.0, [9, 0, 2])[0]).all()
    np.testing.assert_allclose(step(tracker, 1.1, [9, 0, 2])[0], 0, atol=0.1)


def test_rows_are_told_apart_by_their_tracks() -> None:
    tracker = VelocityFilter(CONFIG)
    for i in range(10):
        rows = {3: [i * 0.1, 0, 2], 9: [0, -i * 0.1, 4]}
        ids = [3, 9] if i % 2 else [9, 3]
        found, _ = step(tracker, i * 0.1, [rows[k] for k in ids], ids)
    np.testing.assert_allclose(found, [[1, 0, 0], [0, -1, 0]], atol=0.05)
    assert step(tracker, 1.0, np.zeros((0, 3)), [])[0].shape == (0, 3)
    found, _ = step(tracker, 1.1, [rows[3], [1, 1, 1]], [3, 11])
    assert np.isfinite(found).all(1).tolist() == [True, False]


def test_a_walker_whose_hips_vanish_keeps_the_velocity() -> None:
    """The place is another when it is found by other joints, and that is no motion."""
    tracker = VelocityFilter(CONFIG)
    for i in range(40):
        half = i >= 30
        point = [i / 15, -0.25 * half, 2]
        found, covariance = step(tracker, i / 15, point, evidence=BODY if half else WHOLE)
    np.testing.assert_allclose(found, [[1, 0, 0]], atol=0.03)
    assert (np.linalg.eigvalsh(covariance) > 0).all()


def test_a_jump_of_the_measurement_is_no_speed() -> None:
    tracker = VelocityFilter(CONFIG)
    for i in range(30):
        found, covariance = step(tracker, i / 15, [i / 15, 0, 2 if i != 28 else 3])
        if i == 28:
            np.testing.assert_allclose(found, [[1, 0, 0]], atol=0.1)
            assert covariance[0, 0, 0] > 1  # anything is possible now
    np.testing.assert_allclose(found, [[1, 0, 0]], atol=0.1)


def test_a_sprint_is_followed() -> None:
    tracker = VelocityFilter(CONFIG)
    for i in range(45):
        found, _ = step(tracker, i / 15, [max(i - 15, 0) / 15 * 5, 0, 2])
    np.testing.assert_allclose(found, [[5, 0, 0]], atol=0.2)
