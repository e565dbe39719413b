# SPDX-License-Identifier: Apache-2.0
"""How alike two poses are, for all pairs at once: the original body form and our whole-body form.

RMPE (Fang et al., ICCV 2017) calls two poses the same person by d = K_sim + lambda H_sim: a soft
match of joints that coincide, weighted by their confidences, and a spatial term that fades with
distance. AlphaPose's code adds a count of coinciding joints.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.boxes import box_area
from alphapose_ros.base.skeletons import Skeleton
from alphapose_ros.pose.nms_config import PoseNmsConfig

FloatArray = NDArray[np.floating]
BoolArray = NDArray[np.bool_]

CHUNK_VALUES = 2_000_000  # pairs x joints held at a time: 16 MB of distances, however many people


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
    weights, tolerance = joint_weights(skeleton, config)
    valid = valid_joints(scores, config)
    weight = np.where(valid, weights, 0)  # (N, K)
    complete = weight.sum(1)
    size = person_sizes(boxes)
    confidence = np.tanh(scores / config.confidence_scale)
    out = np.zeros((len(keypoints),) * 2, np.float32)
    for rows in _chunks(keypoints):
        distance = _distances(keypoints[rows], keypoints)  # (P, N, K)
        distance /= np.sqrt(size[rows, None] * size)[..., None] * tolerance
        kernel = np.exp(distance / -config.spatial_scale)
        kernel *= config.spatial_weight
        kernel += np.where(distance <= config.match_radius, confidence[rows, None] * confidence, 0)
        kernel *= weight[rows, None]
        total = np.einsum("pqk,qk->pq", kernel, valid.astype(kernel.dtype))
        least = np.minimum(complete[rows, None], complete) * (1 + config.spatial_weight)
        np.divide(total, least, out=out[rows], where=least > 0)
    return out


def valid_joints(scores: FloatArray, config: PoseNmsConfig) -> BoolArray:
    """(N, K) joints that say something: score above 0 and not below ``min_joint_score``."""
    return (scores >= config.min_joint_score) & (scores > 0)


def person_sizes(boxes: FloatArray) -> FloatArray:
    """(N,) px: the square root of the box area, as in OKS; never 0."""
    return np.sqrt(np.maximum(box_area(boxes), np.finfo(np.float32).tiny)).astype(np.float32)


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
