# SPDX-License-Identifier: Apache-2.0
"""How alike two poses are, for all pairs at once: the original body form and our whole-body form.

RMPE (Fang et al., ICCV 2017) calls two poses the same person by d = K_sim + lambda H_sim: a soft
match of joints that coincide, weighted by their confidences, and a spatial term that fades with
distance. AlphaPose's code adds a count of coinciding joints.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.boxes import box_area
from alphapose_ros.base.skeletons import Skeleton
from alphapose_ros.pose.nms_config import PoseNmsConfig

FloatArray = NDArray[np.floating]
BoolArray = NDArray[np.bool_]
IndexArray = NDArray[np.intp]

CHUNK_VALUES = 2_000_000  # pairs x joints held at a time: 16 MB of distances, however many people
_FEW = 150  # pairs that are sooner looked at whole than sorted out
_TINY = np.finfo(np.float32).tiny
_ROUNDING = 1e-4  # far above that of a sum of some hundred float32


def body_redundancy(
    keypoints: FloatArray, scores: FloatArray, reach: FloatArray, config: PoseNmsConfig
) -> BoolArray:
    """AlphaPose's test: (N, N), row p marks the poses that are redundant once p is chosen.

    Sums over joints and pixels, tuned for 17 joints: the similarity exceeds ``body_gamma``, or
    ``body_match_count`` joints lie within the reach of p.

    Args:
        keypoints: (N, K, 2) px.
        scores: (N, K).
        reach: (N,) px, a fraction of each person's longer box side.
        config: the ``body_*`` parameters.
    """
    confidence = np.tanh(scores / config.body_delta1)
    limit = np.minimum(reach, config.body_match_px)[:, None, None]
    out = np.zeros((len(keypoints),) * 2, bool)
    for rows in _chunks(keypoints):
        distance = _distances(keypoints[rows], keypoints)
        soft = np.where(distance <= 1, confidence[rows, None] * confidence, 0).sum(-1)
        spatial = np.exp(distance / -config.body_delta2).sum(-1)
        count = (distance <= limit[rows]).sum(-1)
        out[rows] = soft + config.body_mu * spatial > config.body_gamma
        out[rows] |= count >= config.body_match_count
    return out


def wholebody_similarity(
    keypoints: FloatArray,
    scores: FloatArray,
    boxes: FloatArray,
    skeleton: Skeleton,
    config: PoseNmsConfig,
) -> FloatArray:
    """RMPE's similarity as a fraction in [0, 1], (N, N), symmetric.

    Each joint's terms are weighted by its part and averaged over the valid joints of the less
    complete pose of the two, so that a half-seen duplicate is a duplicate, and a pair that has
    little in common is not. Lengths are measured in the geometric mean of both persons' sizes.
    Neither the number of people nor their size in pixels enters. Two poses without valid joints
    have similarity 0.

    Args:
        keypoints: (N, K, 2) px.
        scores: (N, K); joints below ``min_joint_score`` do not count, nor do those of score 0.
        boxes: (N, 4) px xyxy.
        skeleton: names the parts of the K joints.
        config: the parameters without ``body_`` in front.
    """
    people = _People(keypoints, scores, boxes, skeleton, config)
    first, second = np.triu_indices(len(keypoints))
    out = np.zeros((len(keypoints),) * 2, np.float32)
    out[first, second] = people.fraction(first, second, people.total(first, second))
    return np.maximum(out, out.T)


def wholebody_redundancy(
    keypoints: FloatArray,
    scores: FloatArray,
    boxes: FloatArray,
    skeleton: Skeleton,
    config: PoseNmsConfig,
) -> BoolArray:
    """Where :func:`wholebody_similarity` exceeds ``threshold`` between two, (N, N), symmetric.

    Most pairs are settled by bounds. A pair whose joints lie too far apart is not looked at; of
    the others the joints of most weight, the body's, come first, and a pair that could not reach
    the threshold if all its other joints coincided is done: few are left for face and hands.
    """
    people = _People(keypoints, scores, boxes, skeleton, config)
    first, second = np.nonzero(people.within_reach())
    once = first < second
    first, second = first[once], second[once]
    if len(first) > _FEW:
        able = people.best(first, second) > config.threshold - _ROUNDING
        first, second = first[able], second[able]
    total = people.total(first, second)
    alike = people.fraction(first, second, total) > config.threshold
    out = np.zeros((len(keypoints),) * 2, bool)
    out[first[alike], second[alike]] = True
    return out | out.T


class _People:
    """What is known of each pose before it is compared; arguments as above."""

    def __init__(
        self,
        keypoints: FloatArray,
        scores: FloatArray,
        boxes: FloatArray,
        skeleton: Skeleton,
        config: PoseNmsConfig,
    ) -> None:
        self._config = config
        self._joint_weights, self._tolerance = joint_weights(skeleton, config)
        self._weight = np.where(valid_joints(scores, config), self._joint_weights, 0)  # (N, K)
        self._most = 1 + config.spatial_weight  # a joint's terms where two poses coincide
        self._complete = self._weight.sum(1) * self._most
        self._root = np.sqrt(person_sizes(boxes))
        self._confidence = np.tanh(scores / config.confidence_scale)
        self._points = np.ascontiguousarray(np.moveaxis(keypoints, -1, 0))  # (2, N, K)

    def within_reach(self) -> BoolArray:
        """(N, N) pairs that could exceed the threshold if all joints were as near as any two are.

        The nearest they can be is the gap between the rectangles around both poses' joints.
        """
        config = self._config
        away = np.where(self._weight > 0, np.float32(0), np.float32(np.inf))
        low = (self._points + away).min(2, initial=np.inf)  # (2, N)
        high = (self._points - away).max(2, initial=-np.inf)
        gap = np.maximum(low[:, :, None], low[:, None])
        gap -= np.minimum(high[:, :, None], high[:, None])
        np.maximum(gap, 0, out=gap)
        distance = np.hypot(gap[0], gap[1])
        distance /= self._root[:, None] * self._root * self._tolerance.max(initial=0)
        most = config.spatial_weight * np.exp(distance / -config.spatial_scale)
        most += distance <= config.match_radius * (1 + _ROUNDING)
        return most > self._most * (config.threshold - _ROUNDING)

    def best(self, first: IndexArray, second: IndexArray) -> FloatArray:
        """Fractions of M pairs if all joints but those of most weight coincided, (M,)."""
        heavy = self._joint_weights >= self._joint_weights.max(initial=0) / 2
        missing = (self._weight * ~heavy).sum(1) * self._most
        best = self.total(first, second, heavy)
        return self.fraction(first, second, best + np.minimum(missing[first], missing[second]))

    def fraction(self, first: IndexArray, second: IndexArray, total: FloatArray) -> FloatArray:
        """Sums of terms (M,) -> shares of what the less complete pose of each pair can reach."""
        least = np.minimum(self._complete[first], self._complete[second])
        return total / np.maximum(least, _TINY)  # nothing of nothing is 0

    def total(
        self, first: IndexArray, second: IndexArray, joints: BoolArray | None = None
    ) -> FloatArray:
        """Weighted terms of M pairs, summed over all or some ``joints`` (K,), (M,)."""
        columns = self._points, self._confidence, self._weight
        tolerance = self._tolerance
        if joints is not None:
            points, confidence, weight = columns
            columns = points[..., joints], confidence[:, joints], weight[:, joints]
            tolerance = tolerance[joints]
        step = max(1, CHUNK_VALUES // max(1, len(tolerance)))
        parts = [
            self._terms(
                first[start : start + step], second[start : start + step], columns, tolerance
            )
            for start in range(0, max(len(first), 1), step)
        ]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _terms(
        self,
        first: IndexArray,
        second: IndexArray,
        columns: tuple[FloatArray, FloatArray, FloatArray],
        tolerance: FloatArray,
    ) -> FloatArray:
        config = self._config
        points, confidence, weight = columns
        apart = points.take(first, 1)
        apart -= points.take(second, 1)
        apart *= apart
        distance = np.sqrt(apart[0] + apart[1])
        distance /= (self._root[first] * self._root[second])[:, None] * tolerance
        soft = confidence.take(first, 0)
        soft *= confidence.take(second, 0)
        soft *= distance <= config.match_radius
        distance /= -config.spatial_scale
        kernel = np.exp(distance, out=distance)
        kernel *= config.spatial_weight
        kernel += soft
        # Both poses' joint must be valid: the smaller of the two weights is 0 if one is not.
        common = np.minimum(weight.take(first, 0), weight.take(second, 0))
        return np.einsum("mk,mk->m", kernel, common)


def valid_joints(scores: FloatArray, config: PoseNmsConfig) -> BoolArray:
    """(N, K) joints that say something: score above 0 and not below ``min_joint_score``."""
    return (scores >= config.min_joint_score) & (scores > 0)


def person_sizes(boxes: FloatArray) -> FloatArray:
    """(N,) px: the square root of the box area, as in OKS; never 0."""
    return np.sqrt(np.maximum(box_area(boxes), _TINY)).astype(np.float32)


@lru_cache(maxsize=32)
def joint_weights(skeleton: Skeleton, config: PoseNmsConfig) -> tuple[FloatArray, FloatArray]:
    """Weight and tolerance of each joint, (K,) twice; a part's weight is shared by its joints."""
    share = {"feet": config.feet_weight, "face": config.face_weight}
    weights = np.ones(len(skeleton), np.float32)
    tolerance = np.ones(len(skeleton), np.float32)
    for part, joints in skeleton.parts.items():
        hand = part.endswith("hand") and len(skeleton.parts) > 1
        weight = config.hand_weight if hand else share.get(part, 1.0)
        weights[joints] = weight / (joints.stop - joints.start)
        if hand or part == "face":
            tolerance[joints] = config.hand_tolerance if hand else config.face_tolerance
    return weights, tolerance


def _distances(first: FloatArray, second: FloatArray) -> FloatArray:
    """Joint distances in px, (P, K, 2) and (Q, K, 2) -> (P, Q, K)."""
    dx = first[:, None, :, 0] - second[None, :, :, 0]
    dy = first[:, None, :, 1] - second[None, :, :, 1]
    return np.sqrt(dx * dx + dy * dy)


def _chunks(keypoints: FloatArray) -> list[slice]:
    count, joints = keypoints.shape[:2]
    step = max(1, CHUNK_VALUES // max(1, count * joints))
    return [slice(start, start + step) for start in range(0, count, step)]
