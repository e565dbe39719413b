# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from test_spatial_scenes import CAMERA

from alphapose_ros.base.skeletons import COCO17, HAND21, SKELETONS
from alphapose_ros.base.transform import RigidTransform
from alphapose_ros.spatial.bones import TORSO, Bones
from alphapose_ros.spatial.config import SpatialConfig
from alphapose_ros.spatial.depth import depth_noise
from alphapose_ros.spatial.torso import find_places

BONES, CONFIG = Bones(COCO17), SpatialConfig()
CORNERS = np.array([[0.22, -0.5], [-0.22, -0.5], [0.16, 0.0], [-0.16, 0.0]])


def people(rng, count, z=3.0, turn=0.3, noise=True):
    """Rays and depths of COCO joints of a torso, jittered as the config says; true centre."""
    points = np.column_stack([CORNERS, CORNERS[:, 0] * np.tan(turn)]) + np.array([0.4, 0.1, z])
    points = np.repeat(points[None], count, 0)
    centre = points[0].mean(0)
    if noise:
        points = points + rng.normal(0, CONFIG.joint_noise, points.shape)
        points[..., :2] += rng.normal(0, CONFIG.pixel_noise * z / CAMERA.fx, points[..., :2].shape)
    rays = points[..., :2] / points[..., 2:]
    depths = points[..., 2]
    if noise:
        depths = depths + depth_noise(depths, CONFIG) * rng.normal(size=depths.shape)
    index = [COCO17.index(name) for name in TORSO]
    out = np.full((count, 17, 2), np.nan), np.full((count, 17), np.nan)
    out[0][:, index], out[1][:, index] = rays, depths
    return *out, centre


def place(rays, depths, usable=None):
    usable = np.isfinite(rays).all(-1) if usable is None else usable
    return find_places(rays, depths, usable, BONES, CAMERA, CONFIG)


def mean_error(places, centre):
    """Mean of the normalised squared error; 3 if the covariance is of honest size."""
    error = places.points - centre
    return np.mean(error[:, None] @ np.linalg.inv(places.noise + places.bias) @ error[..., None])


@pytest.mark.parametrize("z", [1.0, 3.0, 6.0])
def test_the_covariance_is_of_honest_size(z, rng) -> None:
    rays, depths, centre = people(rng, 3000, z)
    assert 2.0 < mean_error(place(rays, depths), centre) < 3.4


def test_the_covariance_grows_with_the_distance(rng) -> None:
    near, far = (place(*people(rng, 1, z)[:2]).noise[0] for z in (1.5, 6.0))
    assert far[2, 2] > 4 * near[2, 2]
    assert (np.linalg.eigvalsh(far) > np.linalg.eigvalsh(near)).all()


@pytest.mark.parametrize("missing", range(4))
def test_a_corner_without_depth_moves_nothing(missing, rng) -> None:
    rays, depths, centre = people(rng, 500)
    depths[:, COCO17.index(TORSO[missing])] = np.nan
    places = place(rays, depths)
    np.testing.assert_allclose(places.points.mean(0), centre, atol=0.015)
    assert 1.0 < mean_error(places, centre) < 3.4
    assert set(places.evidence) == set(place(*people(rng, 1)[:2]).evidence)


@pytest.mark.parametrize("missing", range(4))
def test_a_corner_out_of_sight_moves_little(missing, rng) -> None:
    rays, depths, centre = people(rng, 500, turn=0.0)
    for array in (rays, depths):
        array[:, COCO17.index(TORSO[missing])] = np.nan
    np.testing.assert_allclose(place(rays, depths).points.mean(0), centre, atol=0.04)


@pytest.mark.parametrize("pair", [(0, 1), (2, 3), (0, 2)])
def test_half_a_torso_says_that_the_centre_is_elsewhere(pair, rng) -> None:
    rays, depths, centre = people(rng, 500)
    gone = [COCO17.index(TORSO[i]) for i in range(4) if i not in pair]
    rays[:, gone], depths[:, gone] = np.nan, np.nan
    places = place(rays, depths)
    assert mean_error(places, centre) < 4.5
    assert np.trace(places.bias[0]) > 0.05 > np.trace(places.noise[0])
    assert set(places.evidence).isdisjoint(place(*people(rng, 1)[:2]).evidence)


def test_corners_that_do_not_fit_together_are_doubted(rng) -> None:
    rays, depths, _ = people(rng, 2, noise=False)
    depths[1, COCO17.index("left_hip")] += 0.3
    places = place(rays, depths)
    assert places.noise[1, 2, 2] > (0.25 / 4) ** 2 > 10 * places.noise[0, 2, 2]


def test_without_a_torso_the_body_is_asked(rng) -> None:
    rays, depths = np.full((2, 17, 2), np.nan), np.full((2, 17), np.nan)
    rays[0, :5], depths[0, :5] = rng.uniform(-0.02, 0.02, (5, 2)), rng.uniform(1.95, 2.05, 5)
    places = place(rays, depths)
    np.testing.assert_allclose(
        places.points[0], np.median([*np.c_[rays[0, :5] * depths[0, :5, None], depths[0, :5]]], 0)
    )
    assert np.sqrt(np.trace(places.bias[0])) == pytest.approx(0.4)
    assert places.evidence[1] == 0
    assert np.isnan(places.points[1]).all()
    assert np.isnan(places.noise[1]).all()


def test_a_hand_is_where_its_middle_joint_is() -> None:
    bones = Bones(HAND21)
    rays, depths = np.zeros((1, 21, 2)), np.linspace(0.5, 0.6, 21)[None]
    usable = np.ones((1, 21), bool)
    places = find_places(rays, depths, usable, bones, CAMERA, CONFIG)
    np.testing.assert_allclose(places.points, [[0, 0, 0.55]])
    assert not places.bias.any()


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
def test_covariances_are_positive_and_symmetric_whatever_is_seen(skeleton, rng) -> None:
    count, joints = 300, len(skeleton)
    rays = rng.uniform(-0.5, 0.5, (count, joints, 2))
    seen = rng.random((count, joints)) < rng.random((count, 1))
    depths = np.where(
        rng.random((count, joints)) < 0.7, rng.uniform(0.3, 9, (count, joints)), np.nan
    )
    rays, depths = np.where(seen[..., None], rays, np.nan), np.where(seen, depths, np.nan)
    places = find_places(rays, depths, seen, Bones(skeleton), CAMERA, CONFIG)
    known = places.evidence > 0
    assert known.mean() > 0.5
    total = (places.noise + places.bias)[known]
    np.testing.assert_allclose(total, total.transpose(0, 2, 1))
    assert (np.linalg.eigvalsh(total) > 0).all()
    assert (np.linalg.eigvalsh(total.astype(np.float32)) > 0).all()  # as it is published
    assert np.isnan(places.points[~known]).all()


def test_moved_places_are_those_of_moved_points(rng) -> None:
    places = place(*people(rng, 4)[:2])
    transform = RigidTransform.from_quaternion([0.1, 0.2, -0.4, 0.8], [1, 2, 3])
    moved = places.moved(transform)
    np.testing.assert_allclose(moved.points, transform.points(places.points))
    np.testing.assert_allclose(
        np.linalg.eigvalsh(moved.noise), np.linalg.eigvalsh(places.noise), rtol=1e-6
    )
