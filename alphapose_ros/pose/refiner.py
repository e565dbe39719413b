# SPDX-License-Identifier: Apache-2.0
"""A second look at faces and hands: crops of the parts alone, for a network of the part alone.

In a crop of a whole person a face is some 30 px wide and a hand 20. The whole-body poses say where
the parts are; all of them, of all people and images, are cut out anew at the size that the part's
network takes. Where it is sure its joints replace the whole body's, else those stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.base.records import Detections, Poses
from alphapose_ros.base.skeletons import Skeleton
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.pose.estimator import Estimator

# What stands before a part's joint names where it is a part of a body.
PLACES = {"face": ("",), "hand": ("left_hand_", "right_hand_")}
_SEEN, _SURE = 0.2, 0.3  # mean scores of a part's joints, before and after


@dataclass(frozen=True)
class _Place:
    """Joints (J,) of a body and the joints (J,) of the part's network that replace them."""

    body: NDArray[np.intp]
    part: NDArray[np.intp]


class PartRefiner:
    """Places the joints of all faces, or of all hands, anew.

    A hand's network sees left and right hands as they are, none mirrored: trained with mirrored
    pictures, it knows both.

    Args:
        network: estimates a face or a hand in its tight box.
        kind: face or hand.
        skeleton: of the poses that are refined.
        least_px: longer side of the smallest part in the image that is refined, px.

    Raises:
        ConfigError: the network is not one of the part alone, or the poses lack the part.
    """

    def __init__(
        self, network: Estimator, kind: str, skeleton: Skeleton, *, least_px: float = 0.0
    ) -> None:
        own = network.skeleton
        if set(own.parts) != {kind} or network.finds_people:
            raise ConfigError(
                f"pose.{kind}_weights: expected a network of a {kind} alone, got one of {own.name}"
            )
        sources = [skeleton.source_of(own, prefix) for prefix in PLACES[kind]]
        self._places = [
            _Place(np.flatnonzero(s >= 0), s[s >= 0]) for s in sources if (s >= 0).any()
        ]
        if not self._places:
            raise ConfigError(
                f"pose.{kind}_weights: expected poses with a {kind}, got {skeleton.name}"
            )
        self._network, self._least_px = network, least_px

    def __call__(self, batch: ImageBatch, poses: Sequence[Poses]) -> list[Poses]:
        """The same people in the same order; joints of other parts are untouched."""
        found = [self._boxes(each) for each in poses]
        if not any(fit.any() for _, fit in found):
            return list(poses)
        parts = self._network(batch, [_detections(boxes[fit]) for boxes, fit in found])
        return [
            self._merged(whole, fit, part)
            for whole, (_, fit), part in zip(poses, found, parts, strict=True)
        ]

    def _boxes(self, poses: Poses) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Tight boxes (N, P, 4) of each person's parts, and (N, P) whether they are refined."""
        boxes = np.zeros((len(poses), len(self._places), 4), np.float32)
        seen = np.zeros(boxes.shape[:2], bool)
        for column, place in enumerate(self._places):
            points = poses.keypoints[:, place.body]
            boxes[:, column] = np.concatenate([points.min(1), points.max(1)], 1)
            seen[:, column] = poses.scores[:, place.body].mean(1) >= _SEEN
        longer = (boxes[..., 2:] - boxes[..., :2]).max(-1)
        return boxes, seen & (longer >= self._least_px)

    def _merged(self, whole: Poses, fit: NDArray[np.bool_], parts: Poses) -> Poses:
        """``whole`` with the joints of the rows of ``parts`` that the network is sure of."""
        keypoints, scores = whole.keypoints.copy(), whole.scores.copy()
        spreads = whole.keypoint_std.copy()
        person, column = np.nonzero(fit)
        for number, place in enumerate(self._places):
            sure = parts.scores[:, place.part].mean(1) >= _SURE
            rows = np.flatnonzero((column == number) & sure)
            target = np.ix_(person[rows], place.body)
            keypoints[target] = parts.keypoints[rows][:, place.part]
            scores[target] = parts.scores[rows][:, place.part]
            spreads[target] = parts.keypoint_std[rows][:, place.part]
        return replace(whole, keypoints=keypoints, scores=scores, keypoint_std=spreads)


class RefinedEstimator:
    """A whole-body estimator and what looks again at the faces and hands that it found.

    Args:
        whole: estimates whole bodies.
        refiners: one after the other, each for parts of its own.
    """

    def __init__(self, whole: Estimator, refiners: Sequence[PartRefiner]) -> None:
        self.whole, self.refiners = whole, tuple(refiners)
        self.finds_people = whole.finds_people

    @property
    def skeleton(self) -> Skeleton:
        """Of the poses."""
        return self.whole.skeleton

    def __call__(self, batch: ImageBatch, detections: Sequence[Detections]) -> list[Poses]:
        """Poses per image, as ``whole`` orders them."""
        poses = self.whole(batch, detections)
        for refiner in self.refiners:
            poses = refiner(batch, poses)
        return poses


def whole_of(estimator: Estimator) -> Estimator:
    """What estimates the whole bodies, without that which looks again."""
    return estimator.whole if isinstance(estimator, RefinedEstimator) else estimator


def _detections(boxes: NDArray[np.float32]) -> Detections:
    return Detections(boxes, np.ones(len(boxes), np.float32))
