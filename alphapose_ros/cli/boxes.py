# SPDX-License-Identifier: Apache-2.0
"""Person boxes from a file in place of a detector."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from alphapose_ros.base.boxes import xywh_to_xyxy
from alphapose_ros.base.errors import InputError
from alphapose_ros.base.records import Detections
from alphapose_ros.io.formats import coco_image_id


class GivenBoxes:
    """Boxes by image: COCO result rows, or a COCO annotation file's ``annotations``.

    A row's ``image_id`` is the integer in the image's name, the name or its stem.
    """

    def __init__(self, rows: dict[str, list[tuple[list[float], float]]]) -> None:
        self._rows = rows
        self._used: set[str] = set()

    @classmethod
    def read(cls, path: Path) -> GivenBoxes:
        """Read a JSON file.

        Raises:
            InputError: missing, not JSON, or a row that is no box; the message names it.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
        except ValueError as error:
            raise InputError(f"{path}: not JSON ({error})") from error
        if isinstance(content, dict):
            content = content.get("annotations")
        if not isinstance(content, list):
            raise InputError(f"{path}: expected a list of rows with image_id, bbox and score")
        rows: dict[str, list[tuple[list[float], float]]] = defaultdict(list)
        for number, row in enumerate(content):
            if not isinstance(row, dict) or not {"image_id", "bbox"} <= row.keys():
                raise InputError(f"{path}: row {number}: expected image_id and bbox, got {row}")
            rows[str(row["image_id"])].append(_box(f"{path}: row {number}", row))
        return cls(dict(rows))

    def of(self, name: str) -> Detections:
        """All boxes of the image of that name, in the file's order; none is normal."""
        stem = Path(name).stem
        for key in (str(coco_image_id(stem)), name, stem):
            if key in self._rows:
                self._used.add(key)
                boxes, scores = zip(*self._rows[key], strict=True)
                return Detections(xywh_to_xyxy(boxes), np.array(scores, np.float32))
        return Detections.empty()

    @property
    def unused(self) -> int:
        """Number of boxes whose image was not asked for."""
        return sum(len(rows) for key, rows in self._rows.items() if key not in self._used)


def _box(where: str, row: dict[str, Any]) -> tuple[list[float], float]:
    box, score = row["bbox"], row.get("score", 1.0)
    numbers = [*box, score] if isinstance(box, list) else []
    if len(numbers) != 5 or not all(
        isinstance(n, (int, float)) and math.isfinite(n) for n in numbers
    ):
        raise InputError(f"{where}: expected bbox [x, y, width, height] in px, got {box}")
    x, y, width, height = (float(n) for n in box)
    if width < 0 or height < 0:
        raise InputError(f"{where}: expected a width and height of 0 or more, got {box}")
    return [x, y, max(width, 1.0), max(height, 1.0)], float(score)
