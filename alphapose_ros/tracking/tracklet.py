# SPDX-License-Identifier: Apache-2.0
"""One person as the tracker knows them between two images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.boxes import box_center
from alphapose_ros.base.records import TrackState
from alphapose_ros.tracking.smoothing import OneEuroFilter

FloatArray = NDArray[np.float32]

EMBEDDING_MEMORY = 0.9  # share of the old embedding at full quality of the new one


@dataclass
class Tracklet:
    """Everything about one person; the tracker alone changes it.

    Attributes:
        track_id: number of the unbroken track.
        began_ns, seen_ns: stamps of the track's first and of the last detection.
        box: (4,) px xyxy, filtered, when last seen; ``keypoints`` belong to it.
        keypoints: (K, 2) px as last seen.
        scores: (K,) as last seen.
        identity: 0 while tentative.
        state: TENTATIVE, TRACKED or LOST.
        hits: detections so far.
        confidence: [0, 1] that the identity is still the same person's.
        embedding: (D,) unit vector of the person's appearance, once one was given.
        smoother: the joints' filter, where smoothing is on.
    """

    track_id: int
    began_ns: int
    seen_ns: int
    box: FloatArray
    keypoints: FloatArray
    scores: FloatArray
    identity: int = 0
    state: TrackState = TrackState.TENTATIVE
    hits: int = 1
    confidence: float = 0.0
    embedding: FloatArray | None = None
    smoother: OneEuroFilter | None = None

    def age_s(self, stamp_ns: int) -> float:
        """Seconds since the track began."""
        return (stamp_ns - self.began_ns) / 1e9

    def since_seen_s(self, stamp_ns: int) -> float:
        """Seconds since the last detection."""
        return (stamp_ns - self.seen_ns) / 1e9

    def remember(self, embedding: FloatArray, quality: float) -> None:
        """Blend a detection's embedding in, the more the better its quality."""
        if quality <= 0:
            return
        if self.embedding is None:
            self.embedding = embedding
            return
        blend = self.embedding + (1 - EMBEDDING_MEMORY) * quality * (embedding - self.embedding)
        norm = float(np.linalg.norm(blend))
        if norm > 0:
            self.embedding = (blend / norm).astype(np.float32)


def predicted_keypoints(people: Sequence[Tracklet], boxes: FloatArray) -> FloatArray:
    """Poses as last seen, moved and scaled to the predicted ``boxes`` (T, 4): (T, K, 2) px."""
    if not people:
        return np.zeros((0, 0, 2), np.float32)
    seen = np.stack([person.box for person in people])
    keypoints = np.stack([person.keypoints for person in people])
    scale = np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(1) / (seen[:, 2:] - seen[:, :2]).prod(1))
    relative = keypoints - box_center(seen)[:, None]
    return (relative * scale[:, None, None] + box_center(boxes)[:, None]).astype(np.float32)
