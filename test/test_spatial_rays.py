# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from alphapose_ros.base.errors import InputError, MissingDependencyError
from alphapose_ros.base.records import Intrinsics
from alphapose_ros.spatial.rays import viewing_rays

CAMERA = Intrinsics(500.0, 510.0, 321.0, 238.0, (480, 640))
MATRIX = np.array([[500.0, 0, 321], [0, 510, 238], [0, 0, 1]])
LENSES = {
    "plumb_bob": (-0.28, 0.09, 0.001, -0.0007, -0.02),
    "rational_polynomial": (0.6, -0.3, 0.0005, -0.0003, -0.02, 0.9, -0.2, -0.06),
    "equidistant": (0.02, -0.01, 0.004, -0.001),
}


def distorted(rays, model):
    """(N, 2) px where OpenCV projects the rays."""
    cv2 = pytest.importorskip("cv2")
    points = np.concatenate([rays, np.ones((len(rays), 1))], 1)
    none = np.zeros(3)
    if model == "equidistant":
        out = cv2.fisheye.projectPoints(
            points[:, None], none, none, MATRIX, np.array(LENSES[model])
        )
    else:
        out = cv2.projectPoints(points, none, none, MATRIX, np.array(LENSES[model]))
    return out[0].reshape(-1, 2)


@pytest.mark.parametrize("model", LENSES)
def test_rays_of_projected_points_are_the_points(model, rng) -> None:
    rays = rng.uniform([-0.55, -0.4], [0.55, 0.4], (300, 2))
    pixels = distorted(rays, model)
    lens = replace(CAMERA, distortion=LENSES[model], distortion_model=model)
    assert np.abs(pixels - (rays * (500, 510) + (321, 238))).max() > 3  # it does distort
    np.testing.assert_allclose(viewing_rays(pixels, lens), rays, atol=1e-4)


@pytest.mark.parametrize("model", LENSES)
def test_short_and_zero_coefficients_are_padded(model, rng) -> None:
    pixels = rng.uniform(0, 480, (5, 2))
    one = replace(CAMERA, distortion=(-0.1,), distortion_model=model)
    padded = replace(
        one, distortion=(-0.1, 0, 0, 0, *[0.0] * (0 if model == "equidistant" else 4))
    )
    pytest.importorskip("cv2")
    np.testing.assert_allclose(viewing_rays(pixels, one), viewing_rays(pixels, padded))
    zero = replace(CAMERA, distortion=(0.0,) * 5, distortion_model=model)
    np.testing.assert_allclose(viewing_rays(pixels, zero), viewing_rays(pixels, CAMERA))


def test_without_distortion_there_is_no_need_of_opencv(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    np.testing.assert_allclose(viewing_rays([[821.0, 748.0]], CAMERA), [[1.0, 1.0]])
    lens = replace(CAMERA, distortion=(0.1,))
    with pytest.raises(MissingDependencyError, match="distorted camera"):
        viewing_rays([[1.0, 2.0]], lens)


@pytest.mark.parametrize("model", LENSES)
def test_nobody_and_nan(model) -> None:
    pytest.importorskip("cv2")
    lens = replace(CAMERA, distortion=LENSES[model], distortion_model=model)
    assert viewing_rays(np.zeros((0, 17, 2)), lens).shape == (0, 17, 2)
    rays = viewing_rays([[[np.nan, 1.0], [321.0, 238.0]]], lens)
    assert np.isnan(rays[0, 0]).all()
    np.testing.assert_allclose(rays[0, 1], 0, atol=1e-9)


def test_what_a_lens_sees_at_its_side_has_no_ray() -> None:
    """At 88 degrees from the axis z is next to nothing."""
    pytest.importorskip("cv2")
    lens = replace(CAMERA, fx=200.0, fy=200.0, distortion=(1e-9,), distortion_model="equidistant")
    pixels = np.array([[321 + 200 * np.radians(angle), 238] for angle in (80, 88)])
    rays = viewing_rays(pixels, lens)
    assert rays[0, 0] == pytest.approx(np.tan(np.radians(80)), rel=1e-3)
    assert np.isnan(rays[1]).all()


def test_what_is_no_camera_is_refused() -> None:
    with pytest.raises(InputError, match="focal lengths > 0"):
        viewing_rays([[1.0, 2.0]], replace(CAMERA, fx=0.0))
    with pytest.raises(InputError, match=r"a distortion model of plumb_bob.*got 'wide'"):
        viewing_rays([[1.0, 2.0]], replace(CAMERA, distortion=(0.1,), distortion_model="wide"))
    lens = replace(CAMERA, distortion=(0.1,) * 5, distortion_model="equidistant")
    with pytest.raises(InputError, match="at most 4 coefficients of equidistant, got 5"):
        viewing_rays([[1.0, 2.0]], lens)
