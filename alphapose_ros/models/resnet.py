# SPDX-License-Identifier: Apache-2.0
"""ResNet trunks with torchvision's names: 3 channels in, 2048 at a 32nd of the size out.

Bottlenecks carry their stride on the 3x3 convolution. AlphaPose puts one squeeze-and-excitation
gate into the first block of each layer, and its "unshuffle" variant halves the map by pixel
unshuffle instead of by stride, so that no pixel is skipped.
"""

from __future__ import annotations

from torch import Tensor, nn

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.models.layers import SqueezeExcitation

BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
EXPANSION = 4


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions beside an identity or projected shortcut.

    Args:
        in_channels: of the input; the output has ``EXPANSION * planes``.
        planes: inner width.
        stride: 1 or 2; a stride of 2 or a change of width makes a projection.
        se: gate the branch before the sum.
        unshuffle: take the stride by pixel unshuffle.
    """

    def __init__(
        self, in_channels: int, planes: int, *, stride: int, se: bool, unshuffle: bool
    ) -> None:
        super().__init__()
        out_channels = EXPANSION * planes
        self.conv1 = nn.Conv2d(in_channels, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = _spatial_convolution(planes, stride, unshuffle)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.se: nn.Module = SqueezeExcitation(out_channels) if se else nn.Identity()
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, 4 planes, H / stride, W / stride)."""
        out = self.relu(self.bn1(self.conv1(features)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.se(self.bn3(self.conv3(out)))
        return self.relu(out + self.downsample(features))


class ResNet(nn.Module):
    """The trunk alone: no pooling at the end, no classifier.

    Args:
        depth: 50, 101 or 152.
        se: squeeze and excitation in the first block of each layer.
        unshuffle: halve the maps of layers 2 to 4 by pixel unshuffle.
    """

    out_channels = 512 * EXPANSION

    def __init__(self, depth: int, *, se: bool = True, unshuffle: bool = False) -> None:
        super().__init__()
        if depth not in BLOCKS:
            raise ConfigError(f"ResNet depth: expected one of {sorted(BLOCKS)}, got {depth}")
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        counts = BLOCKS[depth]
        self.layer1 = _layer(64, 64, counts[0], stride=1, se=se, unshuffle=unshuffle)
        self.layer2 = _layer(256, 128, counts[1], stride=2, se=se, unshuffle=unshuffle)
        self.layer3 = _layer(512, 256, counts[2], stride=2, se=se, unshuffle=unshuffle)
        self.layer4 = _layer(1024, 512, counts[3], stride=2, se=se, unshuffle=unshuffle)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, 2048, H / 32, W / 32)."""
        out = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        return self.layer4(self.layer3(self.layer2(self.layer1(out))))


def _spatial_convolution(planes: int, stride: int, unshuffle: bool) -> nn.Module:
    if stride == 1 or not unshuffle:
        return nn.Conv2d(planes, planes, 3, stride, padding=1, bias=False)
    return nn.Sequential(
        nn.PixelUnshuffle(stride),
        nn.Conv2d(planes * stride**2, planes, 3, padding=1, bias=False),
    )


def _layer(
    in_channels: int, planes: int, count: int, *, stride: int, se: bool, unshuffle: bool
) -> nn.Sequential:
    """``count`` blocks; only the first one has the stride and the gate."""
    first = Bottleneck(in_channels, planes, stride=stride, se=se, unshuffle=unshuffle)
    rest = (
        Bottleneck(EXPANSION * planes, planes, stride=1, se=False, unshuffle=False)
        for _ in range(count - 1)
    )
    return nn.Sequential(first, *rest)
