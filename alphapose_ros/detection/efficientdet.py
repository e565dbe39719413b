# SPDX-License-Identifier: Apache-2.0
"""EfficientDet (Tan et al., arXiv 1911.09070) by the package effdet. Nothing is downloaded."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from alphapose_ros.base.errors import require
from alphapose_ros.base.records import Detections
from alphapose_ros.detection.config import DetectorConfig
from alphapose_ros.detection.select import best_candidates, select_people
from alphapose_ros.detection.torchvision import require_torchvision
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.models.state import load_into
from alphapose_ros.runtime.batching import CAMERAS, BatchLimit

PERSON = 0  # class of people, in networks of one class and of COCO's 90
MEAN = (0.485, 0.456, 0.406)  # of ImageNet's red, green and blue, in 0..1
STD = (0.229, 0.224, 0.225)
_CLASSES = "class_net.predict.conv_pw.weight"


class EfficientDetNetwork(nn.Module):
    """effdet's network with its boxes decoded.

    Args:
        levels: images -> per level class logits (B, A C, h, w) and box offsets (B, A 4, h, w).
        anchors: (sum of h w A, 4) as y1, x1, y2, x2 px, in the order of the levels.
        side: of the square input, px.
    """

    anchors: Tensor

    def __init__(self, levels: nn.Module, anchors: Tensor, side: int) -> None:
        super().__init__()
        self.levels, self.side = levels, side
        self.register_buffer("anchors", anchors, persistent=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, side, side) normalised -> boxes (B, A, 4) xyxy px, a person's scores (B, A)."""
        logits, offsets = self.levels(images)
        codes = torch.cat([_by_anchor(level, 4) for level in offsets], 1).float()
        classes = sum(level[0].numel() for level in logits) // len(self.anchors)
        person = torch.cat([_by_anchor(level, classes)[..., PERSON] for level in logits], 1)
        return decode_boxes(codes, self.anchors), person.float().sigmoid()


class EfficientDetDetector:
    """People of each image, by an EfficientDet.

    Args:
        model: in evaluation mode, on the device of the images.
        config: thresholds; its input size is not used, each EfficientDet has its own.
    """

    def __init__(self, model: EfficientDetNetwork, config: DetectorConfig) -> None:
        self.model, self.config = model, config
        self.limit = BatchLimit(CAMERAS, "detector")

    def reconfigure(self, config: DetectorConfig) -> None:
        """Other thresholds."""
        self.config = config

    @torch.inference_mode()
    def __call__(self, batch: ImageBatch) -> list[Detections]:
        """One record per image."""
        rows = range(len(batch))
        parts = self.limit.run(len(rows), lambda part: self._detect(batch[rows[part]]))
        return [each for part in parts for each in part]

    def _detect(self, batch: ImageBatch) -> list[Detections]:
        images, scales = zip(
            *(prepared(image, self.model.side) for image in batch.images), strict=True
        )
        boxes, scores = self.model(torch.stack(images))
        out = []
        for k, size_hw in enumerate(batch.sizes_hw):
            found = best_candidates(boxes[k], scores[k], self.config.score_threshold)
            out.append(select_people(found[0] / scales[k], found[1], size_hw, self.config))
        return out


def prepared(image: Tensor, side: int) -> tuple[Tensor, float]:
    """An RGB image (3, H, W) of 0..255 as the network takes it, as effdet's evaluation does.

    The longer side is fitted with a bilinear filter as wide as the shrinking asks for (Pillow's),
    the image lies top-left on ImageNet's mean colour.

    Returns:
        (3, side, side) normalised, and the factor from image to input px.
    """
    scale = min(side / image.shape[1], side / image.shape[2])
    height, width = (max(1, int(length * scale)) for length in image.shape[1:])
    fitted = functional.interpolate(
        image[None], (height, width), mode="bilinear", align_corners=False, antialias=True
    )[0]
    mean, std = (image.new_tensor(values).view(3, 1, 1) * 255 for values in (MEAN, STD))
    out = ((mean.round() - mean) / std).repeat(1, side, side)
    out[:, :height, :width] = (fitted - mean) / std
    return out, scale


def decode_boxes(codes: Tensor, anchors: Tensor) -> Tensor:
    """Offsets (..., A, 4) ty, tx, th, tw from anchors (A, 4) y1, x1, y2, x2 -> xyxy px.

    The centre moves in sides of the anchor, the sides grow exponentially (Fast R-CNN,
    arXiv 1504.08083).
    """
    size = anchors[:, 2:] - anchors[:, :2]
    center = codes[..., :2] * size + (anchors[:, 2:] + anchors[:, :2]) / 2
    half = codes[..., 2:].exp() * size / 2
    return torch.cat([(center - half).flip(-1), (center + half).flip(-1)], -1)


def build_efficientdet(
    config: DetectorConfig, state: Mapping[str, Tensor] | None
) -> EfficientDetNetwork:
    """The network of ``config.name`` with ``state``, or with random values where that is None.

    Raises:
        MissingDependencyError: effdet, or a torchvision that works, is not installed.
        WeightsError: the tensors are of another network.
    """
    needed_for = f"the detector {config.name}"
    require_torchvision(needed_for)  # effdet imports it
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about the way that effdet compiles a function
        effdet = require("effdet", needed_for=needed_for, install="pip install effdet")
        anchors_of: Callable[..., nn.Module] = require(
            "effdet.anchors", needed_for=needed_for, install="pip install effdet"
        ).Anchors.from_config
    model = effdet.create_model(
        f"tf_{config.name}", num_classes=_classes(state), pretrained_backbone=False
    )
    if state is not None:
        load_into(model, state, config.name)
    boxes: Tensor = anchors_of(model.config).get_buffer("boxes")
    return EfficientDetNetwork(model, boxes, model.config.image_size[0]).eval()


def _classes(state: Mapping[str, Tensor] | None, anchors_per_cell: int = 9) -> int | None:
    """Number of classes of a file; None: COCO's 90."""
    if state is None or _CLASSES not in state:
        return None
    return len(state[_CLASSES]) // anchors_per_cell


def _by_anchor(level: Tensor, numbers: int) -> Tensor:
    """(B, A numbers, h, w) -> (B, h w A, numbers)."""
    return level.permute(0, 2, 3, 1).reshape(len(level), -1, numbers)
