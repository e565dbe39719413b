# SPDX-License-Identifier: Apache-2.0
"""Parametric pose NMS: several boxes on one person leave several poses; one is kept.

The best-scored pose takes everything that is redundant with it, then the best of the rest, and so
on (RMPE, ICCV 2017). All pairs are compared once, before the greedy loop.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.records import Poses
from alphapose_ros.base.skeletons import Skeleton
from alphapose_ros.pose.nms_config import PoseNmsConfig
from alphapose_ros.pose.nms_similarity import (
    body_redundancy,
    person_sizes,
    valid_joints,
    wholebody_redundancy,
)

FloatArray = NDArray[np.floating]
BoolArray = NDArray[np.bool_]
IndexArray = NDArray[np.intp]

SCORE_FLOOR = 1e-5  # AlphaPose's stand-in for a joint score of 0, so that weights have a sum


@dataclass(frozen=True)
class Clusters:
    """Outcome of the greedy loop: P picks, best first, and whom each of them took."""

    picks: IndexArray  # (P,) rows
    of_row: IndexArray  # (N,) number of the pick that took a row, itself included; -1: nobody

    def __getitem__(self, keep: BoolArray) -> Clusters:
        if keep.all():
            return self
        numbers = np.append(np.where(keep, keep.cumsum() - 1, -1), -1)
        return Clusters(self.picks[keep], numbers[self.of_row])


class PoseNms:
    """Removes redundant poses; ``nms(poses)`` keeps box, box score and source of each pick."""

    def __init__(self, config: PoseNmsConfig | None = None) -> None:
        self.config = config or PoseNmsConfig()

    def __call__(self, poses: Poses) -> Poses:
        """Poses of one image -> one pose per person, best first. Joints of score 0 stay 0."""
        if not self.config.enabled:
            return poses
        if self.form(poses.skeleton) == "body":
            return self._body(poses)
        return wholebody_nms(poses, self.config)

    def form(self, skeleton: Skeleton) -> str:
        """The form used for ``skeleton``: body or wholebody."""
        if self.config.form != "auto":
            return self.config.form
        # The body form's sums and counts of joints are made for some 17; others may have four.
        fine = {"face", "left_hand", "right_hand"} & set(skeleton.parts)
        return "wholebody" if fine or skeleton.is_own else "body"

    def _body(self, poses: Poses) -> Poses:
        # A joint that the model was never taught has score 0 in every pose and no say here.
        taught = (poses.scores > 0).any(0)
        keypoints, scores, picks = body_nms(
            poses.keypoints[:, taught], poses.scores[:, taught], poses.boxes, self.config
        )
        kept = poses[picks]
        out_keypoints, out_scores = kept.keypoints.copy(), kept.scores.copy()
        out_keypoints[:, taught] = keypoints
        out_scores[:, taught] = np.where(scores > SCORE_FLOOR * 1.5, scores, 0)
        return replace(kept, keypoints=out_keypoints, scores=out_scores)


def body_nms(
    keypoints: FloatArray, scores: FloatArray, boxes: FloatArray, config: PoseNmsConfig
) -> tuple[FloatArray, FloatArray, IndexArray]:
    """AlphaPose's pose NMS in its body form, merging included, for any number of joints.

    Its thresholds are pixels and sums over joints; that is the original's behaviour, kept.

    Args:
        keypoints: (N, K, 2) px.
        scores: (N, K).
        boxes: (N, 4) px xyxy of the detector.
        config: the ``body_*`` parameters.

    Returns:
        Merged keypoints (P, K, 2), merged scores (P, K) and the picked rows (P,), best first.
    """
    points = np.asarray(keypoints, np.float64)
    floored = np.where(scores == 0, SCORE_FLOOR, scores).astype(np.float64)
    reach = config.body_alpha * (boxes[:, 2:] - boxes[:, :2]).max(1).astype(np.float64)
    redundant = body_redundancy(points, floored, reach, config)
    person = floored.mean(1) if floored.shape[1] else np.zeros(len(floored))
    clusters = greedy_clusters(redundant, person)
    bright = _best(floored[clusters.picks]) >= config.body_min_score
    clusters = clusters[bright]
    radius = np.minimum(reach[clusters.picks], config.body_merge_px)
    merged, merged_scores = merge(points, floored, clusters, radius)
    keep = _best(merged_scores) >= config.body_min_score
    keep &= 1.5**2 * _extent(merged) >= config.body_min_area
    return (
        merged[keep].astype(np.float32),
        merged_scores[keep].astype(np.float32),
        clusters.picks[keep],
    )


def wholebody_nms(poses: Poses, config: PoseNmsConfig) -> Poses:
    """Our form for skeletons with face and hands: relative lengths, fractions, weighted parts."""
    valid = valid_joints(poses.scores, config)
    seen = valid.any(1)
    if not seen.all():  # who has no joint that counts is like nobody else, and left out
        return wholebody_nms(poses[seen], config)
    redundant = wholebody_redundancy(
        poses.keypoints, poses.scores, poses.boxes, poses.skeleton, config
    )
    clusters = greedy_clusters(redundant, poses.person_scores)
    picks = clusters.picks
    if not config.merge_radius:
        return poses[picks]
    radius = config.merge_radius * person_sizes(poses.boxes[picks])
    keypoints, scores = merge(poses.keypoints, np.where(valid, poses.scores, 0), clusters, radius)
    kept = poses[picks]
    scores = np.where(valid[picks], scores, kept.scores)  # others stay as the pick has them
    return replace(kept, keypoints=keypoints, scores=scores)


def greedy_clusters(redundant: BoolArray, scores: FloatArray) -> Clusters:
    """Best score first; ties keep the earlier row.

    Args:
        redundant: (N, N), row p marks what goes when p is picked; p itself always goes.
        scores: (N,) person scores.
    """
    picks: list[int] = []
    owner = [-1] * len(scores)
    rows, columns = np.nonzero(redundant)
    ends = np.searchsorted(rows, np.arange(len(scores) + 1)).tolist()
    others = columns.tolist()
    for row in np.argsort(-scores, kind="stable").tolist():
        if owner[row] < 0:
            for other in (row, *others[ends[row] : ends[row + 1]]):
                if owner[other] < 0:
                    owner[other] = len(picks)
            picks.append(row)
    return Clusters(np.array(picks, np.intp), np.array(owner, np.intp))


def merge(
    keypoints: FloatArray, scores: FloatArray, clusters: Clusters, radius: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Score-weighted mean of each cluster's joints that lie near the pick's own.

    Args:
        keypoints: (N, K, 2) px.
        scores: (N, K); where the pick's is 0 its joint stays.
        clusters: P picks and their members.
        radius: (P,) px.

    Returns:
        Keypoints (P, K, 2) and scores (P, K), themselves weighted by the scores.
    """
    rows = np.flatnonzero(clusters.of_row >= 0)
    cluster = clusters.of_row[rows]
    moved, own = keypoints[clusters.picks], scores[clusters.picks]
    apart = keypoints[rows]
    apart -= moved.take(cluster, 0)  # from the pick: the sums lose no digits
    dx, dy = apart[..., 0], apart[..., 1]
    terms = np.empty((4, *dx.shape), np.result_type(keypoints, scores))
    near = np.sqrt(dx * dx + dy * dy) <= radius[cluster, None]
    weight = np.multiply(scores[rows], near, out=terms[3])
    for value, term in zip((dx, dy, weight), terms[:3], strict=True):
        np.multiply(value, weight, out=term)
    members = (np.arange(len(moved))[:, None] == cluster).astype(terms.dtype)
    sums = members @ terms  # (4, P, K)
    means = sums[:3] * ((own > 0) / np.maximum(sums[3], np.finfo(terms.dtype).tiny))
    moved += np.moveaxis(means[:2], 0, -1)
    return moved, means[2]


def _best(scores: FloatArray) -> FloatArray:
    return scores.max(1, initial=0)


def _extent(keypoints: FloatArray) -> FloatArray:
    """(P, K, 2) -> (P,) px², area of the joints' bounding box."""
    if not keypoints.shape[1]:
        return np.zeros(len(keypoints))
    sides = keypoints.max(1) - keypoints.min(1)
    return sides[:, 0] * sides[:, 1]
