# SPDX-License-Identifier: Apache-2.0
"""The 3-D fields of a ``PoseArray``, and a ``Skeleton``, back as records; see ``messages`` too."""

from __future__ import annotations

from typing import Any

import numpy as np

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.records import Spatial
from alphapose_ros.base.skeletons import Skeleton

_SIGMA = 0.05  # the message has none, and who only looks at poses needs none


def spatial_of(message: Any) -> Spatial | None:
    """The 3-D fields of a ``PoseArray``; ``None`` where nothing is known of anybody.

    Raises:
        InputError: the people have different numbers of joints in space.
    """
    people = message.poses
    points = [np.asarray(person.keypoints_3d, np.float32) for person in people]
    positions = np.array(
        [[p.position.x, p.position.y, p.position.z] for p in people], np.float32
    ).reshape(-1, 3)
    has_depth = any(len(values) for values in points)
    if not has_depth and not np.isfinite(positions).any():
        return None
    joints = max(len(person.keypoints) // 3 for person in people)
    wanted = 3 * joints if has_depth else 0
    if any(len(values) != wanted for values in points):
        raise InputError(
            f"PoseArray: expected {wanted} values in keypoints_3d of everybody, got "
            f"{sorted({len(values) for values in points})}"
        )
    keypoints = (
        np.array(points, np.float32).reshape(-1, joints, 3)
        if has_depth
        else np.full((len(people), joints, 3), np.nan, np.float32)
    )
    return Spatial(
        keypoints,
        positions,
        _matrices([person.position_covariance for person in people]),
        np.array([[p.velocity.x, p.velocity.y, p.velocity.z] for p in people], np.float32),
        _matrices([person.velocity_covariance for person in people]),
        np.array([person.heading for person in people], np.float32),
        message.spatial_frame,
        has_depth,
        viewpoint=np.full(3, np.nan),  # the message does not say
    )


def skeleton_of(message: Any) -> Skeleton:
    """The keypoint set of a ``Skeleton`` message.

    Raises:
        InputError: its parts or edges do not fit its names.
    """
    names = tuple(message.keypoint_names)
    edges = np.asarray(message.edges, np.int64)
    if len(edges) % 2:
        raise InputError(f"Skeleton {message.name!r}: expected pairs of edges, got {len(edges)}")
    return Skeleton(
        message.name,
        names,
        {p.name: slice(int(p.first), int(p.first) + int(p.count)) for p in message.parts},
        tuple((int(a), int(b)) for a, b in edges.reshape(-1, 2)),
        (),
        np.full(len(names), _SIGMA, np.float32),
    )


def _matrices(rows: list[Any]) -> np.ndarray[Any, Any]:
    return np.array([np.asarray(row, np.float32) for row in rows], np.float32).reshape(-1, 3, 3)
