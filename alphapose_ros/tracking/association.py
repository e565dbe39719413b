# SPDX-License-Identifier: Apache-2.0
"""All cues of one image between the people known and the poses found, and stages of matching."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.boxes import box_area, box_iou
from alphapose_ros.base.records import Appearance, Poses, TrackState
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
BoolArray = NDArray[np.bool_]

SURE_IOU = 0.3  # boxes or poses that agree this much pass the gate, wherever they were predicted
SURE_OKS = 0.5
COMPARABLE = 2.0  # sizes between centres within which poses are compared; grows with the time
RIVAL_POWER = 4  # sharpens similarities into shares of belief
WAITING_HANDICAP = 0.1  # of people out of sight, whose vague prediction fits too much


@dataclass(frozen=True)
class Match:
    """A person (row of the tracklets) and a pose (row of the poses) that belong together.

    ``share`` in [0, 1] is what is left for this person when rivals claim the same pose.
    """

    person: int
    row: int
    similarity: float
    share: float


@dataclass(frozen=True)
class Stage:
    """One round of matching: who may get which pose, by which similarity, and from how much on."""

    similarity: FloatArray
    people: Sequence[int]
    rows: Sequence[int]
    least: float


class Cues:
    """Similarities of T predicted people and N poses, computed once, read by every stage.

    Attributes:
        look: (T, N) appearance, pose and place fused, where both looks are known and alike.
        overlap: (T, N) IoU with the predicted boxes.
        near: (T, N) boxes and poses fused, for people who were just seen.
        loose: (T, N) the same with the distance to the prediction, for people who were not.

    Where looks speak against a pair, no cue allows it.
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
        apart = center_distances(motion.boxes, poses.boxes)
        # A camera that turns or a person who starts to walk is not where the filter says.
        limit = config.reach + config.reach_speed * since_s
        nearness = distance_similarity(apart, limit[:, None])
        gate = (distance <= config.gate) | (nearness > 0)
        gate &= size_ratios(motion.boxes, poses.boxes) <= config.size_ratio
        compared = gate | (apart <= COMPARABLE * (1 + since_s[:, None]))
        similarity, shared = _oks(people, motion, poses, since_s, compared, config)
        gate |= (iou >= SURE_IOU) | (similarity >= SURE_OKS)
        reach = np.maximum(iou, nearness)
        reach = np.maximum(reach, distance_similarity(distance, config.gate))
        pose: Cue = (similarity, config.pose_weight * shared)
        here, there = (iou, config.box_weight), (reach, config.box_weight)
        looks = _appearance(people, appearance, len(poses), config)
        waiting = np.array([p.state == TrackState.LOST for p in people], bool)[:, None]
        # Who was out of sight must look alike where looks are known; else a stranger would do.
        least = np.where(waiting, config.appearance_similarity, config.appearance_veto)
        alike = (looks[0] >= config.appearance_similarity) & (looks[1] > 0)
        open_ = gate & ((looks[0] >= least) | (looks[1] == 0))
        known = fuse([there, pose, looks]) - WAITING_HANDICAP * waiting
        self.look = np.where(gate & alike, known, -np.inf)
        self.overlap = np.where(open_, iou, -np.inf)
        self.near = np.where(open_, fuse([here, pose, looks]), -np.inf)
        self.loose = np.where(open_, fuse([there, pose, looks]), -np.inf)


def match(
    similarity: FloatArray, people: Sequence[int], rows: Sequence[int], least: float
) -> list[Match]:
    """One stage: the best pairs of ``people`` and ``rows`` by one matrix of similarities."""
    if not people or not rows:
        return []
    part = similarity[np.ix_(np.array(people, np.intp), np.array(rows, np.intp))]
    mine, theirs = assign(part, least)
    claims = np.maximum(part[:, theirs], 0) ** RIVAL_POWER
    own = claims[mine, np.arange(len(mine))]
    claims[mine, np.arange(len(mine))] = 0
    total = own + claims.max(0, initial=0)
    shares = np.divide(own, total, out=np.full(len(own), 0.5), where=own > 0)
    pairs = zip(mine, theirs, part[mine, theirs], shares, strict=True)
    return [Match(people[i], rows[j], float(value), float(share)) for i, j, value, share in pairs]


def cascade(stages: Iterable[Stage]) -> list[Match]:
    """The stages in turn, each among the people and poses that those before it have left."""
    out: list[Match] = []
    for stage in stages:
        done, used = {m.person for m in out}, {m.row for m in out}
        people = [p for p in stage.people if p not in done]
        rows = [r for r in stage.rows if r not in used]
        out += match(stage.similarity, people, rows, stage.least)
    return out


def compared_joints(skeleton: Skeleton) -> slice:
    """The body; face and hands are too small and too quick to tell people apart by place."""
    return skeleton.parts.get("body", slice(None))


def _oks(
    people: Sequence[Tracklet],
    motion: BoxMotion,
    poses: Poses,
    since_s: FloatArray,
    compared: BoolArray,
    config: TrackerConfig,
) -> tuple[FloatArray, BoolArray]:
    """OKS of the pairs that are ``compared``, and which of them share joints; 0 elsewhere."""
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
        compared,
    )


def _appearance(
    people: Sequence[Tracklet], appearance: Appearance | None, count: int, config: TrackerConfig
) -> Cue:
    """Cosines (T, N) and their weights, 0 where one of the two looks is not known."""
    if appearance is None:
        return np.zeros((len(people), count)), np.zeros((len(people), count))
    width = appearance.embeddings.shape[1]
    known = np.array([person.look.mean is not None for person in people], bool)
    nothing = np.zeros(width, np.float32)
    means = [nothing if p.look.mean is None else p.look.mean for p in people]
    similarity = appearance_similarity(
        np.array(means, np.float32).reshape(-1, width), appearance.embeddings
    )
    return similarity, config.appearance_weight * known[:, None] * appearance.quality
