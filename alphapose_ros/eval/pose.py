# SPDX-License-Identifier: Apache-2.0
"""``alphapose-ros eval pose``: how well joints are placed in given person boxes.

Every number says what it counts. Only annotated joints (label 2) count for the body; pseudo
labels (label 1) of faces and hands are reported apart and named so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.keypoints import joint_similarity, oks
from alphapose_ros.base.records import Detections, Poses
from alphapose_ros.base.skeletons import COCO17, HALPE136
from alphapose_ros.data.coco import read_image
from alphapose_ros.data.people import Annotation, People, read_people
from alphapose_ros.eval.metrics import (
    THRESHOLDS,
    ImageMatches,
    area_under_roc,
    average_precision,
    bootstrap,
    match_image,
)
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.pose.estimator import Estimator

Interval = tuple[float, float]
_BODY = len(COCO17)


@dataclass(frozen=True)
class Estimates:
    """People of a data set and what the network says of each, row by row."""

    people: People
    keypoints: NDArray[np.float32]  # (N, K, 2) px
    scores: NDArray[np.float32]  # (N, K)
    person_scores: NDArray[np.float32]  # (N,)

    @property
    def by_image(self) -> list[NDArray[np.intp]]:
        """Rows per image that has people."""
        order = np.argsort(self.people.image_rows, kind="stable")
        stops = np.flatnonzero(np.diff(self.people.image_rows[order])) + 1
        return np.split(order, stops) if len(order) else []


def estimate_people(
    estimator: Estimator,
    people: People,
    on_image: Callable[[], object] = lambda: None,
    device: torch.device | str = "cpu",
) -> Estimates:
    """Run the estimator on the ground-truth box of everybody.

    Raises:
        InputError: the estimator finds the people itself and would not answer boxes.
    """
    if estimator.finds_people:
        raise InputError("expected a pose network that answers given boxes, got a one-stage one")
    joints = len(people.skeleton)
    keypoints = np.zeros((len(people), joints, 2), np.float32)
    scores = np.zeros((len(people), joints), np.float32)
    person_scores = np.zeros(len(people), np.float32)
    found = Estimates(people, keypoints, scores, person_scores)
    index = people.skeleton.source_of(estimator.skeleton)
    for rows in found.by_image:
        image = read_image(people.images[people.image_rows[rows[0]]])
        boxes = Detections(people.boxes[rows], np.ones(len(rows), np.float32))
        poses: Poses = estimator(ImageBatch.upload([image], device), [boxes])[0]
        keypoints[rows] = poses.keypoints[:, index]
        scores[rows] = np.where(index >= 0, poses.scores[:, index], 0)
        person_scores[rows] = poses.person_scores
        on_image()
    return found


def evaluate_pose(
    estimator: Estimator,
    annotations: Path,
    images: Path,
    *,
    keep: Callable[[Annotation], bool] = lambda _: True,
    device: torch.device | str = "cpu",
    on_image: Callable[[], object] = lambda: None,
) -> dict[str, float | Interval | int]:
    """All measures of :func:`measure` on a COCO-format file.

    Raises:
        InputError: nobody with keypoints is in the file.
    """
    people = read_people(annotations, images, HALPE136, keep)
    if len(people) == 0:
        raise InputError(f"{annotations}: expected people with keypoints, found none")
    return measure(estimate_people(estimator, people, on_image, device))


def measure(found: Estimates) -> dict[str, float | Interval | int]:
    """Mean OKS and AP of 17 joints, PCK@0.1, face and hand errors, AUROC of the joint scores.

    Intervals (keys ending in ``_95``) are image bootstraps. OKS takes the annotated area and the
    COCO sigmas; PCK and part errors are relative to the longer side of the person's box.
    """
    people, groups = found.people, found.by_image
    valid = people.labels[:, :_BODY] == 2
    counted = valid.any(1)
    similarity = oks(
        people.keypoints[:, :_BODY],
        found.keypoints[:, :_BODY],
        people.areas,
        COCO17.sigmas,
        valid.astype(np.float32),
    )
    size = (people.boxes[:, 2:] - people.boxes[:, :2]).max(1)
    distance = np.linalg.norm(found.keypoints - people.keypoints, axis=-1) / size[:, None]
    body = people.skeleton.parts["body"]
    near = (distance[:, body] <= 0.1) & (people.labels[:, body] == 2)
    known = people.labels[:, body] == 2

    def mean_oks(chosen: Sequence[int] | NDArray[np.intp]) -> float:
        rows = _rows(groups, chosen)
        return float(similarity[rows][counted[rows]].mean()) if counted[rows].any() else np.nan

    def pck(chosen: Sequence[int] | NDArray[np.intp]) -> float:
        rows = _rows(groups, chosen)
        return float(near[rows].sum() / max(1, known[rows].sum()))

    matches = [_matches(found, rows, valid) for rows in groups]

    def precision(chosen: Sequence[int] | NDArray[np.intp]) -> float:
        return float(average_precision([matches[i] for i in chosen]).mean())

    everything = np.arange(len(groups))
    out: dict[str, float | Interval | int] = {
        "people": int(counted.sum()),
        "images": len(groups),
        "joints": int(valid.sum()),
    }
    for name, statistic in (("oks", mean_oks), ("ap", precision), ("pck", pck)):
        out[name] = statistic(everything)
        out[f"{name}_95"] = bootstrap(statistic, len(groups))
    per_threshold = average_precision(matches)
    out |= {f"ap{round(t * 100)}": float(per_threshold[i]) for i, t in ((0, 0.5), (5, 0.75))}
    return out | _part_errors(found, distance) | _score_quality(found, valid)


def _rows(groups: list[NDArray[np.intp]], chosen: Sequence[int] | NDArray[np.intp]) -> NDArray:
    return np.concatenate([np.zeros(0, np.intp), *(groups[i] for i in chosen)])


def _matches(found: Estimates, rows: NDArray[np.intp], valid: NDArray[np.bool_]) -> ImageMatches:
    """COCO keypoint matching of one image: every person's pose against every person.

    Somebody without an annotated joint does not count, and neither does the pose that lies
    nearest to their box: COCO takes its distance from a box three times as wide and high.
    """
    people = found.people
    pairwise = oks(
        people.keypoints[rows, None, :_BODY],
        found.keypoints[None, rows, :_BODY],
        people.areas[rows, None],
        COCO17.sigmas,
        valid[rows, None].astype(np.float32),
    )
    ignored = np.logical_not(valid[rows].any(1))
    pairwise[ignored] = _box_similarity(people[rows[ignored]], found.keypoints[rows, :_BODY])
    return match_image(pairwise.T, found.person_scores[rows], ignored, THRESHOLDS)


def _box_similarity(people: People, keypoints: NDArray[np.float32]) -> NDArray[np.float32]:
    """OKS of N people without joints against M poses (M, 17, 2) -> (N, M), as pycocotools."""
    low, high = people.boxes[:, None, None, :2], people.boxes[:, None, None, 2:]
    nearest = np.clip(keypoints[None], 2 * low - high, 2 * high - low)
    similarity = joint_similarity(nearest, keypoints[None], people.areas[:, None], COCO17.sigmas)
    return similarity.mean(-1)


def _part_errors(found: Estimates, distance: NDArray[np.float32]) -> dict[str, float]:
    """Mean distance over the longer box side of each labelled face or hand, pseudo labels too.

    Two baselines for the face, both knowing more than the network does: the mean shape of these
    same faces, placed in the square around the annotated nose, eyes and ears
    (``mean_face_in_head_box``), and stretched over the true face's own bounding box
    (``mean_face_in_face_box``).
    """
    out: dict[str, float] = {}
    labels = found.people.labels
    for part in ("face", "left_hand", "right_hand"):
        joints = found.people.skeleton.parts[part]
        complete = (labels[:, joints] > 0).all(1)
        if complete.any():
            out[f"{part}_error"] = float(distance[complete][:, joints].mean())
            out[f"{part}_count"] = int(complete.sum())
    if "face_error" in out:
        people = found.people[(labels[:, found.people.skeleton.parts["face"]] > 0).all(1)]
        out["mean_face_in_head_box"] = _mean_face_error(people, *_head_boxes(people))
        face = people.keypoints[:, people.skeleton.parts["face"]]
        out["mean_face_in_face_box"] = _mean_face_error(people, face.min(1), face.max(1))
    return out


def _head_boxes(people: People) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Corners (N, 2) each of the square around the annotated nose, eyes and ears."""
    points, known = people.keypoints[:, :5], people.labels[:, :5, None] == 2
    low = np.where(known, points, np.inf).min(1)
    high = np.where(known, points, -np.inf).max(1)
    none = ~known.any((1, 2))
    low[none], high[none] = people.boxes[none, :2], people.boxes[none, 2:]
    half = np.maximum((high - low).max(1, keepdims=True), 1) / 2
    return (low + high) / 2 - half, (low + high) / 2 + half


def _mean_face_error(people: People, low: NDArray[np.float32], high: NDArray[np.float32]) -> float:
    """Error of the mean shape in boxes of corners (N, 2), relative to the longer person side."""
    truth = people.keypoints[:, people.skeleton.parts["face"]]
    low, extent = low[:, None], np.maximum(high - low, 1e-6)[:, None]
    mean = ((truth - low) / extent).mean(0)
    size = (people.boxes[:, 2:] - people.boxes[:, :2]).max(1)
    error = np.linalg.norm(low + mean * extent - truth, axis=-1) / size[:, None]
    return float(error.mean())


def _score_quality(found: Estimates, valid: NDArray[np.bool_]) -> dict[str, float]:
    """AUROC of the joint score against a joint similarity above one half, annotated joints."""
    similarity = joint_similarity(
        found.people.keypoints[:, :_BODY],
        found.keypoints[:, :_BODY],
        found.people.areas,
        COCO17.sigmas,
    )
    return {"auroc": area_under_roc(found.scores[:, :_BODY][valid], similarity[valid] > 0.5)}
