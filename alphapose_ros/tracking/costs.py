# SPDX-License-Identifier: Apache-2.0
"""How well T predicted people and N detections agree: similarities in [0, 1], (T, N) each.

Similarities instead of costs, so that nothing in common is 0 and several cues are a weighted mean.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.boxes import box_area, box_center
from alphapose_ros.base.keypoints import oks

FloatArray = NDArray[np.floating]
BoolArray = NDArray[np.bool_]
Cue = tuple[FloatArray, FloatArray | float]  # similarity and its weight, each (T, N) or broadcast


def pose_similarity(
    first: tuple[FloatArray, FloatArray],
    second: tuple[FloatArray, FloatArray],
    areas: FloatArray,
    sigmas: FloatArray,
    joint_score: float,
    compared: BoolArray | None = None,
) -> tuple[FloatArray, BoolArray]:
    """OKS over the joints that both poses know, and which pairs share any.

    Args:
        first: keypoints (T, K, 2) px and scores (T, K) of the people.
        second: keypoints (N, K, 2) px and scores (N, K) of the detections.
        areas: (T,) px² of the people.
        sigmas: (K,).
        joint_score: joints below, and those of score 0, are not known.
        compared: (T, N) pairs worth the arithmetic; None: all.

    Returns:
        Similarity (T, N), 0 where no joint is shared, and whether any is (T, N); 0 and no for
        pairs that are not compared.
    """
    shape = len(first[0]), len(second[0])
    t, n = np.nonzero(np.ones(shape, bool) if compared is None else compared)
    known = [(scores >= joint_score) & (scores > 0) for _, scores in (first, second)]
    both = known[0][t] & known[1][n]
    similarity, shared = np.zeros(shape, np.float32), np.zeros(shape, bool)
    similarity[t, n] = oks(
        first[0][t].astype(np.float32),
        second[0][n].astype(np.float32),
        np.asarray(areas, np.float32)[t],
        sigmas,
        both.astype(np.float32),
    )
    shared[t, n] = both.any(-1)
    return similarity, shared


def distance_similarity(distances: FloatArray, gate: float | FloatArray) -> FloatArray:
    """Distances -> 1 at the prediction, falling to 0 at the gate, which has the same unit."""
    return np.maximum(1 - (distances / gate) ** 2, 0)


def center_distances(first: FloatArray, second: FloatArray) -> FloatArray:
    """Distances of the centres in sizes of the first box, (T, 4) and (N, 4) -> (T, N)."""
    sizes = np.sqrt(np.maximum(box_area(first), 1))
    gap = box_center(first)[:, None] - box_center(second)[None]
    return np.sqrt((gap**2).sum(-1)) / sizes[:, None]


def appearance_similarity(first: FloatArray, second: FloatArray) -> FloatArray:
    """Cosine of unit embeddings (T, D) and (N, D), negative ones cut to 0."""
    return np.clip(first @ second.T, 0, 1)


def crowding(boxes: FloatArray) -> FloatArray:
    """(N,) largest share of each box (N, 4) that another one covers."""
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = np.maximum(high - low, 0).prod(-1)
    np.fill_diagonal(shared, 0)
    return shared.max(1, initial=0) / np.maximum(box_area(boxes), 1)


def fuse(cues: Sequence[Cue]) -> FloatArray:
    """Weighted mean of the cues; a cue of weight 0 has no say, no cue at all gives 0."""
    total = sum(similarity * np.asarray(weight) for similarity, weight in cues)
    weights = sum(np.broadcast_to(weight, similarity.shape) for similarity, weight in cues)
    total, weights = np.asarray(total, np.float64), np.asarray(weights, np.float64)
    return np.divide(total, weights, out=np.zeros_like(total), where=weights > 0)


def size_ratios(first: FloatArray, second: FloatArray) -> FloatArray:
    """How many times the larger of two boxes is as large as the other, (T, 4) and (N, 4)."""
    tiny = np.finfo(np.float32).tiny
    a, b = (np.sqrt(np.maximum(box_area(boxes), tiny)) for boxes in (first, second))
    ratio = a[:, None] / b[None]
    return np.maximum(ratio, 1 / ratio)
