# SPDX-License-Identifier: Apache-2.0
"""Positions without depth: how large a person of a known height appears."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.records import Intrinsics
from alphapose_ros.spatial.bones import Bones
from alphapose_ros.spatial.config import SpatialConfig
from alphapose_ros.spatial.torso import HEIGHT, Places, find_corners, places_along

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

# Lengths as fractions of the body's height (Drillis & Contini 1966; Winter 2009, figure 4.1):
# shoulder .818, hip .530, knee .285, ankle .039 above the ground, shoulders .259 apart.
_SEGMENTS = np.array([0.288, 0.245, 0.246])  # trunk, thigh, shank
_SHOULDERS = 0.259
_SIGMAS = 3.0  # by which noise may have lengthened a segment
# Stretches of the chain trunk - thigh - shank that may be seen: (6, 3).
_STRETCHES = np.array(
    [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0, 1, 1], [1, 1, 1]], np.float64
)


def guess_places(
    rays: FloatArray,
    usable: BoolArray,
    bones: Bones,
    intrinsics: Intrinsics,
    config: SpatialConfig,
) -> Places:
    """Positions of people ``config.body_height`` m tall, in the camera's optical frame.

    A segment of length L that lies across the view is L / z long among the rays, a foreshortened
    one is shorter. So the greatest length over L tells the distance, each taken as small as noise
    may have made it: long stretches of trunk and legs win unless they are foreshortened. The width
    of the shoulders counts only beside them.

    Args:
        rays: (N, K, 2) x/z and y/z, distortion taken out.
        usable: (N, K) joints that are seen.
        bones: of the skeleton.
        intrinsics: for the noise of pixels.
        config: the height, its error, noise.
    """
    length, whole = _evidence(rays, usable, bones)
    focal = (intrinsics.fx + intrinsics.fy) / 2
    metres = whole * config.body_height
    with np.errstate(divide="ignore", invalid="ignore"):
        error = np.sqrt(2) * np.hypot(
            config.joint_noise / metres, config.pixel_noise / (focal * length)
        )
        closeness = length / metres * (1 - _SIGMAS * error)  # 1 / m
    closeness = np.where(np.isfinite(closeness), closeness, -np.inf)
    best = closeness.argmax(1)[:, None]
    seen = np.take_along_axis(closeness, best, 1)[:, 0] > 0
    length, metres, error = (
        np.take_along_axis(values, best, 1)[:, 0] for values in (length, metres, error)
    )
    z = np.where(seen, metres, np.nan) / np.where(seen, length, 1)
    corners = find_corners(rays, usable, bones)
    middle = corners.mean(corners.rays)
    points = np.concatenate([middle * z[:, None], z[:, None]], 1)
    known = np.isfinite(points).all(1)
    return places_along(
        points,
        (z * np.hypot(config.body_height_error, error)) ** 2,
        np.maximum(corners.known.sum(1), 1),
        np.where(corners.whole, 0, 0.144 * config.body_height),
        np.where(known, HEIGHT + corners.evidence, 0),
        intrinsics,
        config,
    )


def _evidence(rays: FloatArray, usable: BoolArray, bones: Bones) -> tuple[FloatArray, FloatArray]:
    """Lengths among the rays (N, 13), NaN where not seen, and as fractions of the height."""
    seen = usable[:, bones.legs] & (bones.legs >= 0)
    joints = np.where(seen[..., None], rays[:, bones.legs], np.nan)  # (N, 2, 4, 2)
    segments = np.linalg.norm(np.diff(joints, axis=2), axis=-1)  # (N, 2, 3)
    known = (~np.isnan(segments)).astype(np.float64)
    complete = known @ _STRETCHES.T == _STRETCHES.sum(1)  # (N, 2, 6)
    lengths = np.where(complete, np.nan_to_num(segments) @ _STRETCHES.T, np.nan)
    lengths = lengths.reshape(-1, 2 * len(_STRETCHES))
    width = np.linalg.norm(joints[:, 0, 0] - joints[:, 1, 0], axis=-1)
    width = np.where(np.isfinite(lengths).any(1), width, np.nan)
    whole = np.append(np.tile(_STRETCHES @ _SEGMENTS, 2), _SHOULDERS)
    lengths = np.concatenate([lengths, width[:, None]], 1)
    return lengths, np.broadcast_to(whole, lengths.shape)
