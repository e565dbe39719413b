# SPDX-License-Identifier: Apache-2.0
"""``alphapose-ros eval pose``: how well joints are placed in the annotated person boxes.

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
from alphapose_ros.base.skeletons import HALPE136, Skeleton
from alphapose_ros.data.coco import read_image
from alphapose_ros.data.people import Annotation, People, read_people
from alphapose_ros.data.readers import is_part, read_set
from alphapose_ros.eval.metrics import (
    area_under_roc,
    average_precision,
    bootstrap,
    calibration_error,
)
from alphapose_ros.eval.parts import PosedImage, body_part, match_part, mean_ap, part_measures
from alphapose_ros.eval.placement import FINE_PARTS, body_joints, fine_errors, longer_sides, pckh
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.pose.estimator import Estimator

Interval = tuple[float, float]
Measures = dict[str, float | int | Interval]


@dataclass(frozen=True)
class Estimates:
    """People of a data set and what the network says of each, row by row."""

    people: People
    keypoints: NDArray[np.float32]  # (N, K, 2) px
    scores: NDArray[np.float32]  # (N, K)
    person_scores: NDArray[np.float32]  # (N,)
    keypoint_std: NDArray[np.float32] | None = None  # (N, K) px, NaN where nothing is known

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
    spreads = np.full_like(scores, np.nan)
    found = Estimates(people, keypoints, scores, person_scores, spreads)
    for rows in found.by_image:
        image = read_image(people.images[people.image_rows[rows[0]]])
        boxes = Detections(people.boxes[rows], np.ones(len(rows), np.float32))
        poses: Poses = estimator(ImageBatch.upload([image], device), [boxes])[0]
        person_scores[rows] = poses.person_scores
        poses = poses.mapped(people.skeleton)
        keypoints[rows], scores[rows], spreads[rows] = (
            poses.keypoints,
            poses.scores,
            poses.keypoint_std,
        )
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
) -> Measures:
    """All measures of :func:`measure`, of parts and of joints on a COCO-format file.

    Raises:
        InputError: nobody with keypoints is in the file.
    """
    people = people_with_joints(annotations, images, keep, estimator.skeleton)
    found = estimate_people(estimator, people, on_image, device)
    return measure(found) | measure_parts(found) | measure_joints(found)


def people_with_joints(
    annotations: Path,
    images: Path,
    keep: Callable[[Annotation], bool] = lambda _: True,
    skeleton: Skeleton = HALPE136,
) -> People:
    """The people of a COCO-format file, in Halpe's 136 joints, or in a skeleton of one's own.

    Where ``skeleton`` is a face or a hand alone: the faces or hands, each in its own box.

    Raises:
        InputError: nobody with keypoints is in the file.
        ConfigError: no face or hand is, or no joint of one's own.
    """
    if is_part(skeleton) or skeleton.is_own:
        people = read_set(annotations, images, skeleton, keep=keep)
    else:
        people = read_people(annotations, images, HALPE136, keep)
    if len(people) == 0:
        raise InputError(f"{annotations}: expected people with keypoints, found none")
    return people


def measure(found: Estimates) -> Measures:
    """Mean OKS and AP of 17 joints, PCK@0.1, PCKh@0.5, face and hand errors, quality of scores.

    Intervals (keys ending in ``_95``) are image bootstraps. OKS takes the annotated area and the
    COCO sigmas; PCK and part errors are relative to the longer side of the person's box. Of a
    set of faces or hands alone nothing is said of bodies. A skeleton of one's own is measured by
    all its joints and its own sigmas.
    """
    people, groups = found.people, found.by_image
    body, part = body_joints(people.skeleton), body_part(people.skeleton)
    if len(people) and not (people.labels[:, body] == 2).any():
        counts: Measures = {"people": len(people), "images": len(groups)}
        quality = score_quality(found)
        del quality["auroc"], quality["ece"]
        return counts | fine_errors(people, found.keypoints) | quality
    valid = people.labels[:, part.joints] == 2
    counted = valid.any(1)
    similarity = oks(
        people.keypoints[:, part.joints],
        found.keypoints[:, part.joints],
        people.areas,
        part.sigmas.astype(np.float32),
        valid.astype(np.float32),
    )
    distance = np.linalg.norm(found.keypoints - people.keypoints, axis=-1)
    near = (distance[:, body] <= 0.1 * longer_sides(people)[:, None]) & (
        people.labels[:, body] == 2
    )
    known = people.labels[:, body] == 2

    def mean_oks(chosen: Sequence[int] | NDArray[np.intp]) -> float:
        rows = _rows(groups, chosen)
        return float(similarity[rows][counted[rows]].mean()) if counted[rows].any() else np.nan

    def pck(chosen: Sequence[int] | NDArray[np.intp]) -> float:
        rows = _rows(groups, chosen)
        return float(near[rows].sum() / max(1, known[rows].sum()))

    matches = [match_part(posed(found, rows), part) for rows in groups]
    everything = np.arange(len(groups))
    out: Measures = {
        "people": int(counted.sum()),
        "images": len(groups),
        "joints": int(valid.sum()),
    }
    for name, statistic in (("oks", mean_oks), ("ap", mean_ap(matches)), ("pck", pck)):
        out[name] = statistic(everything)
        out[f"{name}_95"] = bootstrap(statistic, len(groups))
    per_threshold = average_precision(matches)
    out |= {f"ap{round(t * 100)}": float(per_threshold[i]) for i, t in ((0, 0.5), (5, 0.75))}
    out |= pckh(people, found.keypoints) | fine_errors(people, found.keypoints)
    return out | score_quality(found) | spread_quality(found)


def measure_parts(found: Estimates, *, repeats: int = 200, seed: int = 0) -> Measures:
    """:func:`alphapose_ros.eval.parts.part_measures` of poses in the annotated boxes."""
    images = [posed(found, rows) for rows in found.by_image]
    return part_measures(images, found.people.skeleton, repeats=repeats, seed=seed)


def measure_joints(found: Estimates) -> Measures:
    """Each joint of a skeleton of one's own; nothing of a known one.

    ``joint_helmet_labelled`` says how many are, ``_pck`` the share within a tenth of the longer
    side of the person's box, ``_error`` the median distance in such sides, ``_oks`` the mean
    similarity by the joint's own sigma, ``_score`` the median score. A joint that nobody labelled
    has the first alone.
    """
    people, out = found.people, Measures()
    if not people.skeleton.is_own:
        return out
    distance = np.linalg.norm(found.keypoints - people.keypoints, axis=-1)
    relative = distance / longer_sides(people)[:, None]
    similarity = joint_similarity(
        people.keypoints, found.keypoints, people.areas, people.skeleton.sigmas
    )
    for k, name in enumerate(people.skeleton.keypoint_names):
        known = people.labels[:, k] > 0
        out[f"joint_{name}_labelled"] = int(known.sum())
        if known.any():
            out[f"joint_{name}_pck"] = float((relative[known, k] <= 0.1).mean())
            out[f"joint_{name}_error"] = float(np.median(relative[known, k]))
            out[f"joint_{name}_oks"] = float(similarity[known, k].mean())
            out[f"joint_{name}_score"] = float(np.median(found.scores[known, k]))
    return out


def posed(found: Estimates, rows: NDArray[np.intp]) -> PosedImage:
    """The people of one image, each answered by the pose in their own box."""
    people = found.people[rows]
    return PosedImage(
        people.keypoints,
        people.labels,
        people.boxes,
        people.areas,
        np.zeros(len(people), bool),
        found.keypoints[rows],
        found.person_scores[rows],
    )


def _rows(groups: list[NDArray[np.intp]], chosen: Sequence[int] | NDArray[np.intp]) -> NDArray:
    return np.concatenate([np.zeros(0, np.intp), *(groups[i] for i in chosen)])


def placed_joints(found: Estimates) -> NDArray[np.bool_]:
    """(N, K) whether a joint lies where it should: its similarity is above 1/2."""
    people = found.people
    similarity = joint_similarity(
        people.keypoints, found.keypoints, people.areas, people.skeleton.sigmas
    )
    return similarity > 0.5


def spread_quality(found: Estimates) -> Measures:
    """Shares of the annotated body joints that lie as near as ``keypoint_std`` says.

    ``std68_holds`` and ``std95_holds`` are the shares inside the circles that hold 68 % and 95 %
    of a round Gaussian of that standard deviation. Nothing of estimates without it.
    """
    people, joints = found.people, body_part(found.people.skeleton).joints
    if found.keypoint_std is None:
        return {}
    spreads = found.keypoint_std[:, joints]
    counted = (people.labels[:, joints] == 2) & np.isfinite(spreads)
    if not counted.any():
        return {}
    distance = np.linalg.norm(found.keypoints - people.keypoints, axis=-1)[:, joints]
    out: Measures = {}
    for share in (0.68, 0.95):
        radius = spreads[counted] * np.sqrt(-2 * np.log(1 - share))
        out[f"std{share * 100:.0f}_holds"] = float((distance[counted] <= radius).mean())
    return out


def score_quality(found: Estimates) -> Measures:
    """How well a joint's score tells whether the joint is placed (joint similarity above 1/2).

    ``auroc`` and ``ece`` (expected calibration error) of the 17 annotated body joints, or of all
    that are one's own;
    ``face_auroc`` and so on of labelled joints of a part, pseudo labels too. A part that nobody
    has is left out.
    """
    people, placed = found.people, placed_joints(found)
    body = np.zeros(people.labels.shape, bool)
    judged = body_part(people.skeleton).joints
    body[:, judged] = people.labels[:, judged] == 2
    out: Measures = {
        "auroc": area_under_roc(found.scores[body], placed[body]),
        "ece": calibration_error(found.scores[body], placed[body]),
    }
    for name in FINE_PARTS:
        part = np.zeros(people.labels.shape, bool)
        joints = people.skeleton.parts.get(name, slice(0, 0))
        part[:, joints] = people.labels[:, joints] > 0
        if part.any():
            out[f"{name}_auroc"] = area_under_roc(found.scores[part], placed[part])
            out[f"{name}_ece"] = calibration_error(found.scores[part], placed[part])
    return out
