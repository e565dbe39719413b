# SPDX-License-Identifier: Apache-2.0
"""Detectors that answer for every cell of a map: letterbox, network, suppression."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable

import torch
from torch import Tensor

from alphapose_ros.base.records import Detections
from alphapose_ros.detection.config import STRIDE, DetectorConfig
from alphapose_ros.detection.select import best_candidates, select_people
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.runtime.batching import CAMERAS, BatchLimit

PERSON = 0  # class of people, in networks of one class and of COCO's 80


class DenseDetector:
    """People of each image, by a network of one class or of COCO's.

    The image lies top-left in its rectangle; a network's own training may have centred it, which
    to a convolution is the same picture, moved.

    Args:
        model: images (B, 3, H, W) -> boxes (B, A, 4) px and scores (B, A, C).
        config: thresholds and the largest input.
        prepare: RGB images (B, 3, H, W) of 0..255 as the network wants them.
        pad: grey beside the image, as in its training.
    """

    def __init__(
        self,
        model: Callable[[Tensor], tuple[Tensor, ...]],
        config: DetectorConfig,
        *,
        prepare: Callable[[Tensor], Tensor],
        pad: float,
    ) -> None:
        self.model, self.config = model, config
        self._prepare, self._pad = prepare, pad
        self.limit = BatchLimit(CAMERAS, "detector")

    def reconfigure(self, config: DetectorConfig) -> None:
        """Other thresholds."""
        self.config = config

    @torch.inference_mode()
    def __call__(self, batch: ImageBatch) -> list[Detections]:
        """One record per image."""
        limit = self.config.input_height, self.config.input_width
        rectangles: dict[tuple[int, int], list[int]] = defaultdict(list)
        for row, size_hw in enumerate(batch.sizes_hw):
            rectangles[input_rectangle(size_hw, limit)].append(row)
        people: dict[int, Detections] = {}
        for rectangle, rows in rectangles.items():
            people.update(zip(rows, self._rectangle(batch, rows, rectangle), strict=True))
        return [people[row] for row in range(len(batch))]

    def _rectangle(
        self, batch: ImageBatch, rows: list[int], rectangle: tuple[int, int]
    ) -> list[Detections]:
        """The images that go into one rectangle, as many at once as the memory holds."""
        parts = self.limit.run(len(rows), lambda part: self._detect(batch[rows[part]], rectangle))
        return [each for part in parts for each in part]

    def _detect(self, batch: ImageBatch, rectangle: tuple[int, int]) -> list[Detections]:
        images, scales = batch.letterbox(rectangle, self._pad)
        boxes, scores = self.model(self._prepare(images))
        out = []
        for k, (scale, size_hw) in enumerate(zip(scales, batch.sizes_hw, strict=True)):
            threshold = self.config.score_threshold
            found = best_candidates(boxes[k], scores[k, :, PERSON], threshold)
            out.append(select_people(found[0] / scale, found[1], size_hw, self.config))
        return out


def input_rectangle(size_hw: tuple[int, int], limit_hw: tuple[int, int]) -> tuple[int, int]:
    """Smallest stride-32 rectangle for an image fitted into ``limit_hw`` (multiples of 32).

    640x480 fitted into 416x416 has 416x312 px and needs 416x320: a quarter less work.
    """
    scale = min(limit_hw[0] / size_hw[0], limit_hw[1] / size_hw[1])
    height, width = (
        min(limit, max(STRIDE, math.ceil(round(side * scale, 3) / STRIDE) * STRIDE))
        for side, limit in zip(size_hw, limit_hw, strict=True)
    )
    return height, width
