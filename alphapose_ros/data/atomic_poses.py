# SPDX-License-Identifier: Apache-2.0
"""Atomic poses: the few typical body poses, found by k-means over all annotated ones.

RMPE (Fang et al., ICCV 2017, section 3.4) conditions the detector's error on them. Poses are
taken relative to the person's box, mirrored to whichever side fits better, and joints that nobody
annotated count in no distance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.skeletons import Skeleton

FloatArray = NDArray[np.float64]

# The joints that make the pose; ears and eyes say no more about a box than the nose does.
JOINTS = (
    "nose", *(f"{side}_{joint}" for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
              for side in ("left", "right")),
)  # fmt: skip
LEAST_KNOWN = 4
_MIRRORED = np.array([0, *(i + 1 if i % 2 else i - 1 for i in range(1, len(JOINTS)))])
_ROUNDS = 60
_STARTS = 4


@dataclass(frozen=True)
class BodyPoses:
    """N poses of J = 13 joints.

    Attributes:
        points: (N, J, 2) from the box's centre, in units of its longer side; 0 where unknown.
        known: (N, J) whether a joint is annotated.
    """

    points: FloatArray
    known: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.points)

    def mirrored(self) -> BodyPoses:
        """The same people in a mirror: left and right change places."""
        return BodyPoses(self.points[:, _MIRRORED] * np.array([-1, 1]), self.known[:, _MIRRORED])

    @property
    def usable(self) -> NDArray[np.bool_]:
        """(N,) whether enough joints are known to tell the pose."""
        return self.known.sum(1) >= LEAST_KNOWN


def body_poses(
    boxes: NDArray[np.floating],
    points: NDArray[np.floating],
    labels: NDArray[np.uint8],
    skeleton: Skeleton,
) -> BodyPoses:
    """Boxes (N, 4), joints (N, K, 2) in px and labels (N, K) as poses; a joint that the skeleton
    lacks is unknown.
    """
    names = skeleton.keypoint_names
    index = np.array([names.index(name) if name in names else -1 for name in JOINTS])
    known = (labels[:, index] > 0) & (index >= 0)
    center = (boxes[:, None, :2] + boxes[:, None, 2:]) / 2
    side = np.maximum((boxes[:, 2:] - boxes[:, :2]).max(1, initial=1e-6), 1e-6)[:, None, None]
    places = (points[:, index].astype(np.float64) - center) / side
    return BodyPoses(np.where(known[..., None], places, 0), known)


def distances(poses: BodyPoses, centers: FloatArray) -> FloatArray:
    """(N, C) mean squared distance over the known joints; poses without any have 0."""
    away = ((poses.points[:, None] - centers) ** 2).sum(3)  # (N, C, J)
    known = poses.known[:, None]
    return np.asarray((away * known).sum(2) / np.maximum(known.sum(2), 1), np.float64)


def assign(poses: BodyPoses, centers: FloatArray) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Nearest atomic pose (N,) of ``centers`` (C, J, 2), and whether it is met in the mirror."""
    plain, mirror = distances(poses, centers), distances(poses.mirrored(), centers)
    nearest = np.minimum(plain, mirror).argmin(1)
    rows = np.arange(len(poses))
    return nearest, mirror[rows, nearest] < plain[rows, nearest]


def cluster(poses: BodyPoses, count: int, rng: np.random.Generator) -> FloatArray:
    """(count, J, 2) atomic poses: k-means with k-means++ starts, the best of four.

    The order is by the number of poses, the most frequent first.

    Raises:
        InputError: fewer poses than atomic poses.
    """
    if len(poses) < count:
        raise InputError(f"atomic poses: expected at least {count} poses, got {len(poses)}")
    runs = [_k_means(poses, _starts(poses, count, rng)) for _ in range(_STARTS)]
    best = min(runs, key=lambda centers: _cost(poses, centers).mean())
    frequency = np.bincount(assign(poses, best)[0], minlength=count)
    return best[np.argsort(-frequency, kind="stable")]


def _k_means(poses: BodyPoses, centers: FloatArray) -> FloatArray:
    last: NDArray[np.intp] | None = None
    for _ in range(_ROUNDS):
        nearest, flipped = assign(poses, centers)
        code = 2 * nearest + flipped
        if last is not None and (code == last).all():
            break
        last = code
        turned = _oriented(poses, flipped)
        for row in range(len(centers)):
            mine = nearest == row
            weight = turned.known[mine].sum(0)[:, None]
            total = turned.points[mine].sum(0)
            means = total / np.maximum(weight, 1)
            centers = np.concatenate(
                [
                    centers[:row],
                    np.where(weight > 0, means, centers[row])[None],
                    centers[row + 1 :],
                ]
            )
    return centers


def _starts(poses: BodyPoses, count: int, rng: np.random.Generator) -> FloatArray:
    """Poses far from each other (Arthur and Vassilvitskii, 2007); gaps from the mean pose."""
    weight = poses.known.sum(0)[:, None]
    mean = poses.points.sum(0) / np.maximum(weight, 1)
    filled = np.where(poses.known[..., None], poses.points, mean)
    centers = filled[rng.integers(len(poses))][None]
    while len(centers) < count:
        cost = _cost(poses, centers) + 1e-12
        row = rng.choice(len(poses), p=cost / cost.sum())
        centers = np.concatenate([centers, filled[row][None]])
    return centers


def _cost(poses: BodyPoses, centers: FloatArray) -> FloatArray:
    """(N,) squared distance to the nearest atomic pose, plain or mirrored."""
    both = np.minimum(distances(poses, centers), distances(poses.mirrored(), centers))
    return np.asarray(both.min(1), np.float64)


def _oriented(poses: BodyPoses, flipped: NDArray[np.bool_]) -> BodyPoses:
    mirror = poses.mirrored()
    return BodyPoses(
        np.where(flipped[:, None, None], mirror.points, poses.points),
        np.where(flipped[:, None], mirror.known, poses.known),
    )
