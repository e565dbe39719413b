# SPDX-License-Identifier: Apache-2.0
"""Layers that several networks share. Shapes are (N, C, H, W)."""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn


class SqueezeExcitation(nn.Module):
    """Scale each channel by a gate computed from all channels' means (Hu et al. 2018).

    AlphaPose's form does not narrow between its two linear maps: C -> C -> C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Sequential(
            nn.Linear(channels, channels),
            nn.ReLU(inplace=True),
            nn.Linear(channels, channels),
            nn.Sigmoid(),
        )

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        gate: Tensor = self.fc(features.mean((2, 3)))  # (N, C)
        return features * gate[:, :, None, None]


class DUC(nn.Sequential):
    """Dense upsampling (Wang et al. 2018): C channels -> ``out_channels`` at twice the size.

    A convolution makes four times the channels and the pixel shuffle lays them out in space.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        wide = 4 * out_channels
        super().__init__(
            OrderedDict[str, nn.Module](
                conv=nn.Conv2d(in_channels, wide, 3, padding=1, bias=False),
                bn=nn.BatchNorm2d(wide),
                relu=nn.ReLU(inplace=True),
                shuffle=nn.PixelShuffle(2),
            )
        )


def shuffle_then_convolve(in_channels: int, widths: tuple[int, ...]) -> nn.Sequential:
    """Pixel shuffle by two, then one 3x3 convolution, BN and ReLU per width."""
    layers: list[nn.Module] = [nn.PixelShuffle(2)]
    channels = in_channels // 4
    for width in widths:
        layers += [
            nn.Conv2d(channels, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        ]
        channels = width
    return nn.Sequential(*layers)


def output_convolution(in_channels: int, num_joints: int, kernel: int = 3) -> nn.Conv2d:
    """Convolution to one map per joint; starts as almost nothing: N(0, .001²), bias 0."""
    layer = nn.Conv2d(in_channels, num_joints, kernel, padding=kernel // 2)
    nn.init.normal_(layer.weight, std=0.001)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
