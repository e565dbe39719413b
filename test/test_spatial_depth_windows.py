# SPDX-License-Identifier: Apache-2.0
"""What a window of a depth image and a way across it make of layers, noise and limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.records import Intrinsics
from alphapose_ros.spatial.config import SpatialConfig
from alphapose_ros.spatial.depth import DepthView, depth_noise

CAMERA = Intrinsics(500.0, 500.0, 319.5, 239.5, (480, 640))
CONFIG = SpatialConfig()
PLACE, RADIUS = np.array([[[322.0, 240.0]]]), np.array([5.0])  # columns 317, 319.5, ... 327


def view(depth, config=CONFIG, camera=CAMERA):
    return DepthView(np.asarray(depth, np.float32), camera, config)


def layers(*columns, rest):
    """A depth image whose columns (first, last, depth) lie before the rest."""
    image = np.full((480, 640), rest)
    for first, last, depth in columns:
        image[:, first : last + 1] = depth
    return image


@pytest.mark.parametrize("size_hw", [(0, 640), (480, 0), (0, 0)])
def test_a_colour_image_without_pixels_is_refused(size_hw) -> None:
    with pytest.raises(InputError, match="expected a matrix for an image of"):
        view(np.ones((480, 640)), camera=replace(CAMERA, size_hw=size_hw))


def test_one_percent_of_the_aspect_is_the_limit() -> None:
    assert view(np.ones((480, 634))).at(np.array([[10.0, 10.0]])) == 1
    with pytest.raises(InputError, match="aspect ratio"):
        view(np.ones((480, 633)))


def test_a_radius_is_of_both_focal_lengths() -> None:
    looked = view(np.ones((480, 640)), camera=replace(CAMERA, fx=400.0, fy=600.0))
    assert looked.radius(np.array([2.0])) == pytest.approx(5.0)


def test_the_ends_of_the_range_count() -> None:
    pixel = np.array([[3.0, 3.0]])
    config = SpatialConfig(min_depth=0.5, max_depth=4.0)
    for depth, known in ((0.5, True), (4.0, True), (0.499, False), (4.001, False)):
        assert np.isfinite(view(np.full((480, 640), depth), config).at(pixel)) == known
    assert np.isfinite(view(np.full((480, 640), 10.0)).at(pixel))
    assert np.isnan(view(np.full((480, 640), 10.05)).at(pixel))


def test_what_is_a_little_behind_the_front_is_not_the_foreground() -> None:
    """Two of a window's five columns are the limb, the others a decimetre behind it."""
    image = layers((310, 320, 2.0), rest=2.1)
    assert view(image).foreground(PLACE, RADIUS)[0, 0] == pytest.approx(2.0)


def test_far_away_the_foreground_is_as_deep_as_the_noise() -> None:
    image = layers((310, 320, 8.0), rest=8.2)  # noise of 0.11 m
    assert view(image).foreground(PLACE, RADIUS)[0, 0] == pytest.approx(8.2)


def test_the_middle_of_an_even_number_of_depths_is_their_mean() -> None:
    image = layers((310, 318, 2.0), (319, 320, 2.04), rest=6.0)
    assert view(image).foreground(PLACE, RADIUS)[0, 0] == pytest.approx(2.02)


def test_one_bad_pixel_on_the_way_does_no_harm() -> None:
    image = np.full((480, 640), 2.0)
    image[240, 150] = 0.5
    begin, end = np.array([[[100.0, 240.0]]]), np.array([[[200.0, 240.0]]])
    found = view(image).along(begin, end, 9, RADIUS)
    np.testing.assert_allclose(found, np.full((1, 1, 9), 2.0))


def test_noise_is_least_where_the_camera_is_next() -> None:
    np.testing.assert_allclose(depth_noise(np.array([0.1, 0.2, 0.4]), CONFIG), CONFIG.depth_noise)
