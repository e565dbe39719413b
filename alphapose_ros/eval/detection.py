# SPDX-License-Identifier: Apache-2.0
"""``alphapose-ros eval detector``: how well people are found in annotated images.

COCO's rules, crowds being regions to ignore: a detection that lies in one counts neither way.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from alphapose_ros.base.boxes import box_area, box_iou
from alphapose_ros.base.errors import InputError
from alphapose_ros.base.records import Detections
from alphapose_ros.data.coco import read_image
from alphapose_ros.data.detection import BoxSample, read_coco_boxes
from alphapose_ros.detection.config import DetectorConfig
from alphapose_ros.detection.protocol import Detector
from alphapose_ros.eval.metrics import (
    THRESHOLDS,
    ImageMatches,
    average_precision,
    bootstrap,
    match_image,
)
from alphapose_ros.imaging import ImageBatch

FloatArray = NDArray[np.float32]
Measures = dict[str, float | int | tuple[float, float]]

TALL_PX = 96.0
WANTED_PRECISION = 0.8
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FoundPeople:
    """An image's annotated people and what a detector says of it."""

    truth: BoxSample
    found: Detections


def evaluation_config(config: DetectorConfig) -> DetectorConfig:
    """The same detector without the limits of daily use: AP needs the low scores too."""
    return replace(config, score_threshold=0.01, max_people=100, min_box_px=0.0)


def evaluate_detector(
    detector: Detector,
    annotations: str | Path,
    images_dir: str | Path,
    *,
    teacher: Detector | None = None,
    device: torch.device | str = "cpu",
    on_image: Callable[[], object] = lambda: None,
    on_found: Callable[[FoundPeople], object] = lambda _: None,
    repeats: int = 200,
    seed: int = 0,
) -> Measures:
    """All measures of :func:`measure_detections`; a teacher's get the prefix ``teacher_``.

    With a teacher, ``ap50_ratio`` and ``ap_ratio`` are the detector's over the teacher's, their
    intervals from the same draws of images. ``skipped`` images are missing or broken.

    Args:
        detector: made with :func:`evaluation_config`, or AP stops at its score threshold.
        annotations, images_dir: COCO format.
        teacher: sees the same images in the same run.
        device: of the detectors.
        on_image: called after each image, for a progress bar.
        on_found: called with each image's people and what the detector says of them.
        repeats, seed: of the image bootstrap.

    Raises:
        InputError: no usable image, or nobody in any of them.
    """
    dataset = read_coco_boxes(annotations, images_dir)
    own: list[FoundPeople] = []
    others: list[FoundPeople] = []
    skipped = len(dataset.missing)
    for sample in dataset.samples:
        try:
            batch = ImageBatch.upload([read_image(sample.path)], device)
        except InputError as error:
            _log.warning("skipped: %s", error)
            skipped += 1
            continue
        own.append(FoundPeople(sample, detector(batch)[0]))
        on_found(own[-1])
        if teacher is not None:
            others.append(FoundPeople(sample, teacher(batch)[0]))
        on_image()
    out: Measures = {"skipped": skipped} | measure_detections(own, repeats=repeats, seed=seed)
    if teacher is not None:
        taught = measure_detections(others, repeats=repeats, seed=seed)
        out |= {f"teacher_{name}": value for name, value in taught.items()}
        out |= _ratios(own, others, repeats, seed)
    return out


def measure_detections(
    images: Sequence[FoundPeople], *, repeats: int = 200, seed: int = 0
) -> Measures:
    """AP (mean over IoU .50:.95), AP50, AP75, recall at precision .8, also of tall people.

    Tall people are higher than 96 px: shorter ones are regions to ignore, and detections that are
    shorter and match nobody do not count; their recall is NaN where nobody is tall. Keys ending in
    ``_95`` are image-bootstrap intervals.

    Raises:
        InputError: there is nobody to find.
    """
    matches = [match_people(image) for image in images]
    tall = [match_people(image, TALL_PX, THRESHOLDS[:1]) for image in images]
    people = sum(match.truths for match in matches)
    if people == 0:
        raise InputError("expected annotated people in the images, found none")
    out: Measures = {
        "images": len(images),
        "people": people,
        "tall_people": sum(match.truths for match in tall),
        "detections": sum(len(match.scores) for match in matches),
    }
    per_threshold = average_precision(matches)
    out |= {"ap": float(per_threshold.mean()), "ap75": float(per_threshold[5])}
    out["ap50"] = float(per_threshold[0])
    for prefix, group in (("", matches), ("tall_", tall)):
        point = recall_at_precision(group, WANTED_PRECISION)
        names = ("recall", "precision", "threshold")
        out |= {f"{prefix}{n}": v for n, v in zip(names, point, strict=True)}

    def interval(statistic: Callable[[NDArray[np.intp]], float]) -> tuple[float, float]:
        return bootstrap(statistic, len(images), repeats=repeats, seed=seed)

    out["ap_95"] = interval(lambda chosen: _mean_ap(matches, chosen))
    out["ap50_95"] = interval(lambda chosen: _ap50(matches, chosen))
    out["tall_recall_95"] = interval(
        lambda chosen: recall_at_precision([tall[i] for i in chosen], WANTED_PRECISION)[0]
    )
    return out


