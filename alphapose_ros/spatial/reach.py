# SPDX-License-Identifier: Apache-2.0
"""Which joints' depths belong to the person: those that the body reaches without a gap.

Where depth has holes, or a joint lies beside the limb, its window shows the background. The
nearest thing around is no better: that can be a table. What tells them apart is the way: along
the bones from the torso, the body's depth changes little by little.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.spatial.bones import Bones, Level
from alphapose_ros.spatial.config import SpatialConfig
from alphapose_ros.spatial.depth import DepthView

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

_POINTS = 9  # along a bone
_TORSO_POINTS = (np.arange(8) + 0.5) / 8  # fractions of a line between two joints of the torso
_CLUSTER_M = 0.15  # the torso's depths lie within this of each other's best
_LEAST_SHARE = 0.3  # of the points that must agree
_LEAST_POINTS = 3
_BREADTH = 0.9  # of the shoulders, in lengths of the trunk (Winter 2009: .259 / .288)
_COVER_M = 0.3  # in profile the near shoulder and arm are this far before neck and head
_SIGMAS = 3.0  # of the noise, on top of the limits


@dataclass(frozen=True)
class Anchor:
    """Where a person's tree begins.

    Attributes:
        depth: (N,) m of the torso, NaN where nothing tells.
        pixel: (N, 2) px.
        by_torso: (N,) whether the torso told the depth.
        cover: (N,) m by which the rest of the body may begin behind ``depth``, because a
            shoulder and an arm hide the torso of who is seen from the side.
    """

    depth: FloatArray
    pixel: FloatArray
    by_torso: BoolArray
    cover: FloatArray


def find_anchor(view: DepthView, pixels: FloatArray, usable: BoolArray, bones: Bones) -> Anchor:
    """The torso's depth: what most of the points between shoulders and hips agree on.

    The shoulders' side counts twice the hips', because tables hide the lower half. Where the torso
    tells nothing, the joints of the body (of a hand, say) are asked instead, and the tree begins
    at the first that agrees: skeletons begin with the head.

    Args:
        view: the depth image.
        pixels, usable: (N, K, 2) px and (N, K) which of them count.
        bones: of the skeleton.
    """
    places, weights = _torso_points(pixels, usable, bones)
    depth = _agreed(view.at(places), weights, view)
    by_torso = np.isfinite(depth)
    joints, seen = pixels[:, bones.anchors], usable[:, bones.anchors]
    found = view.at(joints)
    if np.isnan(depth).any():
        least = min(_LEAST_POINTS, len(bones.anchors))  # a helmet may be all that there is
        by_joints = _agreed(found, seen.astype(np.float64), view, least)
        depth = np.where(np.isnan(depth), by_joints, depth)

    torso = _chosen(usable, bones.torso)
    middle = _mean_pixel(pixels[:, bones.torso], torso)
    agrees = seen & (np.abs(found - depth[:, None]) <= _CLUSTER_M)
    first = np.take_along_axis(joints, agrees.argmax(1)[:, None, None], 1)[:, 0]
    pixel = np.where(by_torso[:, None], middle, first)
    return Anchor(depth, pixel, by_torso, _cover(pixels[:, bones.torso], torso))


def reached(
    view: DepthView,
    pixels: FloatArray,
    depths: FloatArray,
    usable: BoolArray,
    anchor: Anchor,
    bones: Bones,
    config: SpatialConfig,
) -> BoolArray:
    """(N, K) which joints' ``depths`` (N, K) m lie on the body; the face's are not asked.

    On the way from the anchor the depth may not grow by more than ``config.jump`` at once: that
    is the background, and so is all that follows. Where it falls by more, something is in front;
    behind it the body goes on at its old depth. A joint there is hidden if it is nearer than that
    by more than ``config.occlusion``. Seen from the side, trunk, head and legs may begin behind
    the arm. A torso that did not tell its depth is passed over.
    """
    usable = usable.copy()
    usable[:, bones.trunk] &= anchor.by_torso[:, None]
    walk = _Walk(view, anchor, bones, config)
    for level in bones.levels:
        walk.go(level, pixels, depths, usable)
    return walk.good & (np.abs(depths - anchor.depth[:, None]) <= config.reach)


class _Walk:
    """State at the end of each joint's way: (N, K + 1) arrays, the last column is the root."""

    def __init__(
        self, view: DepthView, anchor: Anchor, bones: Bones, config: SpatialConfig
    ) -> None:
        people, joints = len(anchor.depth), len(bones.skeleton)
        self._view, self._config = view, config
        self._radius = view.radius(anchor.depth)
        self._margin = (_SIGMAS * view.noise(anchor.depth))[:, None]
        self._limit = config.jump + self._margin
        self._base = anchor.depth[:, None] - self._limit
        covered = (anchor.cover > config.jump)[:, None] & ~bones.arms
        cover = (anchor.depth + anchor.cover)[:, None] + self._margin
        self._cover = np.where(covered, cover, 0)
        self._pixels = np.repeat(anchor.pixel[:, None], joints + 1, 1)
        self._surface = np.repeat(anchor.depth[:, None], joints + 1, 1)
        self._behind = np.full((people, joints + 1), np.nan)  # the body's depth behind what hides
        self._lost = np.zeros((people, joints + 1), np.bool_)
        self.good = np.zeros((people, joints), np.bool_)

    def go(self, level: Level, pixels: FloatArray, depths: FloatArray, usable: BoolArray) -> None:
        """From the parents to the joints of a level; one not seen stays where its parent is."""
        joints, parents = level.joints, level.parents
        seen = np.where(usable[:, joints], depths[:, joints], np.nan)
        if level.between.size:
            way = np.where(level.between >= 0, depths[:, level.between], np.nan)
        else:
            begin = self._pixels[:, parents]
            end = np.where(usable[:, joints, None], pixels[:, joints], begin)
            way = self._view.along(begin, end, _POINTS, self._radius)
            self._pixels[:, joints] = end
        surface, behind = self._surface[:, parents], self._behind[:, parents]
        lost = self._lost[:, parents]
        cover = self._cover[:, joints]
        for step in (*np.moveaxis(way, -1, 0), seen):
            surface, behind, lost = self._step(surface, behind, lost, step, cover)
        hidden = behind - seen > self._config.occlusion + self._margin
        self._surface[:, joints], self._behind[:, joints] = surface, behind
        self._lost[:, joints] = lost
        self.good[:, joints] = np.isfinite(seen) & ~lost & ~hidden

    def _step(
        self,
        surface: FloatArray,
        behind: FloatArray,
        lost: BoolArray,
        found: FloatArray,
        cover: FloatArray,
    ) -> tuple[FloatArray, FloatArray, BoolArray]:
        """One point further; NaN, an unknown depth, compares as False and changes nothing."""
        limit = self._limit
        beside = np.where(surface > self._base, cover, 0)  # the way is still at the torso's depth
        farther = found > np.maximum(surface + limit, beside)
        back = farther & (np.abs(found - behind) <= limit)
        lost = lost | (farther & ~back)
        behind = np.where((found < surface - limit) & np.isnan(behind), surface, behind)
        surface = np.where(np.isfinite(found), found, surface)
        return surface, np.where(surface > behind - limit, np.nan, behind), lost


