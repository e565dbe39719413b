# SPDX-License-Identifier: Apache-2.0
"""Sub-cell decoding of heatmaps by a Newton step on the logarithm of the smoothed map.

Distribution-aware coordinates (DARK, Zhang et al., CVPR 2020): around its peak the map is taken
for a Gaussian, whose logarithm is a parabola. ViTPose and HRNet-DARK are decoded so.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

KERNEL = 11  # of the smoothing, for Gaussians of 2 cells as maps of 64x48 are trained with
_LOWEST, _HIGHEST = 1e-3, 50.0  # before the logarithm, as in MMPose


def decode_dark(maps: Tensor, kernel: int = KERNEL) -> tuple[Tensor, Tensor]:
    """Maps (N, K, H, W) -> points (N, K, 2) in cells, and the raw maxima (N, K).

    A peak without curvature, as on an empty map, stays at its cell; no step leaves it by more
    than a cell.
    """
    width = maps.shape[3]
    score, place = maps.flatten(2).max(-1)
    x, y = place % width, torch.div(place, width, rounding_mode="floor")
    smooth = _smoothed(maps, kernel).clamp(_LOWEST, _HIGHEST).log()
    padded = functional.pad(smooth, (1, 1, 1, 1), mode="replicate")
    wide = width + 2
    flat = padded.flatten(2)

    def at(dx: int, dy: int) -> Tensor:
        index = (y + 1 + dy) * wide + x + 1 + dx
        return flat.gather(2, index[..., None])[..., 0]

    middle = at(0, 0)
    slope_x, slope_y = (at(1, 0) - at(-1, 0)) / 2, (at(0, 1) - at(0, -1)) / 2
    xx = at(1, 0) - 2 * middle + at(-1, 0)
    yy = at(0, 1) - 2 * middle + at(0, -1)
    xy = (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1)) / 4
    determinant = xx * yy - xy**2
    peaked = (determinant > torch.finfo(maps.dtype).eps) & (xx < 0)
    safe = determinant.where(peaked, torch.ones_like(determinant))
    step = torch.stack([xy * slope_y - yy * slope_x, xy * slope_x - xx * slope_y], -1)
    step = (step / safe[..., None]).clamp(-1, 1) * peaked[..., None]
    return torch.stack([x, y], -1).to(maps.dtype) + step, score


def _smoothed(maps: Tensor, kernel: int) -> Tensor:
    """Gaussian blur that keeps the peaks' height; deviation by the kernel's size, as OpenCV's."""
    deviation = 0.3 * ((kernel - 1) * 0.5 - 1) + 0.8
    cells = torch.arange(kernel, device=maps.device, dtype=maps.dtype) - kernel // 2
    weights = torch.exp(-(cells**2) / (2 * deviation**2))
    weights = weights / weights.sum()
    flat = maps.flatten(0, 1)[:, None]
    across = functional.conv2d(flat, weights.view(1, 1, 1, -1), padding=(0, kernel // 2))
    both = functional.conv2d(across, weights.view(1, 1, -1, 1), padding=(kernel // 2, 0))
    blurred = both.view(maps.shape)
    tiny = torch.finfo(maps.dtype).tiny
    return blurred * (maps.amax((2, 3)) / blurred.amax((2, 3)).clamp(min=tiny))[..., None, None]
