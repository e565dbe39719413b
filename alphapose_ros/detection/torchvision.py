# SPDX-License-Identifier: Apache-2.0
"""torchvision's Faster R-CNN, RetinaNet, FCOS and SSDlite behind the detector protocol.

Nothing is downloaded. They all need torchvision's compiled operators.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from alphapose_ros.base.errors import MissingDependencyError, require
from alphapose_ros.base.records import Detections
from alphapose_ros.detection.config import DetectorConfig
from alphapose_ros.detection.select import best_candidates, select_people
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.models.state import load_into

PERSON = 1  # torchvision counts COCO's categories from 1, 0 is the background
COCO_CLASSES = 91
_BUILDERS = {
    "fasterrcnn_mobilenet_v3": "fasterrcnn_mobilenet_v3_large_fpn",
    "fasterrcnn_resnet50": "fasterrcnn_resnet50_fpn",
    "fcos_resnet50": "fcos_resnet50_fpn",
    "retinanet_resnet50": "retinanet_resnet50_fpn",
    "ssdlite320": "ssdlite320_mobilenet_v3_large",
}
# Their public weights were trained before frozen norms added an epsilon to the variance, and
# torchvision sets it to 0 for them.
_WITHOUT_EPS = ("fasterrcnn_resnet50", "retinanet_resnet50")


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
        MissingDependencyError: torchvision is not installed or has no compiled operators.
        WeightsError: the tensors are of another network.
    """
    detection = require_torchvision(f"the detector {config.name}")
    builder: Callable[..., nn.Module] = getattr(detection, _BUILDERS[config.name])
    model = builder(
        weights=None, weights_backbone=None, num_classes=COCO_CLASSES, **_options(config)
    )
    if state is not None:
        load_into(model, state, config.name)
        if config.name in _WITHOUT_EPS and not any("num_batches" in name for name in state):
            _remove_eps(model)
    return model.eval()


def require_torchvision(needed_for: str) -> ModuleType:
    """The module of torchvision's detectors, once its operators are known to work.

    A torchvision made for another PyTorch, as on many a Jetson, fails while it is imported or at
    the first image, depending on its version; here it fails once and says what to do.

    Raises:
        MissingDependencyError: torchvision is not installed or has no compiled operators.
    """
    install = "pip install torchvision, in the version that belongs to the installed torch"
    try:
        detection = require("torchvision.models.detection", needed_for=needed_for, install=install)
        nms = require("torchvision.ops", needed_for=needed_for, install=install).nms
        nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
    except (RuntimeError, AttributeError) as error:  # many lines, or none that says what is wrong
        raise MissingDependencyError(
            f"{needed_for} needs torchvision's compiled operators, which do not work with torch "
            f"{torch.__version__}; {install}, or take the detector yolox, yolov3 or onnx, which "
            "need none"
        ) from error
    return detection


def _remove_eps(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_var is not None:
            module.eps = 0.0 if module.running_var.min() > 0 else module.eps


def _options(config: DetectorConfig) -> dict[str, Any]:
    """The builder's own names for the thresholds; they cut early what would be dropped later."""
    of_boxes = "box_" if config.name.startswith("fasterrcnn") else ""
    options: dict[str, Any] = {
        f"{of_boxes}score_thresh": config.score_threshold,
        f"{of_boxes}nms_thresh": config.nms_iou,
    }
    if config.name != "ssdlite320":  # its input is always 320x320
        side = max(config.input_height, config.input_width)
        options |= {"min_size": side, "max_size": side}  # the same: the longer side is fitted
    return options