def match_people(
    image: FoundPeople, min_height_px: float = 0.0, thresholds: NDArray[np.floating] = THRESHOLDS
) -> ImageMatches:
    """COCO's matching in one image; people lower than ``min_height_px`` are ignored."""
    people, crowds, found = image.truth.boxes, image.truth.ignore, image.found
    heights = people[:, 3] - people[:, 1]
    # Against a crowd, what counts is how much of the detection lies inside it.
    similarity = np.concatenate(
        [box_iou(found.boxes, people), share_inside(found.boxes, crowds)], axis=1
    )
    crowd = np.arange(len(people) + len(crowds)) >= len(people)
    ignore = crowd | np.concatenate([heights <= min_height_px, np.ones(len(crowds), bool)])
    matches = match_image(similarity, found.scores, ignore, thresholds, crowd)
    order = np.argsort(-found.scores, kind="stable")
    short = (found.boxes[:, 3] - found.boxes[:, 1])[order] <= min_height_px
    return replace(matches, ignored=matches.ignored | (short[None] & ~matches.hits))


def share_inside(boxes: FloatArray, regions: FloatArray) -> FloatArray:
    """(N, 4) and (M, 4) xyxy -> (N, M), the share of each box's area that lies in each region."""
    low = np.maximum(boxes[:, None, :2], regions[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], regions[None, :, 2:])
    shared = np.maximum(high - low, 0).prod(-1)
    areas = np.broadcast_to(box_area(boxes)[:, None], shared.shape)
    return np.divide(shared, areas, out=np.zeros_like(shared), where=areas > 0)


def recall_at_precision(
    images: Sequence[ImageMatches], wanted: float
) -> tuple[float, float, float]:
    """Best recall (IoU .5) with at least the ``wanted`` precision: recall, precision, score there.

    (0, nan, nan) where no threshold reaches it, NaN throughout where there is nobody to find.
    """
    truths = sum(image.truths for image in images)
    if truths == 0:
        return float("nan"), float("nan"), float("nan")
    counted = [~image.ignored[0] for image in images]
    scores = np.concatenate([i.scores[c] for i, c in zip(images, counted, strict=True)])
    hits = np.concatenate([i.hits[0][c] for i, c in zip(images, counted, strict=True)])
    order = np.argsort(-scores, kind="stable")
    true = np.cumsum(hits[order])
    precision = true / np.arange(1, len(order) + 1)
    reached = np.flatnonzero(precision >= wanted)
    if len(reached) == 0:
        return 0.0, float("nan"), float("nan")
    last = reached[-1]
    return float(true[last] / truths), float(precision[last]), float(scores[order][last])


def _mean_ap(matches: Sequence[ImageMatches], chosen: NDArray[np.intp]) -> float:
    return float(average_precision([matches[i] for i in chosen]).mean())


def _ap50(matches: Sequence[ImageMatches], chosen: NDArray[np.intp]) -> float:
    return float(average_precision([_at_half(matches[i]) for i in chosen])[0])


def _at_half(match: ImageMatches) -> ImageMatches:
    return replace(match, hits=match.hits[:1], ignored=match.ignored[:1])


def _ratios(
    own: Sequence[FoundPeople], others: Sequence[FoundPeople], repeats: int, seed: int
) -> Measures:
    first = [match_people(image) for image in own]
    second = [match_people(image) for image in others]
    everything = np.arange(len(first))
    out: Measures = {}
    for name, measure in (("ap50_ratio", _ap50), ("ap_ratio", _mean_ap)):

        def ratio(
            chosen: NDArray[np.intp],
            measure: Callable[[Sequence[ImageMatches], NDArray[np.intp]], float] = measure,
        ) -> float:
            below = measure(second, chosen)
            return measure(first, chosen) / below if below > 0 else float("nan")

        out[name] = ratio(everything)
        out[f"{name}_95"] = bootstrap(ratio, len(first), repeats=repeats, seed=seed)
    return out


def format_measures(measures: Mapping[str, object]) -> str:
    """One line per measure, its interval beside it; what is NaN is unknown."""
    lines = []
    width = max([24, *(len(name) + 2 for name in measures if not name.endswith("_95"))])
    for name, value in measures.items():
        if name.endswith("_95"):
            continue
        text = f"{value:.4f}" if isinstance(value, float) else str(value)
        interval = measures.get(f"{name}_95")
        if isinstance(value, float) and np.isnan(value):
            text = "unknown"
        elif isinstance(interval, tuple):
            text += f"  [{interval[0]:.4f}, {interval[1]:.4f}]"
        lines.append(f"{name:{width}s}{text}")
    return "\n".join(lines)
