# SPDX-License-Identifier: Apache-2.0
"""The layers of Darknet's networks, as its own code computes them. Maps are (B, C, H, W)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

NORM_EPS = 1e-6  # Darknet adds it to the spread, OpenCV's importer and this to the variance


class Convolution(nn.Module):
    """Convolution, batch norm where there is one, activation."""

    def __init__(self, conv: nn.Conv2d, norm: bool, activation: nn.Module) -> None:
        super().__init__()
        self.conv = conv
        self.norm = nn.BatchNorm2d(conv.out_channels, eps=NORM_EPS) if norm else nn.Identity()
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, filters, H / stride, W / stride)."""
        return self.activation(self.norm(self.conv(x)))

    def stored(self) -> list[str]:
        """Names of the tensors in the order of a weights file."""
        if isinstance(self.norm, nn.Identity):
            return ["conv.bias", "conv.weight"]
        norm = ("bias", "weight", "running_mean", "running_var")
        return [*(f"norm.{name}" for name in norm), "conv.weight"]

    def fold(self) -> None:
        """Merge the norm into the convolution, in place; the evaluated function stays."""
        if isinstance(self.norm, nn.BatchNorm2d):
            self.conv = fuse_conv_bn_eval(self.conv, self.norm)
            self.register_module("norm", nn.Identity())


class MaxPool(nn.Module):
    """Maximum over a window; a window of two cells with stride 1 reaches right and down."""

    def __init__(self, size: int, stride: int, padding: int) -> None:
        super().__init__()
        self.size, self.stride = size, stride
        before = padding // 2
        self.pad = (before, padding - before) * 2

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H / stride, W / stride)."""
        return functional.max_pool2d(
            functional.pad(x, self.pad, value=float("-inf")), self.size, self.stride
        )


class Route(nn.Module):
    """One of ``groups`` equal parts of the channels of each map, one after the other."""

    def __init__(self, groups: int, group: int) -> None:
        super().__init__()
        self.groups, self.group = groups, group

    def forward(self, *maps: Tensor) -> Tensor:
        """(B, C_k, H, W) each -> (B, sum of C_k / groups, H, W)."""
        return torch.cat([x.chunk(self.groups, 1)[self.group] for x in maps], 1)


class Shortcut(nn.Module):
    """The sum of two maps of one shape."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.activation = activation

    def forward(self, x: Tensor, earlier: Tensor) -> Tensor:
        """(B, C, H, W) twice -> the same shape."""
        return self.activation(x + earlier)


class YoloLayer(nn.Module):
    """Boxes and probabilities from a map of 5 + C numbers for each anchor (YOLOv3, section 2.1).

    Args:
        anchors: (width, height) px of each. classes: C.
        stride: px between cells.
        stretch: how far beyond its cell a centre may lie (``scale_x_y``); 1: not at all.
    """

    anchors: Tensor

    def __init__(
        self, anchors: Sequence[tuple[float, float]], classes: int, stride: int, stretch: float
    ) -> None:
        super().__init__()
        self.classes, self.stride, self.stretch = classes, stride, stretch
        self.register_buffer("anchors", torch.tensor(anchors), persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, A (5 + C), H, W) -> boxes (B, H W A, 4) xyxy px and scores (B, H W A, C)."""
        batch, _, height, width = x.shape
        raw = x.float().view(batch, len(self.anchors), 5 + self.classes, height, width)
        raw = raw.permute(0, 3, 4, 1, 2)  # (B, H, W, A, 5 + C)
        rows, columns = (torch.arange(side, device=x.device) for side in (height, width))
        y, x_ = torch.meshgrid(rows, columns, indexing="ij")
        cells = torch.stack([x_, y], -1)[:, :, None]  # (H, W, 1, 2)
        inside = raw[..., :2].sigmoid() * self.stretch - (self.stretch - 1) / 2
        center = (inside + cells) * self.stride
        half = raw[..., 2:4].exp() * self.anchors / 2
        boxes = torch.cat([center - half, center + half], -1)
        scores = raw[..., 4:5].sigmoid() * raw[..., 5:].sigmoid()
        # Not flatten: in a graph it leaves a side open, which no image at all cannot settle.
        count = height * width * len(self.anchors)
        return boxes.reshape(batch, count, 4), scores.reshape(batch, count, self.classes)
