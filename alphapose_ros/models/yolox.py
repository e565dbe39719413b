# SPDX-License-Identifier: Apache-2.0
"""YOLOX, an anchor-free detector (Ge et al., arXiv 2107.08430).

CSP-Darknet trunk, PAFPN neck, decoupled head at strides 8, 16 and 32. Module names equal those of
the public checkpoints, so their files load strictly. Input is BGR, 0..255, without normalisation.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

STRIDES = (8, 16, 32)


@dataclass(frozen=True)
class YOLOXSize:
    """Depth and width multipliers; ``depthwise`` separates every 3x3 convolution but the first."""

    depth: float
    width: float
    depthwise: bool = False


SIZES = {
    "nano": YOLOXSize(0.33, 0.25, depthwise=True),
    "tiny": YOLOXSize(0.33, 0.375),
    "s": YOLOXSize(0.33, 0.5),
    "m": YOLOXSize(0.67, 0.75),
    "l": YOLOXSize(1.0, 1.0),
    "x": YOLOXSize(1.33, 1.25),
}


class ConvNormAct(nn.Module):
    """Convolution with "same" padding, batch norm, SiLU."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False
        )
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.03)
        self.act = nn.SiLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, outputs, H / stride, W / stride)."""
        return self.act(self.bn(self.conv(x)))


class SeparableConv(nn.Module):
    """Depthwise, then 1x1, each with its norm and activation."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.dconv = ConvNormAct(inputs, inputs, kernel, stride, groups=inputs)
        self.pconv = ConvNormAct(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, outputs, H / stride, W / stride)."""
        return self.pconv(self.dconv(x))


def _spatial_conv(size: YOLOXSize, inputs: int, outputs: int, stride: int = 1) -> nn.Module:
    kind = SeparableConv if size.depthwise else ConvNormAct
    return kind(inputs, outputs, 3, stride)


class Focus(nn.Module):
    """Pixels of each 2x2 block become channels: its left column, then its right one."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.conv = ConvNormAct(12, outputs, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W), even sides -> (B, outputs, H / 2, W / 2)."""
        left, right = x[..., ::2], x[..., 1::2]
        corners = (left[..., ::2, :], left[..., 1::2, :], right[..., ::2, :], right[..., 1::2, :])
        return self.conv(torch.cat(corners, 1))


class Bottleneck(nn.Module):
    """1x1 then 3x3, with a residual connection where ``shortcut``."""

    def __init__(self, size: YOLOXSize, channels: int, shortcut: bool) -> None:
        super().__init__()
        self.conv1 = ConvNormAct(channels, channels, 1)
        self.conv2 = _spatial_conv(size, channels, channels)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        y = self.conv2(self.conv1(x))
        return x + y if self.shortcut else y


