# SPDX-License-Identifier: Apache-2.0
"""SimplePose (Xiao et al., ECCV 2018): a ResNet and three transposed convolutions.

A network is the plain sequence ``preact``, ``deconv_layers``, ``final_layer``, the names of
AlphaPose's checkpoint. Input (N, 3, H, W), normalised; output (N, K, H / 4, W / 4), raw.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from alphapose_ros.models.layers import output_convolution
from alphapose_ros.models.resnet import ResNet

_WIDTH = 256


class SimplePose(nn.Sequential):
    """A trunk of stride 32 without gates and the upsampling head.

    Args:
        depth: of the ResNet: 50, 101 or 152.
        num_joints: K.
    """

    def __init__(self, *, depth: int = 50, num_joints: int) -> None:
        trunk = ResNet(depth, se=False)
        super().__init__(
            OrderedDict[str, nn.Module](
                preact=trunk,
                deconv_layers=_upsampling(trunk.out_channels, steps=3),
                final_layer=output_convolution(_WIDTH, num_joints, kernel=1),
            )
        )


def _upsampling(channels: int, *, steps: int) -> nn.Sequential:
    """Each step doubles the map: transposed 4x4 convolution, BN, ReLU."""
    layers: list[nn.Module] = []
    for step in range(steps):
        inputs = channels if step == 0 else _WIDTH
        layer = nn.ConvTranspose2d(inputs, _WIDTH, 4, stride=2, padding=1, bias=False)
        nn.init.normal_(layer.weight, std=0.001)
        layers += [layer, nn.BatchNorm2d(_WIDTH), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)
