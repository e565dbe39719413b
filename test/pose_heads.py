# SPDX-License-Identifier: Apache-2.0
"""Stand-ins with the outputs of others' pose networks: joints lie where the image is bright."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from alphapose_ros.base.records import Detections
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.models.export import GraphNames, onnx_bytes
from alphapose_ros.pose.config import PoseConfig
from alphapose_ros.pose.factory import create_estimator
from alphapose_ros.registry.spec import ModelSpec

JOINTS = 17
DOT = (143.0, 88.0)  # x, y in the image
PEOPLE = np.array([[90, 30, 190, 210], [100, 50, 180, 150]], np.float32)


def picture() -> np.ndarray:
    """A Gaussian dot on black, brighter than anything else."""
    y, x = np.mgrid[0:240, 0:320]
    dot = np.exp(-((x - DOT[0]) ** 2 + (y - DOT[1]) ** 2) / (2 * 3.0**2))
    return np.repeat((255 * dot)[..., None], 3, 2).astype(np.uint8)


class Brightness(nn.Module):
    """(N, 3, H, W) as it enters -> one map of 0..1 per joint, all the same."""

    def __init__(self, stride: int = 1) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, images: Tensor) -> Tensor:
        maps = images.mean(1, keepdim=True)[:, :, :: self.stride, :: self.stride]
        low, high = maps.amin((2, 3), keepdim=True), maps.amax((2, 3), keepdim=True)
        return ((maps - low) / (high - low + 1e-6)).expand(-1, JOINTS, -1, -1) * 0.9


class CornerMaps(nn.Module):
    """Maps whose first and last cells are the crop's first and last pixels, as UDP's are."""

    def forward(self, images: Tensor) -> Tensor:
        return nn.functional.interpolate(
            Brightness()(images), (64, 48), mode="bilinear", align_corners=True
        )


class Simcc(nn.Module):
    """Two bins per pixel, as RTMPose has them."""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        maps = Brightness()(images)
        double = nn.functional.interpolate(
            maps, scale_factor=2.0, mode="bilinear", align_corners=False
        )
        return double.amax(2), double.amax(3)


class Rtmo(nn.Module):
    """One person where the picture is bright, and a worse copy of the same."""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        maps = Brightness()(images)[:, 0]
        x, y = maps.amax(1).argmax(1).float(), maps.amax(2).argmax(1).float()
        box = torch.stack([x - 20, y - 40, x + 20, y + 40], -1)
        boxes = torch.stack([box, box + 1, box * 0], 1)  # (1, 3, 4)
        scores = torch.tensor([0.9, 0.6, 0.1]).view(1, 3, 1)
        point = torch.stack([x, y, 0 * x + 0.7], -1).view(1, 1, 1, 3)
        return torch.cat([boxes, scores], -1), point.expand(1, 3, JOINTS, 3)


class Three(nn.Module):
    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return images.mean(1), images.mean(2), images.mean(3)


class Swapped(nn.Module):
    """Rows before columns."""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        columns, rows = Simcc()(images)
        return rows, columns


class Half(nn.Module):
    """A graph whose every number is float16, as some exports are."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(output.half() for output in self.head(images.float()))


class Logits(nn.Module):
    """Maps before the sigmoid, as networks trained with SIKR give them."""

    def forward(self, images: Tensor) -> Tensor:
        return Brightness(4)(images) * 12 - 6


def written(
    path: Path,
    module: nn.Module,
    outputs: tuple[str, ...],
    *,
    input_hw: tuple[int, int] = (256, 192),
    batch: int | None = None,
) -> str:
    """The module as an ONNX file, with an open batch or a fixed one."""
    names = ("input", *outputs)
    opened = {name: {0: "N"} for name in names} if batch is None else {}
    example = torch.rand(batch or 2, 3, *input_hw)
    graph = onnx_bytes(module, example, GraphNames(("input",), outputs, opened))
    path.write_bytes(graph)
    return str(path)


def dots(weights: str, **values: object) -> np.ndarray:
    """Where the estimator of a file finds the dot for each of the people, (N, K, 2)."""
    estimator = create_estimator(PoseConfig(weights=weights, **values))  # type: ignore[arg-type]
    assert not estimator.finds_people
    detections = Detections(PEOPLE, np.ones(2, np.float32))
    nobody = Detections.empty()
    batch = ImageBatch.upload([picture(), picture()])
    empty, found = estimator(batch, [nobody, detections])
    assert len(empty) == 0
    assert found.skeleton is estimator.skeleton
    assert ((found.scores >= 0) & (found.scores <= 1)).all()
    return found.keypoints


def spec(**values: object) -> ModelSpec:
    """What somebody knows of a heatmap network's file."""
    known = {"name": "x", "task": "pose", "format": "heatmap", "file": "x.onnx", "licence": ""}
    return ModelSpec(**(known | {"input_hw": (256, 192)} | values))  # type: ignore[arg-type]
