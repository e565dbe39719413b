# SPDX-License-Identifier: Apache-2.0
"""One person as the tracker knows them between two images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.records import TrackState
from alphapose_ros.tracking.kalman import BoxMotion
from alphapose_ros.tracking.smoothing import OneEuroFilter

FloatArray = NDArray[np.float32]

EMBEDDING_MEMORY = 0.9  # share of the old embedding at full quality of the new one


@dataclass
class Tracklet:
    """Everything about one person; the tracker alone changes it.

    Attributes:
        track_id: number of the unbroken track.
        began_ns, seen_ns: stamps of the track's first and of the last detection.
        motion: one row, predicted to the image being worked on or corrected by it.
        seen_motion: the same when the person was last seen; ``keypoints`` belong to it.
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
    motion: BoxMotion
    seen_motion: BoxMotion
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

    def predicted_keypoints(self) -> FloatArray:
        """(K, 2) px: the last pose, moved and scaled with the predicted box."""
        old, new = self.seen_motion.boxes[0], self.motion.boxes[0]
        scale = np.sqrt((new[2:] - new[:2]).prod() / (old[2:] - old[:2]).prod())
        moved = (self.keypoints - (old[:2] + old[2:]) / 2) * scale + (new[:2] + new[2:]) / 2
        return moved.astype(np.float32)

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
