# SPDX-License-Identifier: Apache-2.0
"""YOLOX as a person detector."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from alphapose_ros.detection.config import DetectorConfig
from alphapose_ros.detection.dense import DenseDetector

PAD = 114.0  # grey beside the image, as in training


class YOLOXDetector(DenseDetector):
    """People of each image, by a YOLOX of one class or of COCO's.

    Args:
        model: BGR images (B, 3, H, W) of 0..255 -> boxes (B, A, 4) and scores (B, A, C), as
            :class:`models.yolox.YOLOX` in evaluation mode, or what runs its graph.
        config: thresholds and the largest input.
    """

    def __init__(
        self, model: Callable[[Tensor], tuple[Tensor, ...]], config: DetectorConfig
    ) -> None:
        super().__init__(model, config, prepare=lambda images: images.flip(1), pad=PAD)
