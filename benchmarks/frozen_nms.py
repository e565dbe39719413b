# SPDX-License-Identifier: Apache-2.0
"""Pose NMS in its whole-body form as loops, frozen: results and time to compare with.

:func:`literal_pose_nms` is the formula over Python lists, joint by joint.
:func:`per_pick_pose_nms` compares each pick with all that remain in arrays, as AlphaPose organises
it; the merging stays joint by joint, as there.

FROZEN: it must not be optimised and imports nothing of the code that it is compared with but
records, the skeleton and the parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.records import Poses
from alphapose_ros.base.skeletons import Skeleton
from alphapose_ros.pose.nms_config import PoseNmsConfig

FloatArray = NDArray[np.floating]
Row = list[float]
Joints = list[tuple[float, float]]  # weight and tolerance of each


def literal_pose_nms(poses: Poses, config: PoseNmsConfig) -> Poses:
    """The best pose takes all that are alike, then the best of the rest, and so on."""
    people = list(zip(poses.keypoints.tolist(), poses.scores.tolist(), strict=True))
    sizes = _sizes(poses)
    joints = _joints(poses.skeleton, config)

    def alike(pick: int, remaining: list[int]) -> list[bool]:
        return [
            literal_similarity(
                people[pick],
                people[row],
                math.sqrt(sizes[pick] * sizes[row]),
                joints,
                config,
            )
            > config.threshold
            for row in remaining
        ]

    return _greedy(poses, alike, sizes, config)


def per_pick_pose_nms(poses: Poses, config: PoseNmsConfig) -> Poses:
    """The same, each pick compared with all the remaining poses by array operations."""
    sizes = _sizes(poses)
    weights, tolerance = np.array(_joints(poses.skeleton, config)).T
    valid = (poses.scores >= config.min_joint_score) & (poses.scores > 0)
    soft = np.tanh(poses.scores / config.confidence_scale)

    def alike(pick: int, remaining: list[int]) -> list[bool]:
        rows = np.array(remaining)
        unit = np.sqrt(sizes[pick] * np.array(sizes)[rows])[:, None] * tolerance
        distance = np.linalg.norm(poses.keypoints[rows] - poses.keypoints[pick], axis=-1) / unit
        value = config.spatial_weight * np.exp(-distance / config.spatial_scale)
        value += np.where(distance <= config.match_radius, soft[rows] * soft[pick], 0)
        total = (value * weights * (valid[rows] & valid[pick])).sum(1)
        complete = (weights * valid).sum(1)
        least = np.minimum(complete[rows], complete[pick]) * (1 + config.spatial_weight)
        similarity = np.divide(total, least, out=np.zeros_like(total), where=least > 0)
        return (similarity > config.threshold).tolist()

    return _greedy(poses, alike, sizes, config)


def _greedy(
    poses: Poses,
    alike: Callable[[int, list[int]], list[bool]],
    sizes: Row,
    config: PoseNmsConfig,
) -> Poses:
    keypoints, scores = poses.keypoints.tolist(), poses.scores.tolist()
    persons = _person_scores(scores, poses.box_scores.tolist(), poses.skeleton)
    remaining = list(range(len(poses)))
    picks: list[int] = []
    out_keypoints: list[list[Row]] = []
    out_scores: list[Row] = []
    while remaining:
        pick = remaining[0]
        for row in remaining:
            if persons[row] > persons[pick]:
                pick = row
        cluster, rest = [], []
        for row, same in zip(remaining, alike(pick, remaining), strict=True):
            (cluster if same or row == pick else rest).append(row)
        remaining = rest
        if not any(_counts(score, config) for score in scores[pick]):
            continue
        radius = config.merge_radius * sizes[pick]
        merged, merged_scores = _merged(keypoints, scores, pick, cluster, radius, config)
        picks.append(pick)
        out_keypoints.append(merged)
        out_scores.append(merged_scores)
    count = len(poses.skeleton)
    rows = np.array(picks, int)
    return Poses(
        np.array(out_keypoints, np.float32).reshape(-1, count, 2),
        np.array(out_scores, np.float32).reshape(-1, count),
        poses.boxes[rows],
        poses.box_scores[rows],
        poses.source[rows],
        poses.skeleton,
    )


def _sizes(poses: Poses) -> Row:
    """Square root of each box's area, px."""
    return [math.sqrt(max((b[2] - b[0]) * (b[3] - b[1]), 1e-30)) for b in poses.boxes.tolist()]


