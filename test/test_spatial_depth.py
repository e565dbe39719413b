# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.records import Intrinsics
from alphapose_ros.spatial.config import SpatialConfig
from alphapose_ros.spatial.depth import DepthView, depth_noise, known_median

CAMERA = Intrinsics(500.0, 500.0, 319.5, 239.5, (480, 640))
CONFIG = SpatialConfig()


def view(depth):
    return DepthView(np.asarray(depth, np.float32), CAMERA, CONFIG)


@given(hnp.arrays(np.float64, (4, 7), elements=st.floats(-9, 9) | st.just(np.nan)))
def test_the_known_median_is_numpys(values) -> None:
    slow = [np.median(row[~np.isnan(row)]) if (~np.isnan(row)).any() else np.nan for row in values]
    np.testing.assert_allclose(known_median(values), slow)


def test_the_median_of_no_columns_is_unknown() -> None:
    assert np.isnan(known_median(np.zeros((3, 0)))).all()


@pytest.mark.parametrize("size", [(480, 640), (240, 320), (960, 1280), (96, 128)])
def test_pixels_of_a_depth_image_of_another_size(size, rng) -> None:
    """A pixel's centre in one image is the same place in the other."""
    depth = rng.uniform(1, 5, size)
    looked = view(depth)
    scale = size[1] / 640
    rows, columns = rng.integers(0, size[0], 50), rng.integers(0, size[1], 50)
    pixels = (np.stack([columns, rows], 1) + 0.5) / scale - 0.5
    np.testing.assert_allclose(looked.at(pixels), depth[rows, columns], rtol=1e-6)
    corners = np.array([[-0.49, -0.49], [639.49, 479.49]])
    np.testing.assert_allclose(looked.at(corners), [depth[0, 0], depth[-1, -1]], rtol=1e-6)
    outside = np.array([[-0.51, 3], [3, -0.51], [639.51, 3], [3, 479.51], [np.nan, 3], [1e30, 3]])
    assert np.isnan(looked.at(outside)).all()


@pytest.mark.parametrize("shape", [(480, 480), (240, 325), (480,), (480, 640, 1), (0, 0)])
def test_a_depth_image_of_another_shape_is_refused(shape) -> None:
    with pytest.raises(InputError, match=r"depth: expected .*480.*640.*, got"):
        view(np.ones(shape))


def test_an_aspect_ratio_is_equal_within_a_percent() -> None:
    assert view(np.ones((480, 636))).at(np.array([[10.0, 10.0]])) == 1


@pytest.mark.parametrize("min_depth", [0.0, 0.2])
@pytest.mark.parametrize("hole", [0.0, -1.0])
def test_a_hole_is_no_depth_of_zero(hole, min_depth) -> None:
    """Whatever the least depth is: else people would stand where the camera is."""
    config = SpatialConfig(min_depth=min_depth)
    looked = DepthView(np.full((480, 640), hole, np.float32), CAMERA, config)
    assert np.isnan(looked.at(np.array([[3.0, 3.0]])))


@pytest.mark.parametrize("unknown", [np.nan, np.inf, -np.inf, 0.0, -1.0, 0.1, 10.1])
def test_what_is_no_depth_is_unknown(unknown) -> None:
    assert np.isnan(view(np.full((480, 640), unknown)).at(np.array([[3.0, 3.0]])))


@pytest.mark.parametrize("flip", [1, -1])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
def test_a_window_at_an_edge_has_the_foregrounds_depth(flip, share, rng) -> None:
    depth = np.full((480, 640), 2.4)
    depth[:, 320:] = 2.0
    depth = depth[:, ::flip] + rng.normal(0, 0.006, depth.shape)
    x = 319.5 + flip * (share - 0.5) * 10
    found = view(depth).foreground(np.array([[[x, 240.0]]]), np.array([5.0]))
    assert found[0, 0] == pytest.approx(2.0, abs=0.01)


def test_a_window_without_enough_pixels_is_unknown(rng) -> None:
    depth = np.where(rng.random((480, 640)) < 0.05, 2.0, np.nan)
    pixels = rng.uniform(20, 400, (1, 50, 2))
    assert np.isnan(view(depth).foreground(pixels, np.array([5.0]))).mean() > 0.9


def test_a_radius_follows_the_distance_within_limits() -> None:
    radius = view(np.ones((480, 640))).radius(np.array([2.0, 0.3, 9.9, np.nan]))
    np.testing.assert_allclose(radius, [5.0, 12.0, 0.02 * 500 / 9.9, np.nan])
    assert view(np.ones((48, 64))).radius(np.array([2.0])) == 10  # one px of the small image


def test_noise_is_a_kinects() -> None:
    """Khoshelham & Elberink 2012: a few mm at half a metre, 4 cm at 5 m."""
    noise = depth_noise(np.array([0.5, 5.0]), CONFIG)
    assert noise[0] < 0.003
    assert 0.035 < noise[1] < 0.045
