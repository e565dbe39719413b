# SPDX-License-Identifier: Apache-2.0
"""AP and AR of each part of the body and of the whole, by object keypoint similarity.

Two sets of OKS constants, never mixed: COCO-WholeBody's official ones, and (keys ``flat_``) those
of AlphaPose's Halpe tool, .015 for every joint of face and hands and .089 for the feet. Numbers of
one say nothing about the other. A skeleton of one's own has its own parts and constants.
COCO's rules otherwise: a person's annotated area also where only a hand is judged, people without
a labelled joint of the part are regions to ignore, the 20 best-scored poses of each image count.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.skeletons import COCO17, HALPE136, HAND21, WHOLEBODY133, Skeleton
from alphapose_ros.eval.metrics import (
    ImageMatches,
    average_precision,
    average_recall,
    bootstrap,
    match_image,
)

FloatArray = NDArray[np.floating]
Interval = tuple[float, float]
Measures = dict[str, float | int | Interval]

ANNOTATED, DERIVED = 2, 1  # the labels of data.people
MAX_POSES = 20  # of one image, as COCO's key points
_FLAT_FEET, _FLAT_FINE = 0.089, 0.015


@dataclass(frozen=True)
class Part:
    """Joints judged together: (J,) positions in a skeleton and their (J,) OKS constants."""

    joints: NDArray[np.intp]
    sigmas: FloatArray


@dataclass(frozen=True)
class PosedImage:
    """The people of one image and the poses that a network answers, of the same K joints.

    Attributes:
        keypoints: (G, K, 2) px of the people. labels: (G, K) 0, 1 or 2.
        boxes: (G, 4) px corners. areas: (G,) px².
        crowd: (G,) regions that any number of poses may lie in, counting neither way.
        answers: (D, K, 2) px. scores: (D,).
    """

    keypoints: FloatArray
    labels: NDArray[np.integer]
    boxes: FloatArray
    areas: FloatArray
    crowd: NDArray[np.bool_]
    answers: FloatArray
    scores: FloatArray


def official_parts(skeleton: Skeleton) -> dict[str, Part]:
    """Body (17), feet, face, each hand and the whole, with COCO-WholeBody's constants.

    A hand alone is the part ``hand``. A part is left out where the skeleton lacks it, the whole
    where it is one part alone. Of a skeleton of one's own: its parts and constants.
    """
    if skeleton.is_own:
        own = {part: skeleton.keypoint_names[s] for part, s in skeleton.parts.items()}
        return _known(own | {"whole": skeleton.keypoint_names}, skeleton, skeleton.sigmas)
    names = {part: WHOLEBODY133.keypoint_names[s] for part, s in WHOLEBODY133.parts.items()}
    names |= {"hand": HAND21.keypoint_names, "whole": WHOLEBODY133.keypoint_names}
    return _known(names, skeleton, skeleton.sigmas)


def flat_parts(skeleton: Skeleton) -> dict[str, Part]:
    """Body, feet, face, both hands as one and the whole, as AlphaPose's Halpe tool judges them.

    It judges no skeleton of one's own.
    """
    if skeleton.is_own:
        return {}
    sigmas = skeleton.sigmas.copy()
    for part, sigma in zip(
        ("feet", "face", "left_hand", "right_hand"),
        (_FLAT_FEET, _FLAT_FINE, _FLAT_FINE, _FLAT_FINE),
        strict=True,
    ):
        sigmas[skeleton.parts.get(part, slice(0, 0))] = sigma
    names = {part: HALPE136.keypoint_names[s] for part, s in HALPE136.parts.items()}
    hands = names.pop("left_hand") + names.pop("right_hand")
    return _known(names | {"hands": hands, "whole": HALPE136.keypoint_names}, skeleton, sigmas)


def _known(
    names: dict[str, tuple[str, ...]], skeleton: Skeleton, sigmas: FloatArray
) -> dict[str, Part]:
    own = {name: k for k, name in enumerate(skeleton.keypoint_names)}
    joints = {part: [own[name] for name in of if name in own] for part, of in names.items()}
    whole = joints.pop("whole")
    if whole not in joints.values():
        joints["whole"] = whole
    return {part: Part(np.array(j, np.intp), sigmas[j]) for part, j in joints.items() if j}


def match_part(image: PosedImage, part: Part, least_label: int = ANNOTATED) -> ImageMatches:
    """COCO's matching of one image by the OKS of a part.

    Joints with ``least_label`` or more count. People without one count neither way, and neither
    does the pose that lies on them: COCO takes its distance from a box three times as large.
    """
    best = np.argsort(-image.scores, kind="stable")[:MAX_POSES]
    known = image.labels[:, part.joints] >= least_label
    ignored = image.crowd | ~known.any(1)
    similarity = part_similarity(image, part, known)[:, best]
    return match_image(similarity.T, image.scores[best], ignored, crowd=image.crowd)


def part_similarity(image: PosedImage, part: Part, known: NDArray[np.bool_]) -> FloatArray:
    """OKS of G people against D poses -> (G, D) over the (G, J) ``known`` joints, in float64.

    Where a person has no known joint, the distance of each joint is that from the box of three
    times the width and height, as in COCO's evaluation.
    """
    truth = image.keypoints[:, None, part.joints].astype(np.float64)
    answers = image.answers[None][:, :, part.joints].astype(np.float64)
    low, high = np.split(image.boxes.astype(np.float64)[:, None, None], 2, -1)
    nobody = np.logical_not(known.any(1))
    truth = np.where(
        nobody[:, None, None, None], np.clip(answers, 2 * low - high, 2 * high - low), truth
    )
    squared = ((truth - answers) ** 2).sum(-1)
    areas = image.areas.astype(np.float64)[:, None, None] + np.spacing(1)
    similarity = np.exp(-squared / (2 * (2 * part.sigmas.astype(np.float64)) ** 2 * areas))
    weight = np.where(nobody[:, None], True, known)[:, None].astype(np.float64)
    return (similarity * weight).sum(-1) / weight.sum(-1)


def part_measures(
    images: Sequence[PosedImage], skeleton: Skeleton, *, repeats: int = 200, seed: int = 0
) -> Measures:
    """AP, AP50 and AR per part and whole with how many people, on annotated joints (label 2).

    Keys: ``face_ap`` with the official constants, ``flat_face_ap`` with the flat ones, each with
    ``pseudo_`` before it where derived and pseudo labels (label 1) count as well. Parts that
    nobody has are left out, and so is the whole where only the body is labelled. ``_95`` are
    image-bootstrap intervals of AP.
    """
    out: Measures = {}
    for name, matches in match_parts(images, skeleton).items():
        precision = average_precision(matches)
        interval = bootstrap(mean_ap(matches), len(matches), repeats=repeats, seed=seed)
        out |= {
            f"{name}_people": sum(match.truths for match in matches),
            f"{name}_ap": float(precision.mean()),
            f"{name}_ap_95": interval,
            f"{name}_ap50": float(precision[0]),
            f"{name}_ar": float(average_recall(matches).mean()),
        }
    return out


def match_parts(images: Sequence[PosedImage], skeleton: Skeleton) -> dict[str, list[ImageMatches]]:
    """Matches per image of every part that somebody has, named as in :func:`part_measures`."""
    out: dict[str, list[ImageMatches]] = {}
    for scheme, parts in (("", official_parts(skeleton)), ("flat_", flat_parts(skeleton))):
        for name, part in parts.items():
            for prefix, label in (("", ANNOTATED), ("pseudo_", DERIVED)):
                if _is_news(images, parts, name, label):
                    matches = [match_part(image, part, label) for image in images]
                    out[f"{prefix}{scheme}{name}"] = matches
    return out


def _is_news(images: Sequence[PosedImage], parts: dict[str, Part], name: str, label: int) -> bool:
    """Whether somebody has such a label there, and for the whole: one outside the first part."""
    joints = parts[name].joints
    if name == "whole":
        joints = np.setdiff1d(joints, next(iter(parts.values())).joints)
    return any((image.labels[:, joints] == label).any() for image in images)


def mean_ap(matches: Sequence[ImageMatches]) -> Callable[[NDArray[np.intp]], float]:
    """AP as a statistic of image indices, for :func:`bootstrap`."""
    return lambda chosen: float(average_precision([matches[i] for i in chosen]).mean())


def body_part(skeleton: Skeleton) -> Part:
    """COCO's 17 joints; all of a skeleton of one's own, none of a face or a hand alone."""
    if skeleton.is_own:
        return Part(np.arange(len(skeleton)), skeleton.sigmas)
    known = skeleton.source_of(COCO17)
    joints = np.flatnonzero(known >= 0)
    return Part(joints, COCO17.sigmas[known[joints]])
