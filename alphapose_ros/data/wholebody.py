# SPDX-License-Identifier: Apache-2.0
"""COCO-WholeBody's annotations: five lists of keypoints become one of 133 joints.

Its feet are ordered left big toe, left small toe, left heel, then the right foot's; Halpe takes
left and right in turns. Both orders are names in :mod:`alphapose_ros.base.skeletons`, and nothing
here or elsewhere copies feet by position.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.skeletons import WHOLEBODY133

# Part -> where its points are, and the flag that says whether they are annotated at all.
_LISTS = {
    "body": ("keypoints", ""),
    "feet": ("foot_kpts", "foot_valid"),
    "face": ("face_kpts", "face_valid"),
    "left_hand": ("lefthand_kpts", "lefthand_valid"),
    "right_hand": ("righthand_kpts", "righthand_valid"),
}
_EXTRA = tuple(key for key, _ in _LISTS.values() if key != "keypoints")


def in_parts(item: Mapping[str, Any]) -> bool:
    """Whether an annotation holds its feet, face or hands in lists of their own."""
    return any(key in item for key in _EXTRA)


def joined(item: Mapping[str, Any]) -> dict[str, Any]:
    """The annotation with all 133 joints in ``keypoints``, flat (x, y, v) triples.

    A part that is not there, or whose flag says that it is not valid, has v = 0 throughout. An
    annotation that is joined already only has its flags applied.

    Raises:
        InputError: a part has another number of values than its joints need.
    """
    whole = item.get("keypoints") or []
    count = 3 * len(WHOLEBODY133)
    flat: list[float] = []
    for part, (key, flag) in _LISTS.items():
        where = WHOLEBODY133.parts[part]
        size = 3 * (where.stop - where.start)
        if len(whole) == count:
            values = whole[3 * where.start : 3 * where.stop]
        else:
            values = item.get(key) or [0.0] * size
        if len(values) != size:
            raise InputError(f"{key}: expected {size} numbers, got {len(values)} numbers")
        flat += values if not flag or item.get(flag, True) else [0.0] * size
    return {**item, "keypoints": flat}
