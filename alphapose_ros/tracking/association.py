# SPDX-License-Identifier: Apache-2.0
"""All cues of one image between the people known and the poses found, and a stage of matching."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.boxes import box_area, box_iou
from alphapose_ros.base.records import Appearance, Poses
from alphapose_ros.base.skeletons import Skeleton
from alphapose_ros.tracking.assignment import assign
from alphapose_ros.tracking.config import TrackerConfig
from alphapose_ros.tracking.costs import (
    Cue,
    appearance_similarity,
    center_distances,
    distance_similarity,
    fuse,
    pose_similarity,
    size_ratios,
)
from alphapose_ros.tracking.kalman import BoxMotion, KalmanFilter
from alphapose_ros.tracking.tracklet import Tracklet, predicted_keypoints

FloatArray = NDArray[np.floating]

SURE_IOU = 0.3  # boxes or poses that agree this much pass the gate, wherever they were predicted
SURE_OKS = 0.5
RIVAL_POWER = 4  # sharpens similarities into shares of belief


@dataclass(frozen=True)
class Match:
    """A person (row of the tracklets) and a pose (row of the poses) that belong together.

    ``share`` in [0, 1] is what is left for this person when rivals claim the same pose.
    """

    person: int
    row: int
    similarity: float
    share: float


class Cues:
    """Similarities of T predicted people and N poses, computed once, read by every stage.

    Attributes:
        overlap: (T, N) IoU with the predicted boxes.
        near: (T, N) boxes and poses fused, for people who were just seen.
        loose: (T, N) the same with the distance to the prediction, for people who were not.
    """

    def __init__(
        self,
        people: Sequence[Tracklet],
        motion: BoxMotion,
        poses: Poses,
        appearance: Appearance | None,
        stamp_ns: int,
        config: TrackerConfig,
    ) -> None:
        iou = box_iou(motion.boxes, poses.boxes)
        distance = KalmanFilter(config).center_distance(motion, poses.boxes)
        since_s = np.array([person.since_seen_s(stamp_ns) for person in people])
        similarity, shared = _oks(people, motion, poses, since_s, config)
        # A camera that turns or a person who starts to walk is not where the filter says.
        limit = config.reach + config.reach_speed * since_s
        nearness = distance_similarity(center_distances(motion.boxes, poses.boxes), limit[:, None])
        gate = (distance <= config.gate) | (nearness > 0)
        gate &= size_ratios(motion.boxes, poses.boxes) <= config.size_ratio
        gate |= (iou >= SURE_IOU) | (similarity >= SURE_OKS)
        others: list[Cue] = [(similarity, config.pose_weight * shared)]
        if appearance is not None:
            others.append(_appearance(people, appearance, config))
        reach = np.maximum(iou, nearness)
        reach = np.maximum(reach, distance_similarity(distance, config.gate))
        self.overlap = np.where(gate, iou, -np.inf)
        self.near = np.where(gate, fuse([(iou, config.box_weight), *others]), -np.inf)
        self.loose = np.where(gate, fuse([(reach, config.box_weight), *others]), -np.inf)


def match(
    similarity: FloatArray, people: Sequence[int], rows: Sequence[int], least: float
) -> list[Match]:
    """One stage: the best pairs of ``people`` and ``rows`` by one of the cues' matrices."""
    part = similarity[np.ix_(np.array(people, np.intp), np.array(rows, np.intp))]
    out = []
    for i, j in zip(*assign(part, least), strict=True):
        claims = np.maximum(part[:, j], 0) ** RIVAL_POWER
        mine = claims[i]
        rival = np.delete(claims, i).max(initial=0)
        share = mine / (mine + rival) if mine > 0 else 0.5
        out.append(Match(people[i], rows[j], float(part[i, j]), float(share)))
    return out


def compared_joints(skeleton: Skeleton) -> slice:
    """The body; face and hands are too small and too quick to tell people apart by place."""
    return skeleton.parts.get("body", slice(None))


def _oks(
    people: Sequence[Tracklet],
    motion: BoxMotion,
    poses: Poses,
    since_s: FloatArray,
    config: TrackerConfig,
) -> tuple[FloatArray, NDArray[np.bool_]]:
    joints = compared_joints(poses.skeleton)
    count = len(poses.skeleton.sigmas[joints])
    keypoints = predicted_keypoints(people, motion.boxes)[:, joints]
    scores = [person.scores[joints] for person in people]
    # Limbs go on moving while nobody looks: the tolerance doubles after a second.
    areas = box_area(motion.boxes) * (config.pose_tolerance * (1 + since_s)) ** 2
    return pose_similarity(
        (keypoints.reshape(-1, count, 2), np.array(scores).reshape(-1, count)),
        (poses.keypoints[:, joints], poses.scores[:, joints]),
        areas,
        poses.skeleton.sigmas[joints],
        config.joint_score,
    )


def _appearance(people: Sequence[Tracklet], appearance: Appearance, config: TrackerConfig) -> Cue:
    width = appearance.embeddings.shape[1]
    known = np.array([person.embedding is not None for person in people], bool)
    stored = [
        np.zeros(width, np.float32) if person.embedding is None else person.embedding
        for person in people
    ]
    similarity = appearance_similarity(
        np.array(stored, np.float32).reshape(-1, width), appearance.embeddings
    )
    return similarity, config.appearance_weight * known[:, None] * appearance.quality
