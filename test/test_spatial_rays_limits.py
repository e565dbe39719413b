# SPDX-License-Identifier: Apache-2.0
"""Lenses at the limits of what is inverted, and coefficients as drivers publish them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_spatial_rays import CAMERA, LENSES, MATRIX

from alphapose_ros.base.errors import InputError
from alphapose_ros.spatial.rays import viewing_rays


@pytest.mark.parametrize("focal", [{"fx": np.nan}, {"fy": np.nan}, {"fy": 0.0}, {"fx": -500.0}])
def test_every_focal_length_is_positive(focal) -> None:
    with pytest.raises(InputError, match="focal lengths > 0"):
        viewing_rays([[1.0, 2.0]], replace(CAMERA, **focal))


@pytest.mark.parametrize("direction", [(1, 0), (-1, 0), (0, 1), (0, -1)])
def test_a_wide_lens_is_trusted_up_to_87_degrees_on_every_side(direction) -> None:
    pytest.importorskip("cv2")
    lens = replace(CAMERA, fx=200.0, fy=200.0, distortion=(1e-9,), distortion_model="equidistant")
    angles = np.radians([86.0, 88.0])[:, None]
    rays = viewing_rays((321, 238) + 200 * angles * direction, lens)
    np.testing.assert_allclose(rays[0], np.tan(angles[0]) * direction, rtol=1e-2, atol=1e-6)
    assert np.isnan(rays[1]).all()


@pytest.mark.parametrize("count", [8, 12, 14])
def test_a_thin_prism_and_a_tilted_sensor_are_taken_out(count, rng) -> None:
    cv2 = pytest.importorskip("cv2")
    thin = (*LENSES["rational_polynomial"], 0.004, -0.002, 0.003, 0.001, 0.01, -0.02)[:count]
    rays = rng.uniform([-0.5, -0.4], [0.5, 0.4], (100, 2))
    points = np.concatenate([rays, np.ones((100, 1))], 1)
    pixels = cv2.projectPoints(points, np.zeros(3), np.zeros(3), MATRIX, np.array(thin))[0]
    lens = replace(CAMERA, distortion=thin, distortion_model="rational_polynomial")
    np.testing.assert_allclose(viewing_rays(pixels[:, 0], lens), rays, atol=1e-4)


def test_a_strong_pincushion_is_inverted_to_its_corners() -> None:
    """Ten steps of OpenCV's iteration leave two millimetres at one metre."""
    cv2 = pytest.importorskip("cv2")
    strong = (0.15, 0.05, 0.0, 0.0, 0.0)
    rays = np.array([[0.9, 0.7], [-1.0, 0.6], [0.8, -0.8], [0.0, 0.9]])
    points = np.concatenate([rays, np.ones((4, 1))], 1)
    pixels = cv2.projectPoints(points, np.zeros(3), np.zeros(3), MATRIX, np.array(strong))[0]
    lens = replace(CAMERA, distortion=strong)
    np.testing.assert_allclose(viewing_rays(pixels[:, 0], lens), rays, atol=1e-6)


@pytest.mark.parametrize(("model", "zeros"), [("equidistant", 4), ("plumb_bob", 12)])
def test_zeros_at_the_end_are_no_coefficients(model, zeros) -> None:
    pytest.importorskip("cv2")
    pixels = np.array([[100.0, 50.0], [600.0, 400.0]])
    lens = replace(CAMERA, distortion=LENSES[model], distortion_model=model)
    longer = replace(lens, distortion=(*LENSES[model], *[0.0] * zeros))
    np.testing.assert_allclose(viewing_rays(pixels, longer), viewing_rays(pixels, lens))
