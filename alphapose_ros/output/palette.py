# SPDX-License-Identifier: Apache-2.0
"""Colours of people and body parts, shared by whoever draws; RGB, 0 to 255."""

from __future__ import annotations

import colorsys

from alphapose_ros.base.skeletons import Skeleton

Color = tuple[int, int, int]

LEFT: Color = (255, 138, 48)  # orange and blue stay apart for colour-blind eyes
RIGHT: Color = (64, 156, 255)
MIDDLE: Color = (122, 224, 122)
FACE: Color = (255, 240, 200)
NOBODY: Color = (160, 160, 160)  # a tentative person has no identity yet
_GOLDEN_RATIO = 0.618033988749895


def identity_color(identity: int) -> Color:
    """A vivid colour that neighbouring identities do not share; grey for 0."""
    if identity <= 0:
        return NOBODY
    hue = (identity * _GOLDEN_RATIO) % 1.0
    value = 0.95 if identity % 2 else 0.8
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.72, value)
    return round(255 * red), round(255 * green), round(255 * blue)


def joint_color(skeleton: Skeleton, joint: int) -> Color:
    """Colour of a joint by the person's side, the face in its own."""
    face = skeleton.parts.get("face")
    if face is not None and face.start <= joint < face.stop:
        return FACE
    name = skeleton.keypoint_names[joint]
    return LEFT if name.startswith("left_") else RIGHT if name.startswith("right_") else MIDDLE


def edge_color(skeleton: Skeleton, edge: tuple[int, int]) -> Color:
    """Colour of a limb: that of its side; across the body the middle's."""
    first, second = (joint_color(skeleton, joint) for joint in edge)
    if first == second or second == MIDDLE:
        return first
    return second if first == MIDDLE else MIDDLE
