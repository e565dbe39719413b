# SPDX-License-Identifier: Apache-2.0
"""One person as the tracker knows them between two images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.boxes import box_center
from alphapose_ros.base.records import TrackState
from alphapose_ros.tracking.config import TrackerConfig
from alphapose_ros.tracking.look import Look
from alphapose_ros.tracking.smoothing import OneEuroFilter
from alphapose_ros.tracking.warp import warp_boxes, warp_points

FloatArray = NDArray[np.float32]

LEARNING_CONFIDENCE = 0.5  # in greater doubt, looks are compared and not learned
EVIDENCE = 2.0  # of one comparison at most: odds change by e^2
LEAST_DOUBT = 1e-3
LEARN_EVERY_NS = 200_000_000  # an image is like the one before; exemplars are to differ


@dataclass
class Tracklet:
    """Everything about one person; the tracker alone changes it.

    Attributes:
        track_id: number of the unbroken track.
        began_ns, seen_ns: stamps of the track's first and of the last detection.
        box: (4,) px xyxy, filtered, when last seen; ``keypoints`` belong to it.
        keypoints: (K, 2) px as last seen.
        scores: (K,) as last seen.
        box_score: of the last detection.
        identity: 0 while tentative.
        state: TENTATIVE, TRACKED or LOST.
        hits: detections so far.
        confidence: [0, 1] that the identity is still the same person's.
        look: the person's appearance, as far as embeddings were given.
        looked_ns: stamp of the last embedding that could be trusted at all.
        learned_ns: stamp of the last embedding that was offered as an exemplar.
        due_ns: stamp from which a tentative track had all that an identity takes.
        smoother: the joints' filter, where smoothing is on.
    """

    track_id: int
    began_ns: int
    seen_ns: int
    box: FloatArray
    keypoints: FloatArray
    scores: FloatArray
    box_score: float = 1.0
    identity: int = 0
    state: TrackState = TrackState.TENTATIVE
    hits: int = 1
    confidence: float = 0.0
    look: Look = field(default_factory=Look)
    looked_ns: int | None = None
    learned_ns: int = 0
    due_ns: int | None = None
    smoother: OneEuroFilter | None = None

    def age_s(self, stamp_ns: int) -> float:
        """Seconds since the track began."""
        return (stamp_ns - self.began_ns) / 1e9

    def since_seen_s(self, stamp_ns: int) -> float:
        """Seconds since the last detection."""
        return (stamp_ns - self.seen_ns) / 1e9

    def remember(
        self, embedding: FloatArray, quality: float, alone: float, config: TrackerConfig
    ) -> None:
        """Learn from a detection's embedding, and from the exemplars whether it is still them.

        Args:
            embedding: (D,) unit vector.
            quality: how far it can be trusted, [0, 1].
            alone: share of the box that nobody else covers; another's clothes are not learned.
            config: what is alike.
        """
        if quality <= 0:
            return
        self.looked_ns = self.seen_ns
        self.look.follow(embedding, quality * alone)
        if len(self.look.weights) and self.seen_ns - self.learned_ns < LEARN_EVERY_NS:
            return
        self.learned_ns, weight = self.seen_ns, quality * alone**2
        similarity = self.look.similarity(embedding)
        if self.identity and similarity is not None:
            lead = similarity - config.appearance_similarity
            scale = max(config.gallery_margin, 1e-3)
            self._reassure(weight * EVIDENCE * float(np.clip(lead / scale, -1, 1)))
            # A stranger in the same place is not to teach how this person looks.
            if lead < 0 or self.confidence < LEARNING_CONFIDENCE:
                return
        self.look.add(embedding, weight)

    def _reassure(self, evidence: float) -> None:
        """Change the odds that the identity is right by e^evidence; certainty stays certain."""
        doubt = max(1 - self.confidence, LEAST_DOUBT)
        odds = np.exp(evidence) * self.confidence / doubt
        updated = float(odds / (1 + odds))
        self.confidence = (max if evidence > 0 else min)(self.confidence, updated)

    def move_camera(self, motion: NDArray[np.float64]) -> None:
        """Say where the camera, moved by an affine map (2, 3), would have seen everything."""
        self.box = warp_boxes(self.box, motion)
        self.keypoints = warp_points(self.keypoints, motion).astype(np.float32)
        if self.smoother is not None:
            self.smoother.move_camera(motion)


def predicted_keypoints(people: Sequence[Tracklet], boxes: FloatArray) -> FloatArray:
    """Poses as last seen, moved and scaled to the predicted ``boxes`` (T, 4): (T, K, 2) px."""
    if not people:
        return np.zeros((0, 0, 2), np.float32)
    seen = np.stack([person.box for person in people])
    keypoints = np.stack([person.keypoints for person in people])
    scale = np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(1) / (seen[:, 2:] - seen[:, :2]).prod(1))
    relative = keypoints - box_center(seen)[:, None]
    return (relative * scale[:, None, None] + box_center(boxes)[:, None]).astype(np.float32)
