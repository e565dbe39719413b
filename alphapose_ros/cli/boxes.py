# SPDX-License-Identifier: Apache-2.0
"""Given person boxes, found by an image's name or number."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from alphapose_ros.base.records import Detections
from alphapose_ros.detection.replay import read_boxes


class GivenBoxes:
    """COCO result rows; a row's ``image_id`` is the image's name, its stem, or its number.

    Raises:
        InputError: the file is missing or a row is no box; the message names it.
    """

    def __init__(self, path: Path) -> None:
        self._boxes = read_boxes(path)
        self._used: set[int | str] = set()

    def of(self, name: str, number: int | str) -> Detections:
        """All boxes of an image in the file's order, none smaller than a pixel; none is normal."""
        for key in (name, Path(name).stem, number):
            if key in self._boxes:
                self._used.add(key)
                found = self._boxes[key]
                low = found.boxes[:, :2]
                high = np.maximum(found.boxes[:, 2:], low + 1)  # a crop needs a size
                return Detections(np.concatenate([low, high], 1), found.scores)
        return Detections.empty()

    @property
    def unused(self) -> int:
        """Number of boxes whose image was not asked for."""
        return sum(len(found) for key, found in self._boxes.items() if key not in self._used)
