# SPDX-License-Identifier: Apache-2.0
"""Arithmetic on keypoints: object keypoint similarity, mirroring, mapping between skeletons."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.base.skeletons import Skeleton

FloatArray = NDArray[np.float32]


def joint_similarity(
    first: FloatArray, second: FloatArray, areas: FloatArray, sigmas: FloatArray
) -> FloatArray:
    """exp(-d² / (2 area (2 sigma)²)) per joint: (..., K, 2) twice and (...,) px² -> (..., K)."""
    squared = ((first - second) ** 2).sum(-1)
    variance = (2 * sigmas) ** 2 * np.maximum(areas, np.spacing(1))[..., None]
    return np.exp(-squared / (2 * variance)).astype(np.float32)


def oks(
    first: FloatArray, second: FloatArray, areas: FloatArray, sigmas: FloatArray, valid: FloatArray
) -> FloatArray:
    """Object keypoint similarity, COCO's convention: the mean over the joints marked in ``valid``.

    Args:
        first, second: (..., K, 2) px, broadcast against each other.
        areas: (...,) px² of the reference person.
        sigmas: (K,) of the skeleton.
        valid: (..., K) weights, 0 for joints that do not count. No joint at all gives 0.
    """
    similarity = joint_similarity(first, second, areas, sigmas)
    weight = np.broadcast_to(valid, similarity.shape).astype(np.float32)
    total = weight.sum(-1)
    return np.divide(
        (similarity * weight).sum(-1), total, out=np.zeros_like(total), where=total > 0
    )


def pairwise_oks(
    first: FloatArray,
    second: FloatArray,
    areas: FloatArray,
    sigmas: FloatArray,
    valid: FloatArray,
) -> FloatArray:
    """OKS of N against M poses (K joints) -> (N, M); ``areas`` and ``valid`` belong to the N."""
    return oks(first[:, None], second[None], areas[:, None], sigmas, valid[:, None])


def check_mapped(source: Skeleton, target: Skeleton) -> Skeleton:
    """``target``, if poses of ``source`` can be mapped to it.

    Raises:
        ConfigError: not a single joint is in both, or they are different joints of one name.
    """
    if source.name == target.name and source.keypoint_names != target.keypoint_names:
        raise ConfigError(
            f"skeleton: expected the joints that the network knows as {source.name}, "
            f"{', '.join(source.keypoint_names)}; got {', '.join(target.keypoint_names)}: rename "
            "it, or bring them into this order"
        )
    if not (target.source_of(source) >= 0).any():
        raise ConfigError(
            f"skeleton: expected one that shares joints with {source.name}, got {target.name}"
        )
    return target


def map_keypoints(
    keypoints: FloatArray, scores: FloatArray, source: Skeleton, target: Skeleton
) -> tuple[FloatArray, FloatArray]:
    """(N, K, 2) and (N, K) of ``source`` -> the same of ``target``; joints without a source get 0.

    A neck or pelvis that the source lacks is the midpoint of both shoulders or hips, with the
    lower of their scores.
    """
    index = target.source_of(source)
    out = np.where((index >= 0)[:, None], keypoints[:, index], 0).astype(np.float32)
    out_scores = np.where(index >= 0, scores[:, index], 0).astype(np.float32)
    for k, a, b in _midpoints(source, target):
        out[:, k] = (keypoints[:, a] + keypoints[:, b]) / 2
        out_scores[:, k] = np.minimum(scores[:, a], scores[:, b])
    return out, out_scores


def map_joint_values(values: FloatArray, source: Skeleton, target: Skeleton) -> FloatArray:
    """(N, K) lengths of ``source``'s joints -> ``target``'s, NaN for joints without a source.

    A midpoint has the mean of both, its standard deviation where the two err together.
    """
    index = target.source_of(source)
    out = np.where(index >= 0, values[:, index], np.nan).astype(np.float32)
    for k, a, b in _midpoints(source, target):
        out[:, k] = (values[:, a] + values[:, b]) / 2
    return out


def _midpoints(source: Skeleton, target: Skeleton) -> Iterator[tuple[int, int, int]]:
    """Joints that ``target`` alone has, and the two of ``source`` that they lie between."""
    for name, pair in {"neck": "shoulder", "pelvis": "hip"}.items():
        sides = [f"left_{pair}", f"right_{pair}"]
        lacks = name in target.keypoint_names and name not in source.keypoint_names
        if lacks and set(sides) <= set(source.keypoint_names):
            yield target.index(name), source.index(sides[0]), source.index(sides[1])
