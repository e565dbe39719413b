# SPDX-License-Identifier: Apache-2.0
"""Boxes in place of a detector's, between two of its images: where people are expected.

The pose network then looks there. Its joints say where the box really is, because a prediction
that came back as an observation would only confirm itself, and whether anybody is left in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.boxes import box_center
from alphapose_ros.base.records import Detections, Poses, TrackState
from alphapose_ros.tracking.association import compared_joints
from alphapose_ros.tracking.births import pose_confidence
from alphapose_ros.tracking.config import TrackerConfig
from alphapose_ros.tracking.tracklet import Tracklet, predicted_keypoints

FloatArray = NDArray[np.float32]

LEAST_JOINTS = 3  # that the pose before and the pose now must share, where there are as many
MOST_GROWTH = 1.25  # of a person's size since then
FADED = 0.7  # share of its last confidence from which a pose is still somebody's


@dataclass(frozen=True)
class Expectation:
    """The people of one camera where the next image should show them.

    Attributes:
        boxes: (N, 4) px xyxy.
        box_scores: (N,) as last detected.
        keypoints: (N, K, 2) px, as last seen and moved with the boxes.
        scores: (N, K) as last seen.
    """

    boxes: FloatArray
    box_scores: FloatArray
    keypoints: FloatArray
    scores: FloatArray

    @property
    def detections(self) -> Detections:
        """What stands in for a detector's boxes."""
        return Detections(self.boxes, self.box_scores)

    def found(self, poses: Poses, config: TrackerConfig) -> Poses:
        """Those of the poses in these boxes that show somebody, with boxes moved as their joints.

        Args:
            poses: a row for each box, possibly fewer; ``source`` says which.
            config: what counts as a joint and as a pose.
        """
        old, joints = poses.source, compared_joints(poses.skeleton)
        before, now = self.scores[old][:, joints], poses.scores[:, joints]
        shared = (before >= config.joint_score) & (now >= config.joint_score)
        weights = np.where(shared, np.minimum(before, now), 0).astype(np.float64)
        boxes = _moved(
            self.boxes[old], self.keypoints[old][:, joints], poses.keypoints[:, joints], weights
        )
        was, confidence = pose_confidence(before), pose_confidence(now)
        least = np.minimum(FADED * was, config.start_pose_score)
        enough = shared.sum(1) >= min(LEAST_JOINTS, shared.shape[1])
        kept = enough & (confidence >= least)
        return replace(poses, boxes=boxes)[kept]


def expectation(
    people: Sequence[Tracklet], predicted: FloatArray, stamp_ns: int, config: TrackerConfig
) -> Expectation | None:
    """Of those who are followed; None where only a detector can tell.

    That is: nobody is followed, somebody was just lost, or a tentative track is to be confirmed.

    Args:
        people: T of them.
        predicted: (T, 4) their boxes at ``stamp_ns``.
        stamp_ns: time of the image.
        config: for how long a lost person may be back at any moment.
    """
    who = [i for i, person in enumerate(people) if person.state == TrackState.TRACKED]
    if not who or any(_is_in_doubt(person, stamp_ns, config) for person in people):
        return None
    followed = [people[i] for i in who]
    return Expectation(
        predicted[who],
        np.array([person.box_score for person in followed], np.float32),
        predicted_keypoints(followed, predicted[who]),
        np.stack([person.scores for person in followed]),
    )


def _is_in_doubt(person: Tracklet, stamp_ns: int, config: TrackerConfig) -> bool:
    if person.state == TrackState.LOST:
        return person.since_seen_s(stamp_ns) <= config.gap_s
    return person.state == TrackState.TENTATIVE


def _moved(
    boxes: FloatArray, before: FloatArray, now: FloatArray, weights: NDArray[np.float64]
) -> FloatArray:
    """Boxes (N, 4) shifted and scaled as joints (N, J, 2) were, by weight (N, J)."""
    total = np.maximum(weights.sum(1), 1e-9)[:, None]
    share = (weights / total)[..., None]
    center_before, center_now = (share * before).sum(1), (share * now).sum(1)
    spread_before, spread_now = (
        (share * (points - center[:, None]) ** 2).sum((1, 2))
        for points, center in ((before, center_before), (now, center_now))
    )
    # A single joint has no spread and says nothing about size.
    ratio = np.sqrt(np.maximum(spread_now, 1e-6) / np.maximum(spread_before, 1e-6))
    scale = np.clip(ratio, 1 / MOST_GROWTH, MOST_GROWTH)[:, None]
    center = center_now + (box_center(boxes) - center_before) * scale
    half = (boxes[:, 2:] - boxes[:, :2]) / 2 * scale
    return np.concatenate([center - half, center + half], 1).astype(np.float32)