def _torso_points(
    pixels: FloatArray, usable: BoolArray, bones: Bones
) -> tuple[FloatArray, FloatArray]:
    """(N, S, 2) px on the lines between shoulders and hips, and their weights (N, S)."""
    first, second = np.triu_indices(len(bones.torso), 1)
    share = _TORSO_POINTS[:, None]
    torso, seen = pixels[:, bones.torso], _chosen(usable, bones.torso)
    places = torso[:, first, None] * (1 - share) + torso[:, second, None] * share
    lowness = np.array([0.0, 0.0, 1.0, 1.0])
    low = lowness[first, None] * (1 - _TORSO_POINTS) + lowness[second, None] * _TORSO_POINTS
    weights = (seen[:, first] & seen[:, second])[..., None] * (1 - 0.5 * low)
    count = len(first) * len(_TORSO_POINTS)
    return places.reshape(-1, count, 2), weights.reshape(-1, count)


def _cover(torso: FloatArray, seen: BoolArray) -> FloatArray:
    """(N,) m, see :class:`Anchor`: by the turn that shoulders and hips (N, 4, 2) px show."""
    ends = torso.reshape(-1, 2, 2, 2)  # N, shoulders or hips, left or right
    width = np.linalg.norm(ends[:, :, 0] - ends[:, :, 1], axis=-1).max(1)
    length = np.linalg.norm(ends[:, 0].mean(1) - ends[:, 1].mean(1), axis=-1)
    cosine = np.minimum(width / np.maximum(_BREADTH * length, 1e-6), 1)
    return np.where(seen.all(1), _COVER_M * np.sqrt(1 - cosine**2), 0)


def _agreed(
    found: NDArray[np.float32], weights: FloatArray, view: DepthView, least: int = _LEAST_POINTS
) -> FloatArray:
    """(N,) mean of the largest group of the depths (N, S) m; NaN where it is below ``least``."""
    depths = found.astype(np.float64)
    near = _CLUSTER_M + view.noise(depths)
    alike = np.abs(depths[:, :, None] - depths[:, None]) <= near[:, :, None]
    support = (alike * weights[:, None]).sum(-1)
    best = support.argmax(1)[:, None]
    members = np.take_along_axis(alike, best[..., None], 1)[:, 0] * weights
    total = members.sum(1)
    enough = (total >= _LEAST_SHARE * weights.sum(1)) & ((members > 0).sum(1) >= least)
    mean = (members * np.nan_to_num(depths)).sum(1) / np.where(total > 0, total, 1)
    return np.where(enough, mean, np.nan)


def _chosen(usable: BoolArray, joints: NDArray[np.intp]) -> BoolArray:
    """(N, J) ``usable`` (N, K) of the joints; one that the skeleton lacks, -1, never is."""
    return usable[:, joints] & (joints >= 0)


def _mean_pixel(pixels: FloatArray, chosen: BoolArray) -> FloatArray:
    """(N, 2) mean of the chosen of (N, J, 2) px; NaN of none."""
    count = chosen.sum(1)[:, None]
    total = np.where(chosen[..., None], pixels, 0).sum(1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
