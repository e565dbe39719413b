# SPDX-License-Identifier: Apache-2.0
"""Hands pasted onto wrists: a hand-only set teaches the hand as large as it is on a person.

The hand goes on with its wrist on the person's wrist, in the direction of the forearm turned by
the wrist's bend, and as large as a palm is beside the arm. A left hand for a right wrist is
mirrored.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base import affine
from alphapose_ros.base.errors import InputError
from alphapose_ros.base.skeletons import HAND21, Skeleton
from alphapose_ros.data.augment import Crop
from alphapose_ros.data.pasting import mean_colour, paste, similarity, soft_shape

FloatArray = NDArray[np.float32]

# Of the 21 points: the wrist, and the roots of the four fingers.
_WRIST, _MIDDLE, _KNUCKLES = 0, 9, (5, 9, 13, 17)
_FOREARM_PER_UPPER_ARM = 0.85  # of adults: about 25 to 30 cm, joint to joint
_FINGER_PER_PALM = 0.1  # half of a finger's thickness
_LEAST_ARM_PX, _LEAST_PALM_PX = 12.0, 6.0


@dataclass(frozen=True)
class Hand:
    """An annotated hand: image (h, w, 3), points (21, 2), labels (21,), ``left`` or ``right``."""

    image: NDArray[np.uint8]
    points: FloatArray
    labels: NDArray[np.uint8]
    side: str

    def mirrored(self) -> Hand:
        """The other hand of the person in the mirror."""
        points = self.points.copy()
        points[:, 0] = self.image.shape[1] - 1 - points[:, 0]
        other = "left" if self.side == "right" else "right"
        return Hand(np.ascontiguousarray(self.image[:, ::-1]), points, self.labels, other)


@dataclass(frozen=True)
class Arm:
    """Where a hand can go: ``side``, wrist (2,), unit direction (2,) out of the forearm, length px
    of the forearm as it would be unshortened by perspective.
    """

    side: str
    wrist: FloatArray
    direction: FloatArray
    length: float


def hand_points(
    points: FloatArray, labels: NDArray[np.uint8], skeleton: Skeleton
) -> tuple[str, FloatArray, NDArray[np.uint8]] | None:
    """Side, points (21, 2) and labels (21,) of the hand with the most labels, or None.

    A skeleton that is one hand is taken as a right one (FreiHAND's are). There must be a wrist,
    all four roots of the fingers, and some size.

    Raises:
        InputError: a skeleton without hands.
    """
    parts = {"right_hand": "right", "left_hand": "left", "hand": "right"}
    found = [name for name in parts if name in skeleton.parts]
    if not found:
        raise InputError(f"hand set: expected a skeleton with hands, got {skeleton.name!r}")
    best = max(found, key=lambda name: int((labels[skeleton.parts[name]] > 0).sum()))
    mine, known = points[skeleton.parts[best]], labels[skeleton.parts[best]]
    if not (known[[_WRIST, *_KNUCKLES]] > 0).all() or palm_of(mine) < _LEAST_PALM_PX:
        return None
    if np.hypot(*(mine[_MIDDLE] - mine[_WRIST])) < _LEAST_PALM_PX / 2:
        return None
    return parts[best], mine, known


def palm_of(points: FloatArray) -> float:
    """Length px of a palm: from the wrist to the farthest root of a finger."""
    return float(np.hypot(*(points[list(_KNUCKLES)] - points[_WRIST]).T).max())


def arm_length(
    points: FloatArray, labels: NDArray[np.uint8], side: str, skeleton: Skeleton
) -> float | None:
    """A forearm's length px, by the upper arm where that is less shortened; None: not annotated.

    Elbow and wrist must be annotated (2), the shoulder may be.
    """
    index = [skeleton.index(f"{side}_{name}") for name in ("wrist", "elbow", "shoulder")]
    if (labels[index[:2]] != 2).any():
        return None
    wrist, elbow, shoulder = points[index]
    forearm = float(np.hypot(*(wrist - elbow)))
    upper = float(np.hypot(*(elbow - shoulder))) if labels[index[2]] == 2 else 0.0
    return max(forearm, _FOREARM_PER_UPPER_ARM * upper)


def palm_ratio(
    points: FloatArray, labels: NDArray[np.uint8], side: str, skeleton: Skeleton
) -> float | None:
    """A labelled palm in lengths of its annotated forearm, or None."""
    hand = slice(0, 0) if f"{side}_hand" not in skeleton.parts else skeleton.parts[f"{side}_hand"]
    known = labels[hand]
    if len(known) != 21 or not (known[[_WRIST, *_KNUCKLES]] > 0).all():
        return None
    arm = arm_length(points, labels, side, skeleton)
    palm = palm_of(points[hand])
    return palm / arm if arm is not None and min(arm, palm) > 1 else None


def arms_of(skeleton: Skeleton, crop: Crop) -> list[Arm]:
    """Arms in a crop (right first) whose wrist is in it and whose hand has no labels yet."""
    out = []
    limits = np.array(crop.image.shape[1::-1])
    for side in ("right", "left"):
        if f"{side}_hand" not in skeleton.parts:
            continue
        length = arm_length(crop.points, crop.labels, side, skeleton)
        taken = crop.labels[skeleton.parts[f"{side}_hand"]].any()
        wrist = crop.points[skeleton.index(f"{side}_wrist")]
        line = wrist - crop.points[skeleton.index(f"{side}_elbow")]
        inside = (wrist >= 0).all() and (wrist < limits).all()
        if length is None or taken or not inside or length < _LEAST_ARM_PX:
            continue
        reach = float(np.hypot(*line))
        if reach > _LEAST_ARM_PX / 3:  # a forearm towards the camera has no direction
            out.append(Arm(side, wrist, line / np.float32(reach), length))
    return out


def paste_hand(
    crop: Crop, arm: Arm, hand: Hand, ratio: float, turn_deg: float, skeleton: Skeleton
) -> Crop:
    """Put ``hand`` onto ``arm`` of a person crop.

    Args:
        crop: the person, in network coordinates, mirrored already where it is mirrored.
        arm: one of :func:`arms_of`.
        hand: of either side.
        ratio: length of the palm in forearms.
        turn_deg: bend of the wrist in the picture.
        skeleton: one with the parts ``left_hand`` and ``right_hand``.
    """
    fitting = hand if hand.side == arm.side else hand.mirrored()
    bone = float(np.hypot(*(fitting.points[_MIDDLE] - fitting.points[_WRIST])))
    scale = ratio * arm.length / palm_of(fitting.points)
    angle = np.deg2rad(turn_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    knuckle = arm.wrist + turn @ arm.direction * bone * scale
    matrix = similarity(
        fitting.points[[_WRIST, _MIDDLE]], np.stack([arm.wrist, knuckle]).astype(np.float32)
    )
    moved = affine.apply_affine(matrix, fitting.points)
    known = fitting.labels > 0
    size_hw = crop.image.shape[0], crop.image.shape[1]
    bones = [pair for pair in HAND21.edges if known[list(pair)].all()]
    finger = _FINGER_PER_PALM * ratio * arm.length
    mask = soft_shape(moved, [(_WRIST, *_KNUCKLES), *bones], finger, size_hw)
    image = paste(crop.image, fitting.image, matrix, mask, _gain(crop, arm, fitting, skeleton))
    joints, labels = crop.points.copy(), crop.labels.copy()
    part = skeleton.parts[f"{arm.side}_hand"]
    joints[part] = np.where(known[:, None], moved, 0)
    labels[part] = np.where(known, 2, 0)
    return Crop(image, joints, labels)


def _gain(crop: Crop, arm: Arm, hand: Hand, skeleton: Skeleton) -> FloatArray:
    """Factors (3,) for the hand's channels: to the colour between the person's eyes and nose, or
    where the face is not seen to the brightness at the wrist.
    """
    palm = hand.points[[_WRIST, *_KNUCKLES]].mean(0)
    own = mean_colour(hand.image, palm, palm_of(hand.points) / 4)
    index = [skeleton.index(name) for name in ("nose", "left_eye", "right_eye")]
    wanted = None
    if (crop.labels[index] == 2).all():
        face = crop.points[index]
        wanted = mean_colour(crop.image, face.mean(0), float(np.hypot(*(face[1] - face[2]))) / 2)
    if wanted is None and own is not None:
        around = mean_colour(crop.image, arm.wrist, arm.length / 8)
        wanted = own if around is None else own * (around.mean() + 8) / (own.mean() + 8)
    if own is None or wanted is None:
        return np.ones(3, np.float32)
    return np.clip((wanted + 8) / (own + 8), 0.4, 2).astype(np.float32)
