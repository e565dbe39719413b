# SPDX-License-Identifier: Apache-2.0
"""Which detections are people enough to begin a track, and in which order they are looked at."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.boxes import box_iou
from alphapose_ros.base.records import Poses
from alphapose_ros.tracking.association import compared_joints
from alphapose_ros.tracking.config import TrackerConfig


def canonical(poses: Poses) -> list[int]:
    """Rows by score, then by place: an order that does not depend on the order of the rows."""
    return np.lexsort((*poses.boxes.T, -poses.box_scores)).tolist()


def credible(poses: Poses, config: TrackerConfig) -> NDArray[np.bool_]:
    """(N,) detections that may begin a track or confirm one: sure boxes around sure joints."""
    mean = pose_confidence(poses.scores[:, compared_joints(poses.skeleton)])
    sure: NDArray[np.bool_] = poses.box_scores >= config.start_score
    return sure & (mean >= config.start_pose_score)


def pose_confidence(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """(N,) mean of the better half of the taught joints (N, J): who is close shows no legs."""
    body = np.sort(scores, axis=1)[:, ::-1]
    known = (body > 0).sum(1, keepdims=True)
    better_half = np.arange(body.shape[1]) < (known + 1) // 2
    mean: NDArray[np.float32] = (body * better_half).sum(1) / np.maximum(better_half.sum(1), 1)
    return mean


def births(taken: Collection[int], poses: Poses, config: TrackerConfig) -> list[int]:
    """Rows that begin a track: sure ones that no person has taken and that double nobody."""
    sure, free = credible(poses, config), set(range(len(poses))) - set(taken)
    present, born = sorted(taken), []
    for row in (r for r in canonical(poses) if r in free and sure[r]):
        overlap = box_iou(poses.boxes[[row]], poses.boxes[np.array(present, np.intp)])
        if (overlap < config.duplicate_iou).all():
            present.append(row)
            born.append(row)
    return born
