# SPDX-License-Identifier: Apache-2.0
"""Boxes are continuous corners ``x1, y1, x2, y2`` in px: width is ``x2 - x1``, never plus one."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float32]


def xywh_to_xyxy(boxes: ArrayLike) -> FloatArray:
    """(N, 4) top-left and size -> (N, 4) corners."""
    out = np.array(boxes, np.float32).reshape(-1, 4)
    out[:, 2:] += out[:, :2]
    return out


def xyxy_to_xywh(boxes: ArrayLike) -> FloatArray:
    """(N, 4) corners -> (N, 4) top-left and size."""
    out = np.array(boxes, np.float32).reshape(-1, 4)
    out[:, 2:] -= out[:, :2]
    return out


def box_area(boxes: FloatArray) -> FloatArray:
    """(N, 4) -> (N,) px²; a box turned inside out has none."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    return sides[:, 0] * sides[:, 1]


def box_center(boxes: FloatArray) -> FloatArray:
    """(N, 4) -> (N, 2) px."""
    return (boxes[:, :2] + boxes[:, 2:]) * np.float32(0.5)


def clip_boxes(boxes: FloatArray, size_hw: tuple[int, int]) -> FloatArray:
    """Corners moved into the image rectangle ``[0, W] x [0, H]``."""
    height, width = size_hw
    limits = np.array([width, height, width, height], np.float32)
    return np.clip(boxes, 0, limits).astype(np.float32, copy=False)


def box_iou(first: FloatArray, second: FloatArray) -> FloatArray:
    """Pairwise intersection over union, (N, 4) and (M, 4) -> (N, M); two empty boxes have 0."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    sides = np.maximum(high - low, 0)
    shared = sides[..., 0] * sides[..., 1]
    union = box_area(first)[:, None] + box_area(second)[None] - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)


def non_maximum_suppression(
    boxes: FloatArray, scores: FloatArray, iou_threshold: float
) -> NDArray[np.intp]:
    """Greedy NMS; rows kept, best score first. Ties keep the earlier row.

    NumPy on purpose: detectors of robots leave some hundred candidates, and no compiled operator
    of another package is needed for them.
    """
    remaining = np.argsort(-scores, kind="stable")
    kept: list[np.intp] = []
    while remaining.size:
        best, remaining = remaining[0], remaining[1:]
        kept.append(best)
        overlap = box_iou(boxes[best][None], boxes[remaining])[0]
        remaining = remaining[overlap <= iou_threshold]
    return np.array(kept, np.intp)
