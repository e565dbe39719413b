# SPDX-License-Identifier: Apache-2.0
"""MobileNetV2's trunk (Sandler et al., CVPR 2018, table 2), with torchvision's tensor names.

torchvision's own takes as long to import as PyTorch, and a build for another PyTorch, as on many
a Jetson, cannot be imported at all: the bundled networks do not depend on it.
"""

from __future__ import annotations

from torch import Tensor, nn

# Expansion, channels, blocks, stride of the first of them.
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_STEM, _TOP = 32, 1280  # channels


class InvertedResidual(nn.Module):
    """Widened by 1x1, filtered depthwise, narrowed without activation; added to its input."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        layers: list[nn.Module] = [] if expansion == 1 else [_activated(inputs, wide, 1)]
        self.conv = nn.Sequential(
            *layers,
            _activated(wide, wide, 3, stride=stride, groups=wide),
            nn.Conv2d(wide, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        self.use_res_connect = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride)."""
        out: Tensor = self.conv(x)
        return x + out if self.use_res_connect else out


def mobilenet_v2() -> nn.Sequential:
    """Images (B, 3, H, W) -> (B, 1280, H/32, W/32), random weights."""
    blocks: list[nn.Module] = [_activated(3, _STEM, 3, stride=2)]
    inputs = _STEM
    for expansion, outputs, count, first in _STAGES:
        for number in range(count):
            stride = first if number == 0 else 1
            blocks.append(InvertedResidual(inputs, outputs, stride, expansion))
            inputs = outputs
    trunk = nn.Sequential(*blocks, _activated(inputs, _TOP, 1))
    for module in trunk.modules():
        # Without data there is nothing to draw, and PyTorch would import its compiler for it.
        if isinstance(module, nn.Conv2d) and not module.weight.is_meta:
            nn.init.kaiming_normal_(module.weight, mode="fan_out")
    return trunk


def _activated(
    inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(inplace=True),
    )
