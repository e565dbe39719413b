# SPDX-License-Identifier: Apache-2.0
"""The body as a tree that begins in the torso: the way on which each joint is reached.

A skeleton's edges are there to be drawn. They leave face and hands apart and have loops, so the
tree is made of names; the root is no joint but the middle of the torso.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.skeletons import Skeleton

IndexArray = NDArray[np.intp]

TORSO = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
_HEAD = ("nose", "left_eye", "right_eye", "left_ear", "right_ear", "head_top")
_ROOT = ""
_LIMBS = {  # joint -> the joint before it; a skeleton that lacks that one takes the one before
    "elbow": "shoulder",
    "wrist": "elbow",
    "hand_wrist": "wrist",
    "knee": "hip",
    "ankle": "knee",
    "heel": "ankle",
    "big_toe": "ankle",
    "small_toe": "ankle",
    "ear": "eye",
}
_MIDDLE = {"nose": "neck", "head_top": "nose", "left_eye": "nose", "right_eye": "nose"}


@dataclass(frozen=True)
class Level:
    """Joints that are equally many bones away from the root.

    Attributes:
        joints: (J,) index into the K joints.
        parents: (J,) index of the joint where the way to each begins; -1 is the root.
        between: (J, B) joints on the way, in order, -1 for none; fingers have them. Their bones
            are so short that the joints tell all. Other ways are one bone long.
    """

    joints: IndexArray
    parents: IndexArray
    between: IndexArray


@dataclass(frozen=True)
class Bones:
    """What the 3-D side knows of a skeleton of K joints.

    Attributes:
        skeleton: it.
        levels: the tree, from the root outwards; the face is not in it.
        torso: (4,) shoulders and hips, left before right; -1 where the skeleton lacks one.
        trunk: joints from neck to hips.
        legs: (2, 4) left and right: shoulder, hip, knee, ankle; -1 where it lacks one.
        anchors: (A,) joints that place a person whose torso is not seen: the body's, or all.
        arms: (K,) whether a joint is of an arm or hand, below the shoulder.
        head: joints of the head that are not the face's.
        face: joints of the face.
        hands: the joints of each hand, with the body's wrist where there is one.
    """

    skeleton: Skeleton
    levels: tuple[Level, ...] = field(init=False)
    torso: IndexArray = field(init=False)
    trunk: IndexArray = field(init=False)
    legs: IndexArray = field(init=False)
    anchors: IndexArray = field(init=False)
    arms: NDArray[np.bool_] = field(init=False)
    head: IndexArray = field(init=False)
    face: IndexArray = field(init=False)
    hands: tuple[IndexArray, ...] = field(init=False)

    @property
    def has_torso(self) -> bool:
        """Whether the skeleton has all of shoulders and hips."""
        return bool((self.torso >= 0).all())

    def __post_init__(self) -> None:
        skeleton = self.skeleton
        place = {name: i for i, name in enumerate(skeleton.keypoint_names)}
        every = np.arange(len(skeleton))
        parts = {name: every[joints] for name, joints in skeleton.parts.items()}

        def index(*names: str) -> IndexArray:
            return np.array([place.get(name, -1) for name in names], np.intp)

        legs = [[f"{s}_{j}" for j in ("shoulder", "hip", "knee", "ankle")] for s in _SIDES]
        hands = [
            np.append(joints, [place[n] for n in (f"{part[:-5]}_wrist",) if n in place])
            for part, joints in parts.items()
            if part.endswith("hand")
        ]
        values = {
            "levels": _levels(skeleton, place),
            "torso": index(*TORSO),
            "trunk": index(*(name for name in (*TORSO, "neck", "pelvis") if name in place)),
            "legs": np.stack([index(*leg) for leg in legs]),
            "anchors": parts.get("body", every),
            "arms": np.array([_is_of_arm(name) for name in skeleton.keypoint_names]),
            "head": index(*(name for name in _HEAD if name in place)),
            "face": parts.get("face", every[:0]),
            "hands": tuple(hand.astype(np.intp) for hand in hands),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)


_SIDES = ("left", "right")


def _levels(skeleton: Skeleton, place: dict[str, int]) -> tuple[Level, ...]:
    """The tree by distance from the root; the fingers, from the wrist on, are the last level."""
    groups: dict[tuple[bool, int], list[list[int]]] = {}
    for name, joint in place.items():
        if joint in range(*skeleton.parts.get("face", slice(0)).indices(len(skeleton))):
            continue
        chain = _ancestors(name, place)
        fingers = [place[n] for n in chain if _is_finger(n)][::-1]
        rest = [place[n] for n in chain if not _is_finger(n)]
        between = fingers + [-1] * (_BETWEEN - len(fingers)) if _is_finger(name) else []
        key = (_is_finger(name), 0 if between else len(chain))
        groups.setdefault(key, []).append([joint, rest[0] if rest else -1, *between])
    rows = (np.array(groups[key], np.intp) for key in sorted(groups))
    return tuple(Level(row[:, 0], row[:, 1], row[:, 2:]) for row in rows)


def _ancestors(name: str, place: dict[str, int]) -> list[str]:
    """Names of the joints before ``name`` that the skeleton has, the nearest first."""
    chain = []
    while (name := _before(name)) != _ROOT:
        if name in place:
            chain.append(name)
    return chain


def _before(name: str) -> str:
    if name in _MIDDLE:
        return _MIDDLE[name]
    side, _, joint = name.partition("_")
    if side in _SIDES and joint in _LIMBS:
        return f"{side}_{_LIMBS[joint]}"
    if _is_finger(name):
        stem, _, number = name.rpartition("_")
        hand = stem.rpartition("_")[0]
        return f"{stem}_{int(number) - 1}" if int(number) > 1 else f"{hand}_wrist".lstrip("_")
    return _ROOT


def _is_of_arm(name: str) -> bool:
    return _is_finger(name) or name.endswith(("elbow", "wrist"))


def _is_finger(name: str) -> bool:
    stem, _, number = name.rpartition("_")
    return number in _KNUCKLES and stem.split("_")[-1] in _FINGERS


_BETWEEN = 3  # joints of a finger before its tip
_KNUCKLES = ("1", "2", "3", "4")  # a fifth is no finger of a hand
_FINGERS = ("thumb", "index", "middle", "ring", "little")
