# SPDX-License-Identifier: Apache-2.0
"""Parts of other pictures put onto a person: similarity, soft mask, matched colour."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
Image = NDArray[np.uint8]


def similarity(source: FloatArray, target: FloatArray) -> FloatArray:
    """The rotation, scale and shift (2, 3) taking two points onto two points."""
    a, b = source[1] - source[0], target[1] - target[0]
    ratio = complex(*b) / complex(*a)
    linear = np.array([[ratio.real, -ratio.imag], [ratio.imag, ratio.real]])
    shift = target[0] - linear @ source[0]
    return np.concatenate([linear, shift[:, None]], 1).astype(np.float32)


def paste(
    under: Image,
    over: Image,
    matrix: FloatArray,
    mask: FloatArray,
    gain: FloatArray | None = None,
) -> Image:
    """``over``, moved by ``matrix`` (2, 3), on ``under`` where ``mask`` (h, w) is not 0.

    The colours are matched as :func:`blend` says.
    """
    size = under.shape[1::-1]
    moved = cv2.warpAffine(softened(over, matrix), matrix, size, flags=cv2.INTER_LINEAR)
    ones = np.ones(over.shape[:2], np.float32)
    inside = cv2.warpAffine(ones, matrix, size, flags=cv2.INTER_NEAREST)
    return blend(under, np.asarray(moved, np.uint8), mask * inside, gain)


def softened(image: Image, matrix: FloatArray) -> Image:
    """A strongly shrunken source is averaged first: bilinear sampling alone would alias."""
    scale = scale_of(matrix)
    if scale >= 0.7:
        return image
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 0.4 / scale), np.uint8)


def scale_of(matrix: FloatArray) -> float:
    """By how much a similarity (2, 3) enlarges."""
    return float(np.hypot(matrix[0, 0], matrix[1, 0]))


def soft_ellipse(points: FloatArray, size_hw: tuple[int, int], grow: float = 1.08) -> FloatArray:
    """1 inside the points' extent enlarged by ``grow``, falling to 0 over a tenth of its size."""
    low, high = points.min(0), points.max(0)
    center, half = (low + high) / 2, np.maximum((high - low) / 2, 2) * grow
    ys, xs = np.mgrid[: size_hw[0], : size_hw[1]].astype(np.float32)
    radius = np.hypot((xs - center[0]) / half[0], (ys - center[1]) / half[1])
    return np.clip((1.1 - radius) / 0.2, 0, 1).astype(np.float32)


def soft_shape(
    points: FloatArray, pieces: Sequence[Sequence[int]], grow: float, size_hw: tuple[int, int]
) -> FloatArray:
    """1 inside the convex hulls of ``pieces``, each enlarged by ``grow`` px, with soft edges.

    Args:
        points: (K, 2) px; far outside the picture they are held near it.
        pieces: rows of ``points``; two make a limb, more an area.
        grow: half of a limb's thickness, px.
        size_hw: of the mask.
    """
    height, width = size_hw
    near = np.clip(points, (-2 * width, -2 * height), (3 * width, 3 * height))
    corners = np.round(near * 8).astype(np.int32)  # OpenCV draws on eighths of pixels
    mask = np.zeros(size_hw, np.float32)
    for piece in pieces:
        hull = cv2.convexHull(corners[list(piece)])
        cv2.fillConvexPoly(mask, hull, (1.0,), shift=3)
        cv2.polylines(mask, [hull], True, (1.0,), max(1, round(2 * grow)), shift=3)
    return np.asarray(cv2.GaussianBlur(mask, (0, 0), max(grow / 4, 0.5)), np.float32)


def blend(under: Image, over: Image, mask: FloatArray, gain: FloatArray | None = None) -> Image:
    """``over`` on ``under`` by ``mask`` (h, w).

    ``gain`` (3,) multiplies its channels; None: mean and spread per channel become those of what
    is covered, where the mask is full.
    """
    core = mask > 0.9
    if not core.any():
        return under
    if gain is None:
        a, b = under[core].astype(np.float32), over[core].astype(np.float32)
        spread = np.clip((a.std(0) + 4) / (b.std(0) + 4), 0.5, 1.5)
        matched = (over.astype(np.float32) - b.mean(0)) * spread + a.mean(0)
    else:
        matched = over * gain
    mixed = under * (1 - mask[..., None]) + np.clip(matched, 0, 255) * mask[..., None]
    return np.clip(mixed, 0, 255).astype(np.uint8)


def mean_colour(image: Image, center: FloatArray, radius: float) -> FloatArray | None:
    """Mean (3,) of the square of 2 ``radius`` px about a point, as far as it is in the image."""
    height, width = image.shape[:2]
    low = np.maximum(np.floor(center - radius).astype(int), 0)
    high = np.minimum(np.ceil(center + radius).astype(int) + 1, (width, height))
    if (high <= low).any():
        return None
    return image[low[1] : high[1], low[0] : high[0]].mean((0, 1), dtype=np.float32)
