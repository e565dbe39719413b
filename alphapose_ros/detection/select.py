# SPDX-License-Identifier: Apache-2.0
"""From a network's candidates to people: threshold, clipping, size, suppression, number."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from alphapose_ros.base.boxes import clip_boxes, non_maximum_suppression
from alphapose_ros.base.records import Detections
from alphapose_ros.detection.config import DetectorConfig

CANDIDATES = 1000  # beyond that many above the threshold, suppression would take the time


def best_candidates(
    boxes: Tensor, scores: Tensor, threshold: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(A, 4) and (A,) on any device -> those above ``threshold`` as arrays, best first."""
    chosen = (scores >= threshold).nonzero()[:, 0]
    scores, order = scores[chosen].sort(descending=True, stable=True)
    scores, chosen = scores[:CANDIDATES], chosen[order[:CANDIDATES]]
    return boxes[chosen].float().cpu().numpy(), scores.float().cpu().numpy()


def select_people(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    size_hw: tuple[int, int],
    config: DetectorConfig,
) -> Detections:
    """Candidates (N, 4) in px of an image of ``size_hw`` and scores (N,) -> its people."""
    boxes = clip_boxes(boxes, size_hw)
    sides = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf)
    sound = (scores >= config.score_threshold) & (sides > 0) & (sides >= config.min_box_px)
    boxes, scores = boxes[sound], scores[sound]
    kept = non_maximum_suppression(boxes, scores, config.nms_iou)[: config.max_people]
    return Detections(boxes[kept], scores[kept])
