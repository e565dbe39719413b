# SPDX-License-Identifier: Apache-2.0
"""Given boxes in place of a detector: COCO result rows ``image_id``, ``bbox``, ``score``."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from alphapose_ros.base.boxes import clip_boxes, xywh_to_xyxy
from alphapose_ros.base.errors import InputError
from alphapose_ros.base.records import Detections
from alphapose_ros.detection.config import DetectorConfig
from alphapose_ros.imaging import ImageBatch

ImageId = int | str


def read_boxes(path: str | Path) -> dict[ImageId, Detections]:
    """Boxes of each image in the file's order, images in order of their first row.

    A row without a score is taken as certain. Rows of another ``category_id`` than 1 (COCO's
    person) are left out.

    Raises:
        InputError: the file is missing or a row is not of that form; the first such is named.
    """
    try:
        rows = json.loads(Path(path).read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected a JSON file of boxes ({error})") from error
    if not isinstance(rows, list):
        raise InputError(f"{path}: expected a list of rows, got {type(rows).__name__}")
    boxes: dict[ImageId, list[list[float]]] = defaultdict(list)
    scores: dict[ImageId, list[float]] = defaultdict(list)
    for number, row in enumerate(rows):
        try:
            if row.get("category_id", 1) != 1:
                continue
            x, y, width, height = (float(v) for v in row["bbox"])
            score = float(row.get("score", 1.0))
            if not np.isfinite([x, y, width, height, score]).all() or width < 0 or height < 0:
                raise ValueError(f"bbox {row['bbox']}, score {score}")
            boxes[row["image_id"]].append([x, y, width, height])
            scores[row["image_id"]].append(score)
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise InputError(
                f"{path}, row {number}: expected image_id, bbox [x, y, w, h] and score "
                f"({type(error).__name__}: {error})"
            ) from error
    return {
        image: Detections(xywh_to_xyxy(boxes[image]), np.array(scores[image], np.float32))
        for image in boxes
    }


def counted(boxes: Mapping[ImageId, Detections]) -> Iterable[ImageId]:
    """The numbers of a recording's images, from 0, or from 1 where no box is of image 0.

    Images in which nobody was found have no row, so the rows alone are no order.

    Raises:
        InputError: an id is no such number.
    """
    for image in boxes:
        if not isinstance(image, int) or image < 0:
            raise InputError(
                f"replayed boxes: expected images numbered from 0 or 1, got {image!r}"
            )
    return itertools.count(0 if 0 in boxes or not boxes else 1)


class ReplayDetector:
    """Answers the images of a run in a known order with given boxes.

    Args:
        boxes: per image id its people; an id without an entry has nobody.
        order: ids of the images that will come, in the order in which they will come; None:
            :func:`counted`.
    """

    def __init__(
        self, boxes: Mapping[ImageId, Detections], order: Iterable[ImageId] | None = None
    ) -> None:
        self._boxes = dict(boxes)
        self._order = iter(counted(boxes) if order is None else order)

    def reconfigure(self, config: DetectorConfig) -> None:
        """Given boxes know no thresholds."""

    def __call__(self, batch: ImageBatch) -> list[Detections]:
        """One record per image, clipped to it; no threshold, no suppression.

        Raises:
            InputError: more images came than were announced.
        """
        images = list(itertools.islice(self._order, len(batch)))
        if len(images) < len(batch):
            raise InputError("replayed boxes: more images came than were announced")
        people = [self._boxes.get(image, Detections.empty()) for image in images]
        return [
            Detections(clip_boxes(found.boxes, size_hw), found.scores)
            for found, size_hw in zip(people, batch.sizes_hw, strict=True)
        ]
