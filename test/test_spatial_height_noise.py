# SPDX-License-Identifier: Apache-2.0
"""How sure a place is that was guessed by a person's height, and by which joints."""

from __future__ import annotations

import numpy as np
import pytest
from test_spatial_scenes import CAMERA

from alphapose_ros.base.skeletons import COCO17
from alphapose_ros.spatial.bones import TORSO, Bones
from alphapose_ros.spatial.config import SpatialConfig
from alphapose_ros.spatial.height import guess_places

BONES = Bones(COCO17)
HEIGHT, Z = 1.7, 3.0
TRUNK = 0.288 * HEIGHT
CORNERS = np.array([[0.22, -0.5], [-0.22, -0.5], [0.22, 0.5], [-0.22, 0.5]]) * [1, TRUNK]
INDEX = np.array([COCO17.index(name) for name in TORSO])


def guess(corners, seen=(0, 1, 2, 3), **config):
    """Places of people of whom some corners (N, 4, 2) m are seen at Z m, facing the camera."""
    corners = np.asarray(corners).reshape(-1, 4, 2)
    rays = np.full((len(corners), 17, 2), np.nan)
    rays[:, INDEX] = corners / Z
    usable = np.zeros((len(corners), 17), bool)
    usable[:, INDEX[list(seen)]] = True
    config = SpatialConfig(**{"body_height": HEIGHT, **config})
    return guess_places(rays, usable, BONES, CAMERA, config)


@pytest.mark.parametrize(("joint_noise", "pixel_noise"), [(0.02, 0.0), (0.0001, 3.0)])
def test_a_segment_is_as_noisy_as_both_of_its_ends(joint_noise, pixel_noise, rng) -> None:
    corners = np.repeat(CORNERS[None], 4000, 0)
    corners += rng.normal(0, joint_noise + pixel_noise * Z / CAMERA.fx, corners.shape)
    noise = {"joint_noise": joint_noise, "pixel_noise": pixel_noise, "body_height_error": 1e-4}
    places = guess(corners, (0, 2), **noise)
    spread = np.sqrt(places.noise[:, 2, 2])
    assert np.std(places.points[:, 2]) == pytest.approx(np.mean(spread), rel=0.1)


def test_of_a_trunk_seen_from_above_the_shoulders_tell() -> None:
    corners = CORNERS * [0.259 * HEIGHT / 0.44, 0.2]
    assert guess(corners).points[0, 2] == pytest.approx(Z)


def test_what_may_be_noise_alone_is_no_distance() -> None:
    """A trunk of two pixels would be a person a hundred metres away."""
    assert np.isnan(guess(CORNERS * 2 * Z / CAMERA.fx / TRUNK).points).all()
    assert guess(CORNERS * 2 * Z / CAMERA.fx / TRUNK).evidence[0] == 0


def test_one_side_of_the_trunk_says_that_the_centre_is_elsewhere() -> None:
    side, whole = guess(CORNERS, (0, 2)), guess(CORNERS)
    assert np.trace(side.bias[0]) == pytest.approx((0.144 * HEIGHT) ** 2)
    assert not whole.bias.any()


def test_the_evidence_is_of_the_corners_that_are_seen() -> None:
    """Else a hip that comes into sight would be a step to the side."""
    seen = [(0, 1, 2, 3), (0, 2), (1, 3), (0,), ()]
    assert len({int(guess(CORNERS, each).evidence[0]) for each in seen}) == 4
    assert guess(CORNERS, ()).evidence[0] == 0


def test_beside_the_ray_more_corners_are_better() -> None:
    pixel = CAMERA.fx / Z
    for seen, count in (((0, 1, 2, 3), 4), ((0, 2), 2)):
        corners = CORNERS - CORNERS[list(seen)].mean(0)  # the centre lies on the axis
        noise = guess(corners, seen).noise[0]
        assert noise[0, 0] == pytest.approx((0.015**2 + 1 / pixel**2) / count)