def literal_similarity(
    first: tuple[list[Row], Row],
    second: tuple[list[Row], Row],
    unit: float,
    joints: Joints,
    config: PoseNmsConfig,
) -> float:
    """RMPE's similarity of two poses as a fraction of what the less complete one could reach.

    Args:
        first, second: joints in px and their scores.
        unit: px, the geometric mean of both persons' sizes.
        joints: weight and tolerance of each.
        config: see ``PoseNmsConfig``.
    """
    total = complete_first = complete_second = 0.0
    for k, (weight, tolerance) in enumerate(joints):
        score_first, score_second = first[1][k], second[1][k]
        valid_first, valid_second = _counts(score_first, config), _counts(score_second, config)
        complete_first += weight * valid_first
        complete_second += weight * valid_second
        if not (valid_first and valid_second):
            continue
        (ax, ay), (bx, by) = first[0][k], second[0][k]
        distance = math.hypot(ax - bx, ay - by) / (unit * tolerance)
        value = config.spatial_weight * math.exp(-distance / config.spatial_scale)
        if distance <= config.match_radius:
            value += math.tanh(score_first / config.confidence_scale) * math.tanh(
                score_second / config.confidence_scale
            )
        total += weight * value
    least = min(complete_first, complete_second) * (1 + config.spatial_weight)
    return total / least if least > 0 else 0.0


def _counts(score: float, config: PoseNmsConfig) -> bool:
    return score >= config.min_joint_score and score > 0


def _person_scores(scores: list[Row], box_scores: Row, skeleton: Skeleton) -> Row:
    body = skeleton.parts.get("body", slice(None))
    out = []
    for row, box_score in zip(scores, box_scores, strict=True):
        total = sum(row[body])
        mean = sum(value**2 for value in row[body]) / total if total > 0 else 0.0
        out.append(mean * box_score)
    return out


def _joints(skeleton: Skeleton, config: PoseNmsConfig) -> list[tuple[float, float]]:
    """Weight and tolerance of each joint; a part's weight is shared by its joints."""
    kinds = {
        "body": (1.0, 1.0),
        "feet": (config.feet_weight, 1.0),
        "face": (config.face_weight, config.face_tolerance),
        "left_hand": (config.hand_weight, config.hand_tolerance),
        "right_hand": (config.hand_weight, config.hand_tolerance),
    }
    out: list[tuple[float, float]] = []
    for part, joints in skeleton.parts.items():
        weight, tolerance = kinds[part]
        count = joints.stop - joints.start
        out += [(weight / count, tolerance)] * count
    return out


def _merged(
    keypoints: list[list[Row]],
    scores: list[Row],
    pick: int,
    cluster: list[int],
    radius: float,
    config: PoseNmsConfig,
) -> tuple[list[Row], Row]:
    """Joints of a cluster near those of the pick, averaged by their scores."""
    out, out_scores = [], []
    for k, point in enumerate(keypoints[pick]):
        if not radius or not _counts(scores[pick][k], config):
            out.append(point)
            out_scores.append(scores[pick][k])
            continue
        total, x, y, score = 0.0, 0.0, 0.0, 0.0
        for row in cluster:
            value, other = scores[row][k], keypoints[row][k]
            near = math.hypot(other[0] - point[0], other[1] - point[1]) <= radius
            if near and _counts(value, config):
                total += value
                x += value * other[0]
                y += value * other[1]
                score += value * value
        out.append([x / total, y / total])
        out_scores.append(score / total)
    return out, out_scores
