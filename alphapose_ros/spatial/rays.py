# SPDX-License-Identifier: Apache-2.0
"""Pixels -> viewing rays, with the lens's distortion taken out."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from alphapose_ros.base.errors import InputError, require
from alphapose_ros.base.records import Intrinsics

FloatArray = NDArray[np.float64]

_PINHOLE_LENGTHS = (4, 5, 8, 12, 14)  # of the coefficients that cv2.undistortPoints takes
_PINHOLE = ("plumb_bob", "rational_polynomial")
_FISHEYE = "equidistant"
_WIDEST = 20.0  # |x/z|: 87 degrees from the axis; beyond it an inverted distortion is not to trust


def viewing_rays(pixels: ArrayLike, intrinsics: Intrinsics) -> FloatArray:
    """(..., 2) px -> (..., 2) x/z and y/z in the camera's optical frame (REP-104).

    Distortion is that of CameraInfo's models: ``plumb_bob`` and ``rational_polynomial`` by
    OpenCV's pinhole model, ``equidistant`` by its fisheye model (Kannala & Brandt 2006). Without
    coefficients OpenCV is not needed. NaN stays NaN.

    Raises:
        InputError: focal lengths that are not positive, an unknown model, too many coefficients.
        MissingDependencyError: there is distortion, and no OpenCV.
    """
    focal, centre = np.array([intrinsics.fx, intrinsics.fy]), (intrinsics.cx, intrinsics.cy)
    if not (focal > 0).all():
        raise InputError(f"intrinsics: expected focal lengths > 0 px, got {tuple(focal)}")
    points = np.asarray(pixels, np.float64)
    coefficients = _coefficients(intrinsics)
    if not coefficients.any():
        plain: FloatArray = (points - centre) / focal
        return plain
    good = np.isfinite(points).all(-1)
    rays = np.full(points.shape, np.nan)
    if good.any():  # OpenCV takes no empty arrays
        rays[good] = _undistorted(points[good], intrinsics, coefficients)
    rays[(np.abs(rays) > _WIDEST).any(-1)] = np.nan
    return rays


def _coefficients(intrinsics: Intrinsics) -> FloatArray:
    """The coefficients, padded with zeros to a length that OpenCV takes."""
    given, model = np.asarray(intrinsics.distortion, np.float64), intrinsics.distortion_model
    if not given.any():
        return np.zeros(0)
    if model != _FISHEYE and model not in _PINHOLE:
        known = ", ".join((*_PINHOLE, _FISHEYE))
        raise InputError(f"intrinsics: expected a distortion model of {known}; got {model!r}")
    lengths = (4,) if model == _FISHEYE else _PINHOLE_LENGTHS
    used = given[: int(np.flatnonzero(given)[-1]) + 1]
    if used.size > lengths[-1]:
        raise InputError(
            f"intrinsics: expected at most {lengths[-1]} coefficients of {model}, got {given.size}"
        )
    return np.pad(used, (0, min(n for n in lengths if n >= used.size) - used.size))


def _undistorted(
    points: FloatArray, intrinsics: Intrinsics, coefficients: FloatArray
) -> FloatArray:
    cv2 = require(
        "cv2",
        needed_for="3-D with a distorted camera",
        install="install opencv-python-headless, or publish rectified images",
    )
    camera = np.diag([intrinsics.fx, intrinsics.fy, 1.0])
    camera[:2, 2] = intrinsics.cx, intrinsics.cy
    until = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 40, 1e-9)
    source = np.ascontiguousarray(points[:, None])
    if intrinsics.distortion_model == _FISHEYE:
        out = cv2.fisheye.undistortPoints(source, camera, coefficients)
    elif hasattr(cv2, "undistortPointsIter"):  # before OpenCV 5
        out = cv2.undistortPointsIter(source, camera, coefficients, None, None, until)
    else:
        out = cv2.undistortPoints(source, camera, coefficients, criteria=until)
    return np.asarray(out, np.float64).reshape(-1, 2)
