# SPDX-License-Identifier: Apache-2.0
"""Depth of each joint, or NaN where it is not honest to give one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.records import Intrinsics, Tracks, TrackState
from alphapose_ros.spatial.bones import Bones
from alphapose_ros.spatial.config import SpatialConfig
from alphapose_ros.spatial.depth import DepthView, known_median
from alphapose_ros.spatial.reach import find_anchor, reached

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


def usable_joints(tracks: Tracks, intrinsics: Intrinsics, config: SpatialConfig) -> BoolArray:
    """(N, K) joints that count: of people in sight, in the image, with a good score."""
    height, width = intrinsics.size_hw
    x, y = np.moveaxis(tracks.poses.keypoints, -1, 0)
    inside = (x >= -0.5) & (x < width - 0.5) & (y >= -0.5) & (y < height - 0.5)
    in_sight = (tracks.states != TrackState.LOST)[:, None]
    return inside & in_sight & (tracks.poses.scores >= config.joint_score)


def joint_depths(
    view: DepthView, pixels: FloatArray, usable: BoolArray, bones: Bones, config: SpatialConfig
) -> FloatArray:
    """(N, K) m along the optical axis, of the surface that the camera sees; NaN if unknown.

    Args:
        view: the depth image.
        pixels, usable: (N, K, 2) px of the colour image and (N, K) which of them count.
        bones: of the skeleton.
        config: limits.
    """
    anchor = find_anchor(view, pixels, usable, bones)
    depths = view.foreground(pixels, view.radius(anchor.depth))
    good = reached(view, pixels, depths, usable, anchor, bones, config)
    _check_hands(depths, good, bones, config)
    good[:, bones.face] = _face(view, depths, usable, good, bones, config)
    return np.where(good, depths, np.nan)


def _check_hands(depths: FloatArray, good: BoolArray, bones: Bones, config: SpatialConfig) -> None:
    """Withdraw joints of a hand that are too far from the middle one of wrist and hand."""
    for hand in bones.hands:
        known = np.where(good[:, hand], depths[:, hand], np.nan)
        off = np.abs(known - known_median(known)[:, None])
        good[:, hand] &= off <= config.hand_reach


def _face(
    view: DepthView,
    depths: FloatArray,
    usable: BoolArray,
    good: BoolArray,
    bones: Bones,
    config: SpatialConfig,
) -> BoolArray:
    """(N, F) which points of the face lie on the head, as far as its joints were reached."""
    head = known_median(np.where(good[:, bones.head], depths[:, bones.head], np.nan))[:, None]
    behind = depths[:, bones.face] - head
    margin = 3 * view.noise(head)
    beyond = np.minimum(config.jump + margin, config.face_reach)
    return usable[:, bones.face] & (behind <= beyond) & (behind >= -config.face_reach)
