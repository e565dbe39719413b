# SPDX-License-Identifier: Apache-2.0
"""ResNet trunks with torchvision's names: 3 channels in, 2048 at a 32nd of the size out.

Bottlenecks carry their stride on the 3x3 convolution. AlphaPose puts one squeeze-and-excitation
gate into the first block of each layer, and its "unshuffle" variant halves the map by pixel
unshuffle instead of by stride, so that no pixel is skipped.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.models.deform import OFFSETS, DeformableConv2d
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
        deformable: read the 3x3 convolution's inputs at learned offsets.

    Raises:
        ConfigError: ``unshuffle`` and ``deformable`` together, which no network has.
    """

    def __init__(
        self,
        in_channels: int,
        planes: int,
        *,
        stride: int,
        se: bool = False,
        unshuffle: bool = False,
        deformable: bool = False,
    ) -> None:
        if unshuffle and deformable:
            raise ConfigError("unshuffle, deformable: expected at most one of them, got both")
        super().__init__()
        out_channels = EXPANSION * planes
        self.conv1 = nn.Conv2d(in_channels, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2_offset: nn.Module | None = None
        if deformable:
            self.conv2_offset = nn.Conv2d(planes, OFFSETS, 3, stride, padding=1)
            self.conv2: nn.Module = DeformableConv2d(planes, planes, stride=stride)
        else:
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
        out = self.relu(self.bn2(self._spatial(out)))
        out = self.se(self.bn3(self.conv3(out)))
        return self.relu(out + self.downsample(features))

    def _spatial(self, features: Tensor) -> Tensor:
        if self.conv2_offset is None:
            return self.conv2(features)
        return self.conv2(features, self.conv2_offset(features))


class ResNet(nn.Module):
    """The trunk alone: no pooling at the end, no classifier.

    Args:
        depth: 50, 101 or 152.
        se: squeeze and excitation in the first block of each layer.
        unshuffle: halve the maps of layers 2 to 4 by pixel unshuffle.
        dcn: deformable 3x3 convolutions in layers 2 to 4.
    """

    out_channels = 512 * EXPANSION

    def __init__(
        self, depth: int, *, se: bool = True, unshuffle: bool = False, dcn: bool = False
    ) -> None:
        super().__init__()
        if depth not in BLOCKS:
            raise ConfigError(f"ResNet depth: expected one of {sorted(BLOCKS)}, got {depth}")
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        counts = BLOCKS[depth]
        self.layer1 = _layer(64, counts[0], se=se)
        halving = partial(_layer, stride=2, se=se, unshuffle=unshuffle, deformable=dcn)
        self.layer2 = halving(128, counts[1])
        self.layer3 = halving(256, counts[2])
        self.layer4 = halving(512, counts[3])
        self._initialise()

    def _initialise(self) -> None:
        for name, module in self.named_modules():
            if name.endswith("conv2_offset"):  # start as an ordinary convolution
                nn.init.zeros_(module.weight)  # type: ignore[arg-type]
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
            elif isinstance(module, (nn.Conv2d, DeformableConv2d)):
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
    planes: int,
    count: int,
    *,
    stride: int = 1,
    se: bool = False,
    unshuffle: bool = False,
    deformable: bool = False,
) -> nn.Sequential:
    """``count`` blocks on ``stride * planes`` channels; only the first has stride and gate."""
    first = Bottleneck(
        stride * planes, planes, stride=stride, se=se, unshuffle=unshuffle, deformable=deformable
    )
    rest = (
        Bottleneck(EXPANSION * planes, planes, stride=1, deformable=deformable)
        for _ in range(count - 1)
    )
    return nn.Sequential(first, *rest)
