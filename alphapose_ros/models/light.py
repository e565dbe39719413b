# SPDX-License-Identifier: Apache-2.0
"""LightPose: a whole-body pose network for small machines.

MobileNetV2 trunk (Sandler et al., CVPR 2018) with the feature-pyramid decoder of MoveNet
(laterals from strides 4, 8 and 16, three upsampling steps) and a heatmap head at stride 4. The
trunk's stride-2 convolutions pad one pixel right and below, as TensorFlow's "SAME" does, because
the published MoveNet weights were trained so.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from alphapose_ros.models.mobilenet import mobilenet_v2

_TOP_CHANNELS = 64
_LATERALS = ((3, 24), (6, 32), (10, 64))  # trunk block, channels: strides 4, 8, 16
_DECODER = ((64, 32), (32, 24), (24, 24))  # coarse to fine; lateral 2, 1, 0 is added first


class ConvNorm(nn.Module):
    """Convolution without bias, batch norm, and optionally ReLU."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, *, groups: int = 1, relu: bool = False
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False
        )
        self.bn = nn.BatchNorm2d(outputs)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H, W)."""
        x = self.bn(self.conv(x))
        return functional.relu(x) if self.relu else x


def _separable(inputs: int, outputs: int) -> nn.Sequential:
    """Linear depthwise 3x3, then 1x1 with ReLU."""
    return nn.Sequential(
        ConvNorm(inputs, inputs, 3, groups=inputs), ConvNorm(inputs, outputs, relu=True)
    )


class LightPose(nn.Module):
    """(B, 3, H, W) in [-1, 1] RGB -> (B, num_joints, H/4, W/4) logits.

    Args:
        num_joints: maps of the head.
        head_channels: width before the last 1x1 convolution.
    """

    def __init__(self, num_joints: int, *, head_channels: int = 96) -> None:
        super().__init__()
        self.features = mobilenet_v2()
        for module in self.features.modules():
            if isinstance(module, nn.Conv2d) and module.stride == (2, 2):
                module.padding = (0, 0)
        self.top = ConvNorm(1280, _TOP_CHANNELS)
        self.lateral = nn.ModuleList(ConvNorm(c, c) for _, c in _LATERALS)
        self.decoder = nn.ModuleList(_separable(a, b) for a, b in _DECODER)
        inputs = _DECODER[-1][1]
        self.head = nn.Sequential(
            ConvNorm(inputs, inputs, 3, groups=inputs), ConvNorm(inputs, head_channels, relu=True)
        )
        self.heatmaps = nn.Conv2d(head_channels, num_joints, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Height and width must be multiples of 32."""
        taps: list[Tensor] = []
        for index, block in enumerate(self.features):
            x = same_padded(cast(nn.Module, block), x)
            if index in dict(_LATERALS):
                taps.append(x)
        x = self.top(x)
        for step, lateral, tap in zip(
            self.decoder, reversed(self.lateral), reversed(taps), strict=True
        ):
            x = functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = step(x + lateral(tap))
        return self.heatmaps(self.head(x))


def same_padded(block: nn.Module, x: Tensor) -> Tensor:
    """Run a trunk block; ahead of its stride-2 convolution one pixel is added right and below."""
    layers = getattr(block, "conv", block)
    out = x
    for layer in layers:  # type: ignore[union-attr]
        conv = layer[0] if isinstance(layer, nn.Sequential) else layer
        if isinstance(conv, nn.Conv2d) and conv.stride == (2, 2):
            out = functional.pad(out, (0, 1, 0, 1))
        out = layer(out)
    return x + out if getattr(block, "use_res_connect", False) else out


def fold_batch_norm(network: LightPose) -> LightPose:
    """A copy for inference, its norms folded into the convolutions before them.

    Same function up to rounding, fewer layers, and none of the extreme running variances that
    lose their precision in half-precision files.
    """
    folded = LightPose(network.heatmaps.out_channels, head_channels=network.heatmaps.in_channels)
    folded.load_state_dict(network.state_dict())
    folded.eval()
    for module in list(folded.modules()):
        if isinstance(module, ConvNorm):
            _fuse(module, "conv", "bn")
        elif isinstance(module, nn.Sequential):
            pairs = zip(list(module._modules), list(module._modules)[1:], strict=False)
            for conv, norm in pairs:
                if isinstance(module._modules[norm], nn.BatchNorm2d):
                    _fuse(module, conv, norm)
    return folded


def _fuse(owner: nn.Module, conv: str, norm: str) -> None:
    before = cast(nn.Conv2d, owner._modules[conv])
    after = cast(nn.BatchNorm2d, owner._modules[norm])
    if before.weight.is_meta:  # the form alone: PyTorch would import its compiler to calculate
        before.bias = nn.Parameter(torch.empty(before.out_channels, device="meta"))
    else:
        owner._modules[conv] = torch.nn.utils.fuse_conv_bn_eval(before, after)
    owner._modules[norm] = nn.Identity()
