# SPDX-License-Identifier: Apache-2.0
"""Where things are after the camera moved: an affine map (2, 3), px before -> px after."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.errors import InputError

FloatArray = NDArray[np.floating]
Affine = NDArray[np.float64]


def checked(motion: FloatArray) -> Affine:
    """The map in double precision.

    Raises:
        InputError: it has another shape, is not finite, or mirrors or flattens the picture.
    """
    out = np.asarray(motion, np.float64)
    if out.shape != (2, 3):
        raise InputError(f"camera motion: expected shape (2, 3), got {out.shape}")
    if not np.isfinite(out).all() or np.linalg.det(out[:, :2]) <= 0:
        raise InputError(
            f"camera motion: expected a finite map that does not mirror, got {out.tolist()}"
        )
    return out


def scale_of(motion: Affine) -> float:
    """How many times lengths grow; of an affine map, the geometric mean of its two scales."""
    return float(np.sqrt(np.linalg.det(motion[:, :2])))


def warp_points(points: FloatArray, motion: Affine) -> FloatArray:
    """(..., 2) px before -> (..., 2) px after."""
    return points @ motion[:, :2].T + motion[:, 2]


def warp_boxes(boxes: FloatArray, motion: Affine) -> NDArray[np.float32]:
    """(..., 4) xyxy: the centre moves, the sides scale; a turned box does not grow."""
    center = warp_points((boxes[..., :2] + boxes[..., 2:]) / 2, motion)
    half = (boxes[..., 2:] - boxes[..., :2]) / 2 * scale_of(motion)
    return np.concatenate([center - half, center + half], -1).astype(np.float32)