class CSPLayer(nn.Module):
    """Cross-stage partial block: half of the channels pass the bottlenecks, half go around."""

    def __init__(
        self, size: YOLOXSize, inputs: int, outputs: int, count: int, shortcut: bool = True
    ) -> None:
        super().__init__()
        hidden = outputs // 2
        self.conv1 = ConvNormAct(inputs, hidden, 1)
        self.conv2 = ConvNormAct(inputs, hidden, 1)
        self.conv3 = ConvNormAct(2 * hidden, outputs, 1)
        self.m = nn.Sequential(*(Bottleneck(size, hidden, shortcut) for _ in range(count)))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H, W)."""
        return self.conv3(torch.cat([self.m(self.conv1(x)), self.conv2(x)], 1))


class SpatialPyramidPooling(nn.Module):
    """Maxima over 5, 9 and 13 pixels beside the map itself."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = channels // 2
        self.conv1 = ConvNormAct(channels, hidden, 1)
        self.m = nn.ModuleList(nn.MaxPool2d(k, 1, k // 2) for k in (5, 9, 13))
        self.conv2 = ConvNormAct(hidden * 4, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the same shape."""
        x = self.conv1(x)
        return self.conv2(torch.cat([x, *(pool(x) for pool in self.m)], 1))


class CSPDarknet(nn.Module):
    """The trunk: maps at strides 8, 16 and 32."""

    def __init__(self, size: YOLOXSize) -> None:
        super().__init__()
        base, count = int(size.width * 64), max(round(size.depth * 3), 1)
        self.stem = Focus(base)
        self.dark2 = self._stage(size, base, count)
        self.dark3 = self._stage(size, base * 2, count * 3)
        self.dark4 = self._stage(size, base * 4, count * 3)
        self.dark5 = nn.Sequential(
            _spatial_conv(size, base * 8, base * 16, 2),
            SpatialPyramidPooling(base * 16),
            CSPLayer(size, base * 16, base * 16, count, shortcut=False),
        )

    @staticmethod
    def _stage(size: YOLOXSize, inputs: int, count: int) -> nn.Sequential:
        down = _spatial_conv(size, inputs, inputs * 2, 2)
        return nn.Sequential(down, CSPLayer(size, inputs * 2, inputs * 2, count))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, H, W) -> maps at strides 8, 16 and 32."""
        fine = self.dark3(self.dark2(self.stem(x)))
        middle = self.dark4(fine)
        return fine, middle, self.dark5(middle)


class PAFPN(nn.Module):
    """The neck: coarse to fine and back again (Path Aggregation Network, arXiv 1803.01534)."""

    def __init__(self, size: YOLOXSize) -> None:
        super().__init__()
        fine, middle, coarse = (int(c * size.width) for c in (256, 512, 1024))
        count = round(3 * size.depth)

        def block(inputs: int, outputs: int) -> CSPLayer:
            return CSPLayer(size, inputs, outputs, count, shortcut=False)

        self.backbone = CSPDarknet(size)
        self.lateral_conv0 = ConvNormAct(coarse, middle, 1)
        self.C3_p4 = block(2 * middle, middle)
        self.reduce_conv1 = ConvNormAct(middle, fine, 1)
        self.C3_p3 = block(2 * fine, fine)
        self.bu_conv2 = _spatial_conv(size, fine, fine, 2)
        self.C3_n3 = block(2 * fine, middle)
        self.bu_conv1 = _spatial_conv(size, middle, middle, 2)
        self.C3_n4 = block(2 * middle, coarse)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, H, W) -> mixed maps at strides 8, 16 and 32."""
        fine, middle, coarse = self.backbone(x)
        lateral0 = self.lateral_conv0(coarse)
        lateral1 = self.reduce_conv1(self.C3_p4(torch.cat([_double(lateral0), middle], 1)))
        out3 = self.C3_p3(torch.cat([_double(lateral1), fine], 1))
        out4 = self.C3_n3(torch.cat([self.bu_conv2(out3), lateral1], 1))
        out5 = self.C3_n4(torch.cat([self.bu_conv1(out4), lateral0], 1))
        return out3, out4, out5


def _double(x: Tensor) -> Tensor:
    return functional.interpolate(x, scale_factor=2.0, mode="nearest")


class YOLOXHead(nn.Module):
    """Decoupled head: class from one branch, box and objectness from the other."""

    def __init__(self, size: YOLOXSize, num_classes: int) -> None:
        super().__init__()
        hidden = int(256 * size.width)
        inputs = [int(c * size.width) for c in (256, 512, 1024)]

        def branch() -> nn.Sequential:
            return nn.Sequential(*(_spatial_conv(size, hidden, hidden) for _ in range(2)))

        def predict(outputs: int) -> nn.ModuleList:
            return nn.ModuleList(nn.Conv2d(hidden, outputs, 1) for _ in STRIDES)

        self.stems = nn.ModuleList(ConvNormAct(c, hidden, 1) for c in inputs)
        self.cls_convs = nn.ModuleList(branch() for _ in STRIDES)
        self.reg_convs = nn.ModuleList(branch() for _ in STRIDES)
        self.cls_preds, self.reg_preds, self.obj_preds = (
            predict(num_classes),
            predict(4),
            predict(1),
        )
        for layer in (*self.cls_preds, *self.obj_preds):
            nn.init.constant_(layer.bias, -4.595)  # prior probability .01 (focal loss paper, 4.1)

    def forward(self, maps: tuple[Tensor, ...]) -> Tensor:
        """Maps -> (B, A, 5 + C): dx, dy, log w, log h, objectness logit, class logits."""
        levels = []
        for k, x in enumerate(maps):
            x = self.stems[k](x)
            region = self.reg_convs[k](x)
            box, objectness = self.reg_preds[k](region), self.obj_preds[k](region)
            classes = self.cls_preds[k](self.cls_convs[k](x))
            levels.append(torch.cat([box, objectness, classes], 1).flatten(2))
        return torch.cat(levels, 2).transpose(1, 2)


class YOLOX(nn.Module):
    """The detector; ``forward`` decodes inside the graph, ``raw`` is what training needs.

    Args:
        size: a key of :data:`SIZES`.
        num_classes: C of the class head.
    """

    def __init__(self, size: str = "nano", num_classes: int = 1) -> None:
        super().__init__()
        self.size, self.num_classes = size, num_classes
        self.backbone = PAFPN(SIZES[size])
        self.head = YOLOXHead(SIZES[size], num_classes)

    def raw(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) BGR 0..255, sides multiples of 32 -> (B, A, 5 + C), see YOLOXHead."""
        return self.head(self.backbone(images))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) BGR 0..255 -> boxes (B, A, 4) xyxy px, scores (B, A, C) in [0, 1]."""
        raw = self.raw(images)
        points, strides = anchor_grid(images.shape[-2:], raw.device)
        boxes = decode_boxes(raw[..., :4], points, strides)
        return boxes, raw[..., 4:5].sigmoid() * raw[..., 5:].sigmoid()


def anchor_grid(
    size_hw: tuple[int, int] | torch.Size, device: torch.device | str = "cpu"
) -> tuple[Tensor, Tensor]:
    """Cells of all levels for an input of ``size_hw`` px: corners (A, 2) px, strides (A, 1) px."""
    points, strides = [], []
    for stride in STRIDES:
        rows = torch.arange(size_hw[0] // stride, device=device)
        columns = torch.arange(size_hw[1] // stride, device=device)
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        cells = torch.stack([x, y], -1).reshape(-1, 2).float() * stride
        points.append(cells)
        strides.append(torch.full_like(cells[:, :1], float(stride)))
    return torch.cat(points), torch.cat(strides)


def decode_boxes(raw: Tensor, points: Tensor, strides: Tensor) -> Tensor:
    """(..., A, 4) offsets and log sizes in strides -> xyxy px (YOLOX, section 2)."""
    center = raw[..., :2] * strides + points
    half = raw[..., 2:].exp() * strides / 2
    return torch.cat([center - half, center + half], -1)
