# SPDX-License-Identifier: Apache-2.0
"""YOLOv3 and other networks of Darknet as person detectors.

The score is the probability of an object times that of a person, as in Darknet itself and as in
every other detector here: the probability that a person is in this box. AlphaPose asks first
whether a person is the likeliest class and then reports the probability of an object alone, which
is near 1 also where the network can hardly tell the person from something else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import torch
from torch import Tensor

from alphapose_ros.base.records import Detections
from alphapose_ros.detection.config import DetectorConfig
from alphapose_ros.detection.select import best_candidates, select_people
from alphapose_ros.detection.yolox import input_rectangle
from alphapose_ros.imaging import ImageBatch

PERSON = 0  # class of people, in networks of one class and of COCO's 80
PAD = 127.5  # grey beside the image: Darknet's half of white, in AlphaPose rounded to 128


class DarknetDetector:
    """People of each image, by a network of a Darknet cfg.

    Args:
        model: RGB images (B, 3, H, W) of 0..1 -> boxes (B, A, 4) and scores (B, A, C), as
            :class:`models.darknet.DarknetNetwork` in evaluation mode on the device of the images.
        config: thresholds and the largest input.
    """

    def __init__(
        self, model: Callable[[Tensor], tuple[Tensor, ...]], config: DetectorConfig
    ) -> None:
        self.model, self.config = model, config

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
            people.update(zip(rows, self._detect(batch, rows, rectangle), strict=True))
        return [people[row] for row in range(len(batch))]

    def _detect(
        self, batch: ImageBatch, rows: list[int], rectangle: tuple[int, int]
    ) -> list[Detections]:
        # Top-left where Darknet centres: to a convolution the same picture, moved.
        images, scales = batch.letterbox(rectangle, PAD)
        boxes, scores = self.model(images[rows] / 255)
        out = []
        for k, row in enumerate(rows):
            found = best_candidates(boxes[k], scores[k, :, PERSON], self.config.score_threshold)
            out.append(
                select_people(found[0] / scales[row], found[1], batch.sizes_hw[row], self.config)
            )
        return out
