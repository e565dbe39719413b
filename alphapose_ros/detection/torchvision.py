# SPDX-License-Identifier: Apache-2.0
"""torchvision's Faster R-CNN and SSDlite behind the detector protocol. Nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from alphapose_ros.base.errors import WeightsError, require
from alphapose_ros.base.records import Detections
from alphapose_ros.detection.config import DetectorConfig
from alphapose_ros.detection.select import best_candidates, select_people
from alphapose_ros.imaging import ImageBatch

PERSON = 1  # torchvision counts COCO's categories from 1, 0 is the background
COCO_CLASSES = 91
_BUILDERS = {
    "fasterrcnn_mobilenet_v3": "fasterrcnn_mobilenet_v3_large_fpn",
    "fasterrcnn_resnet50": "fasterrcnn_resnet50_fpn",
    "ssdlite320": "ssdlite320_mobilenet_v3_large",
}


class TorchvisionDetector:
    """People of each image, by a torchvision detection network.

    Args:
        model: in evaluation mode, on the device of the images.
        config: thresholds.
    """

    def __init__(self, model: nn.Module, config: DetectorConfig) -> None:
        self.model, self.config = model, config

    def reconfigure(self, config: DetectorConfig) -> None:
        """Other thresholds, inside the network too, which cuts by them early."""
        self.config = config
        cutter: Any = getattr(self.model, "roi_heads", self.model)
        cutter.score_thresh, cutter.nms_thresh = config.score_threshold, config.nms_iou

    @torch.inference_mode()
    def __call__(self, batch: ImageBatch) -> list[Detections]:
        """One record per image."""
        out = []
        # One at a time: in a batch torchvision pads all images to the largest, and an image's
        # answer would depend on its neighbours.
        for image, size_hw in zip(batch.images, batch.sizes_hw, strict=True):
            found = self.model([image / 255])[0]
            person = found["labels"] == PERSON
            boxes, scores = best_candidates(
                found["boxes"][person], found["scores"][person], self.config.score_threshold
            )
            out.append(select_people(boxes, scores, size_hw, self.config))
        return out


def build_torchvision(config: DetectorConfig, state: Mapping[str, Tensor] | None) -> nn.Module:
    """The network of ``config.name`` with ``state``, or with random values where that is None.

    Raises:
        MissingDependencyError: torchvision is not installed.
        WeightsError: the tensors are of another network.
    """
    detection = require(
        "torchvision.models.detection",
        needed_for=f"the detector {config.name}",
        install="pip install torchvision",
    )
    builder: Callable[..., nn.Module] = getattr(detection, _BUILDERS[config.name])
    model = builder(
        weights=None, weights_backbone=None, num_classes=COCO_CLASSES, **_options(config)
    )
    if state is not None:
        try:
            model.load_state_dict(dict(state))
        except RuntimeError as error:
            raise WeightsError(f"expected the tensors of {config.name}: {error}") from error
    return model.eval()


def _options(config: DetectorConfig) -> dict[str, Any]:
    """The builder's own names for the thresholds; they cut early what would be dropped later."""
    if config.name == "ssdlite320":  # its input is always 320x320
        return {"score_thresh": config.score_threshold, "nms_thresh": config.nms_iou}
    side = max(config.input_height, config.input_width)
    return {
        "box_score_thresh": config.score_threshold,
        "box_nms_thresh": config.nms_iou,
        "min_size": side,  # both the same: the longer side is fitted
        "max_size": side,
    }
