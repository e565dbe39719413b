# SPDX-License-Identifier: Apache-2.0
"""Running ONNX detectors on plain pictures, and what must come out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from onnx_heads import (
    CORNERS,
    COUNT,
    HEADS,
    SCORES,
    Written,
    write,
)

from alphapose_ros.base.records import Detections
from alphapose_ros.detection.config import DetectorConfig
from alphapose_ros.detection.onnx import OnnxDetector
from alphapose_ros.imaging import ImageBatch

CONFIG = DetectorConfig(name="onnx", weights="-", input_height=320, input_width=320)

COLOUR = (40, 80, 120)


def picture(height: int = 200, width: int = 320) -> np.ndarray:
    return np.full((height, width, 3), COLOUR, np.uint8)


def found_in(detector: OnnxDetector, *images: np.ndarray) -> list[Detections]:
    return detector(ImageBatch.upload(list(images or (picture(320, 320),))))


def assert_people(found: Detections, which: list[int], scale: float = 1.0) -> None:
    np.testing.assert_allclose(found.scores, SCORES[which], atol=1e-5)
    np.testing.assert_allclose(found.boxes, CORNERS[which] / scale, rtol=1e-4, atol=1e-3)


PEOPLE = [0, 2, 4, 5]

MMDET_PADS = [(114 - 103.53) / 57.375, (114 - 116.28) / 57.12, (114 - 123.675) / 58.395]

MMDET = [(120 - 103.53) / 57.375, (80 - 116.28) / 57.12, (40 - 123.675) / 58.395, *MMDET_PADS]

RAW_BGR = [120, 80, 40, 114, 114, 114]

UNIT_RGB = [value / 255 for value in (40, 80, 120, 114, 114, 114)]


def assert_pixels(
    onnx: Any, path: Path, form: str, how: Written, expected: list[float]
) -> OnnxDetector:
    """Six scores are moved by what two pixels were as they entered, one of them padding."""
    factor = 0.04 / max(abs(value) for value in expected)
    how = Written(how.shape, how.kind, how.metadata, factor)
    head = HEADS[form](np.zeros(COUNT, np.int64))
    detector = OnnxDetector(write(onnx, path, head, how), CONFIG)
    image = picture(300, 320)  # scaled by 1, with twenty rows of padding below
    image[:, 200:] = 7
    (found,) = found_in(detector, image)
    moved = (found.scores - SCORES) / factor
    np.testing.assert_allclose(moved, expected, atol=2e-3 * max(np.abs(expected)), rtol=0)
    return detector


def assert_equal(found: list[Detections], expected: list[Detections]) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.scores, other.scores, atol=1e-4)
        # Scores that are all but equal may change places.
        distances = np.abs(one.boxes[:, None] - other.boxes[None]).max(2)
        assert distances.min(0, initial=1).max() < 0.05
        assert distances.min(1, initial=1).max() < 0.05
