# SPDX-License-Identifier: Apache-2.0
"""Deformable convolution (Dai et al., ICCV 2017): each tap reads its input at a learned offset.

Here with 3x3 taps and padding 1. The offsets (N, 18, h, w) are in input pixels, (dy, dx) for each
tap, taps row by row.
Two ways give the same numbers: torchvision's compiled operator, and one of plain torch for
installs of torchvision without it and for ONNX, which has a grid sampler at opset 17 but no
deformable convolution.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional

KERNEL = 3
TAPS = KERNEL**2
OFFSETS = 2 * TAPS


class DeformableConv2d(nn.Module):
    """3x3 convolution without bias and with padding 1, its taps displaced by given offsets."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1) -> None:
        super().__init__()
        has_operator()  # looks now: torchvision cannot be imported while a graph is traced
        self.stride = stride
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, KERNEL, KERNEL))
        nn.init.kaiming_normal_(self.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, features: Tensor, offsets: Tensor) -> Tensor:
        """(N, C, H, W) and offsets (N, 18, h, w) -> (N, out_channels, h, w)."""
        return deformable_convolution(features, offsets, self.weight, stride=self.stride)


def deformable_convolution(
    features: Tensor, offsets: Tensor, weight: Tensor, *, stride: int = 1
) -> Tensor:
    """(N, C, H, W), offsets (N, 18, h, w) and weights (O, C, 3, 3) -> (N, O, h, w).

    What lies outside the map is 0. Half precision, too coarse for positions, is computed in single
    and given back as it came.
    """
    precise = torch.promote_types(features.dtype, torch.float32)
    case = features.to(precise), offsets.to(precise), weight.to(precise)
    return _convolution(*case, stride).to(features.dtype)


def _convolution(features: Tensor, offsets: Tensor, weight: Tensor, stride: int) -> Tensor:
    if not torch.onnx.is_in_onnx_export() and has_operator():
        from torchvision.ops import deform_conv2d

        try:
            return deform_conv2d(features, offsets, weight, stride=stride, padding=1)
        except NotImplementedError:
            pass  # compiled, but not for this device
    return sampled_convolution(features, offsets, weight, stride=stride)


@lru_cache(maxsize=1)
def has_operator() -> bool:
    """Whether torchvision is here and was built with its operators."""
    try:
        import torchvision.ops  # noqa: F401
    except (ImportError, OSError, RuntimeError):  # the last: built for another version of torch
        return False
    return hasattr(torch.ops.torchvision, "deform_conv2d")


def sampled_convolution(
    features: Tensor, offsets: Tensor, weight: Tensor, *, stride: int = 1
) -> Tensor:
    """The same as :func:`deformable_convolution`, by bilinear samples and a matrix product."""
    count, channels, height, width = features.shape
    out_hw = offsets.shape[-2], offsets.shape[-1]
    taps = offsets.reshape(count, TAPS, 2, *out_hw)  # y before x
    y = taps[:, :, 0] + _origins(offsets, stride, axis=0)  # (N, 9, h, w)
    x = taps[:, :, 1] + _origins(offsets, stride, axis=1)
    # Pixel p of n is (2p + 1) / n - 1 for a sampler whose corners are not aligned.
    grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], -1)
    samples = functional.grid_sample(  # (N, C, 9 h, w)
        features,
        grid.reshape(count, TAPS * out_hw[0], out_hw[1], 2),
        mode="bilinear",
        padding_mode="zeros",
        align_corners=False,
    )
    columns = samples.reshape(count, channels * TAPS, out_hw[0] * out_hw[1])
    return (weight.flatten(1) @ columns).reshape(count, weight.shape[0], *out_hw)


def _origins(offsets: Tensor, stride: int, *, axis: int) -> Tensor:
    """Rows (axis 0) or columns (axis 1) that the taps read without offsets: (9, h, w)."""
    size_hw = offsets.shape[-2:]
    tap = torch.arange(KERNEL, device=offsets.device, dtype=offsets.dtype) - KERNEL // 2
    cell = torch.arange(size_hw[axis], device=offsets.device, dtype=offsets.dtype) * stride
    taps = tap.repeat_interleave(KERNEL) if axis == 0 else tap.repeat(KERNEL)
    cells = cell[:, None] if axis == 0 else cell[None, :]
    return taps[:, None, None] + cells.expand(size_hw[0], size_hw[1])
