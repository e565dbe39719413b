# SPDX-License-Identifier: Apache-2.0
"""People as points, lines and boxes with their colours: for viewers that draw themselves.

What is shown, and in which colour, is what :mod:`alphapose_ros.output.draw` paints on images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.records import (
    FloatArray,
    ImageArray,
    IntArray,
    Spatial,
    Tracks,
    TrackState,
)
from alphapose_ros.base.skeletons import Skeleton
from alphapose_ros.output.draw import DrawStyle, visible_joints
from alphapose_ros.output.palette import NOBODY, edge_color, identity_color, joint_color

FINE_PARTS = ("face", "left_hand", "right_hand", "hand")
BoolArray = NDArray[np.bool_]


@dataclass(frozen=True)
class Joints:
    """J joints of all people, D = 2 (px) or 3 (m).

    Attributes:
        points: (J, D).
        colors: (J, 3) RGB. fine: (J,) whether it is of a face or a hand.
        joints: (J,) position in the skeleton. rows: (J,) row of the person.
        scores: (J,) in [0, 1].
    """

    points: FloatArray
    colors: ImageArray
    fine: BoolArray
    joints: IntArray
    rows: IntArray
    scores: FloatArray


@dataclass(frozen=True)
class Limbs:
    """L lines between two joints each: (L, 2, D) ends, (L, 3) RGB; ``fine``, ``rows`` as above."""

    ends: FloatArray
    colors: ImageArray
    fine: BoolArray
    rows: IntArray


def shown_joints(tracks: Tracks, style: DrawStyle | None = None) -> BoolArray:
    """(N, K) which joints are worth a look; none of lost people, whose joints score 0."""
    poses, style = tracks.poses, style if style is not None else DrawStyle()
    out = np.zeros(poses.scores.shape, bool)
    for row in range(len(tracks)):
        out[row] = visible_joints(poses.keypoints[row], poses.scores[row], poses.skeleton, style)
    return out


def shown_in_space(tracks: Tracks, spatial: Spatial) -> BoolArray:
    """(N, K) the shown joints whose place in space is known."""
    return shown_joints(tracks) & np.isfinite(spatial.keypoints).all(-1)


def joints_of(tracks: Tracks, points: FloatArray, shown: BoolArray) -> Joints:
    """The ``shown`` (N, K) of (N, K, D) ``points``, person by person."""
    skeleton = tracks.poses.skeleton
    rows, joints = np.nonzero(shown)
    colors = np.array([joint_color(skeleton, k) for k in range(len(skeleton))], np.uint8)
    return Joints(
        points[rows, joints],
        colors[joints],
        fine_joints(skeleton)[joints],
        joints.astype(np.int64),
        rows.astype(np.int64),
        tracks.poses.scores[rows, joints],
    )


def limbs_of(tracks: Tracks, points: FloatArray, shown: BoolArray) -> Limbs:
    """The skeleton's edges both of whose ends are ``shown``, of (N, K, D) ``points``."""
    skeleton = tracks.poses.skeleton
    edges = np.array(skeleton.edges, np.int64).reshape(-1, 2)
    colors = np.array([edge_color(skeleton, edge) for edge in skeleton.edges], np.uint8)
    rows, lines = np.nonzero(shown[:, edges].all(-1))
    return Limbs(
        points[rows[:, None], edges[lines]],
        colors.reshape(-1, 3)[lines],
        fine_joints(skeleton)[edges[lines, 0]],
        rows.astype(np.int64),
    )


def fine_joints(skeleton: Skeleton) -> BoolArray:
    """(K,) whether a joint is of a face or a hand, which are drawn thinner."""
    out = np.zeros(len(skeleton), bool)
    for name in FINE_PARTS:
        out[skeleton.parts.get(name, slice(0, 0))] = True
    return out


def person_colors(tracks: Tracks) -> ImageArray:
    """(N, 3) RGB by identity; grey while there is none, and for lost people."""
    colors = [
        NOBODY if state == TrackState.LOST else identity_color(identity)
        for identity, state in zip(tracks.ids.tolist(), tracks.states.tolist(), strict=True)
    ]
    return np.array(colors, np.uint8).reshape(-1, 3)


def person_labels(tracks: Tracks) -> list[str]:
    """``#3``, ``#3 lost``, or ``tentative`` while there is no identity."""
    return [
        f"#{identity} lost"
        if state == TrackState.LOST
        else f"#{identity}"
        if identity > 0
        else "tentative"
        for identity, state in zip(tracks.ids.tolist(), tracks.states.tolist(), strict=True)
    ]


def line_widths(tracks: Tracks) -> FloatArray:
    """(N,) px, of the lines of each person's body: they follow the person's size."""
    boxes = tracks.poses.boxes
    sides = (boxes[:, 2:] - boxes[:, :2]).max(1, initial=0)
    return np.clip(sides / 85, 1, None).astype(np.float32)
