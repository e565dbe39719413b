# SPDX-License-Identifier: Apache-2.0
"""Poses of single images in the JSON formats of others: AlphaPose, COCO results, OpenPose."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from alphapose_ros.base.boxes import xyxy_to_xywh
from alphapose_ros.base.errors import InputError
from alphapose_ros.base.keypoints import check_mapped, map_keypoints
from alphapose_ros.base.records import FloatArray, Poses
from alphapose_ros.base.skeletons import FACE68, HAND21, Skeleton
from alphapose_ros.io.sinks import flat_keypoints

Row = dict[str, Any]

BODY25 = (
    "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist pelvis "
    "right_hip right_knee right_ankle left_hip left_knee left_ankle right_eye left_eye right_ear "
    "left_ear left_big_toe left_small_toe left_heel right_big_toe right_small_toe right_heel"
).split()
_BODY25 = Skeleton(
    "body25", tuple(BODY25), {"body": slice(0, 25)}, (), (), np.full(25, 0.08, np.float32)
)
_FACE = FACE68.keypoint_names
_HANDS = [[f"{side}_hand_{name}" for name in HAND21.keypoint_names] for side in ("left", "right")]
_PUPILS = 2  # OpenPose's face is the same 68 points and both pupils, which our models lack


def alphapose_rows(image_name: str, poses: Poses) -> list[Row]:
    """AlphaPose's default list, one row per person; ``idx`` is an integer here, always.

    ``score`` is AlphaPose's own, the mean joint score + the box score + 1.25 times the best joint
    score, which is not bounded by 1. ``idx`` is the person's number in the image from 0.
    """
    totals = _proposal_scores(poses)
    boxes = xyxy_to_xywh(poses.boxes)
    joints = flat_keypoints(poses.keypoints, poses.scores)
    return [
        {
            "image_id": image_name,
            "category_id": 1,
            "keypoints": joints[row],
            "score": round(float(totals[row]), 4),
            "box": [round(float(value), 2) for value in boxes[row]],
            "idx": row,
        }
        for row in range(len(poses))
    ]


def _proposal_scores(poses: Poses) -> FloatArray:
    if len(poses) == 0:
        return np.zeros(0, np.float32)
    total = poses.scores.mean(1) + poses.box_scores + 1.25 * poses.scores.max(1)
    return total.astype(np.float32)


def coco_rows(image_id: int | str, poses: Poses) -> list[Row]:
    """COCO's result rows; 3 numbers for each joint of the poses' skeleton.

    ``score`` is the person's, in [0, 1]; ``bbox`` and ``box_score`` are the detector's.
    """
    boxes, totals = xyxy_to_xywh(poses.boxes), poses.person_scores
    joints = flat_keypoints(poses.keypoints, poses.scores)
    return [
        {
            "image_id": image_id,
            "category_id": 1,
            "keypoints": joints[row],
            "score": round(float(totals[row]), 6),
            "bbox": [round(float(value), 2) for value in boxes[row]],
            "box_score": round(float(poses.box_scores[row]), 6),
        }
        for row in range(len(poses))
    ]


def to_skeleton(poses: Poses, skeleton: Skeleton) -> Poses:
    """The same people with the joints of another skeleton, matched by name; others get score 0.

    Raises:
        ConfigError: not a single joint is in both.
    """
    check_mapped(poses.skeleton, skeleton)
    return poses.mapped(skeleton)


def coco_image_id(stem: str) -> int | str:
    """The integer in a file's stem (the last one: ``COCO_val2014_000000000042`` is 42), or it."""
    numbers = re.findall(r"\d+", stem)
    return int(numbers[-1]) if numbers else stem


def check_openpose(skeleton: Skeleton) -> None:
    """Refuse a skeleton that OpenPose's document has no place for.

    Raises:
        InputError: it has no joint of BODY_25, no face and no hand.
    """
    names = set(skeleton.keypoint_names)
    if not names & set(BODY25) and not any(set(part) <= names for part in (_FACE, *_HANDS)):
        raise InputError(
            f"--format openpose: expected joints of BODY_25, a face or a hand, got none of them "
            f"in {skeleton.name!r}; alphapose and coco take any skeleton"
        )


def openpose_document(poses: Poses) -> Row:
    """OpenPose's document of one image: BODY_25, 70 face points, 21 points per hand.

    Joints are found by name, so any skeleton with some of them will do (:func:`check_openpose`);
    a joint without a score is ``0, 0, 0``; a part that the skeleton lacks is an empty list, as
    OpenPose writes it when that network is off. Neck and mid-hip are the midpoints of shoulders
    and hips where the model does not give its own.
    """
    body = _body25(poses)
    face = _part(poses, _FACE, padding=_PUPILS)
    left, right = (_part(poses, names) for names in _HANDS)
    return {
        "version": 1.3,
        "people": [
            {
                "person_id": [-1],
                "pose_keypoints_2d": body[row],
                "face_keypoints_2d": face[row],
                "hand_left_keypoints_2d": left[row],
                "hand_right_keypoints_2d": right[row],
                "pose_keypoints_3d": [],
                "face_keypoints_3d": [],
                "hand_left_keypoints_3d": [],
                "hand_right_keypoints_3d": [],
            }
            for row in range(len(poses))
        ],
    }


def _body25(poses: Poses) -> list[list[float]]:
    keypoints, scores = map_keypoints(poses.keypoints, poses.scores, poses.skeleton, _BODY25)
    for name, pair in {"neck": "shoulder", "pelvis": "hip"}.items():
        k = _BODY25.index(name)
        a, b = (_BODY25.index(f"{side}_{pair}") for side in ("left", "right"))
        untaught = scores[:, k] == 0  # a joint that the model was never taught has score 0
        middle = (keypoints[:, a] + keypoints[:, b]) / 2
        keypoints[:, k] = np.where(untaught[:, None], middle, keypoints[:, k])
        lower = np.minimum(scores[:, a], scores[:, b])
        scores[:, k] = np.where(untaught, lower, scores[:, k])
    return _zeroed(keypoints, scores)


def _part(poses: Poses, names: Sequence[str], padding: int = 0) -> list[list[float]]:
    positions = {name: k for k, name in enumerate(poses.skeleton.keypoint_names)}
    if any(name not in positions for name in names):
        return [[] for _ in range(len(poses))]
    chosen = [positions[name] for name in names]
    rows = _zeroed(poses.keypoints[:, chosen], poses.scores[:, chosen])
    return [row + [0.0] * (3 * padding) for row in rows]


def _zeroed(keypoints: FloatArray, scores: FloatArray) -> list[list[float]]:
    seen = scores > 0
    return flat_keypoints(np.where(seen[..., None], keypoints, 0), np.where(seen, scores, 0))
