# SPDX-License-Identifier: Apache-2.0
"""Heatmaps: a Gaussian per joint, written and read in one place.

Points are x, y in map index units; index k stands for input pixel 4k. The original's roundings
are kept, because its networks were trained and measured with them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

SIGMA = 2.0
WINDOW_SIGMAS = 3  # the Gaussian is cut to +-3 sigma, a 13x13 window at sigma 2
QUARTER = 0.25  # step towards the higher neighbour: undoes half of the rounding to whole cells


def encode_heatmaps(
    points: Tensor, weights: Tensor, map_hw: tuple[int, int], *, sigma: float = SIGMA
) -> tuple[Tensor, Tensor]:
    """Targets of peak 1 around the nearest cell of each point.

    Args:
        points: (..., K, 2) in map units (input pixels / 4).
        weights: (..., K); a joint is drawn if its weight is above one half.
        map_hw: size of the maps.
        sigma: of the Gaussian, in cells.

    Returns:
        Maps (..., K, H, W), and the weights with 0 for joints whose window misses the map.
    """
    height, width = map_hw
    centers = (points + 0.5).trunc()  # towards zero, also for negative coordinates
    reach = int(WINDOW_SIGMAS * sigma)
    size = points.new_tensor([width, height])
    inside = ((centers >= -reach) & (centers < size + reach)).all(-1)
    kept = weights * inside
    horizontal = _gaussian(centers[..., 0], width, sigma, reach)
    vertical = _gaussian(centers[..., 1], height, sigma, reach)
    maps = vertical[..., :, None] * horizontal[..., None, :]
    return maps.masked_fill((kept <= 0.5)[..., None, None], 0), kept


def decode_heatmaps(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Cell of the maximum, moved a quarter of a cell towards the higher neighbour on each axis.

    The first maximum in row-major order wins. A map without a positive value decodes to (0, 0).
    Columns and rows 0, 1 and the last are not refined.

    Args:
        maps: (N, K, H, W), raw.

    Returns:
        Points (N, K, 2), and the raw maxima (N, K), which may be below 0 or above 1.
    """
    height, width = maps.shape[-2:]
    # Rows first, then the columns of a row: no flattening, which no ONNX graph does for N = 0.
    row_maxima = maps.amax(3)
    score = row_maxima.amax(2, keepdim=True)  # (N, K, 1)
    found = score > 0
    y = row_maxima.argmax(2, keepdim=True) * found
    rows = torch.cat([(y - 1).clamp(min=0), y, (y + 1).clamp(max=height - 1)], 2)
    above, at, below = maps.gather(2, rows[..., None].expand(-1, -1, -1, width)).unbind(2)
    x = at.argmax(2, keepdim=True) * found
    right, left = at.gather(2, (x + 1).clamp(max=width - 1)), at.gather(2, (x - 1).clamp(min=0))
    step_x = (right - left).sign()
    step_y = (below.gather(2, x) - above.gather(2, x)).sign()
    refined = (x > 1) & (x < width - 1) & (y > 1) & (y < height - 1)
    steps = torch.cat([step_x, step_y], 2) * refined * QUARTER
    return torch.cat([x, y], 2).to(maps.dtype) + steps, score[..., 0]


class HeatmapDecoder(nn.Module):
    """:func:`decode_heatmaps` as a module, so that it becomes part of an exported graph.

    Args:
        supervised: (K,) bool; joints that training never taught get score 0. None: all taught.
    """

    supervised: Tensor | None

    def __init__(self, supervised: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("supervised", supervised, persistent=False)

    def forward(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """(N, K, H, W) -> points (N, K, 2) in map units and raw scores (N, K)."""
        points, score = decode_heatmaps(logits)
        if self.supervised is not None:
            score = score * self.supervised.to(score.dtype)
        return points, score


def _gaussian(centers: Tensor, length: int, sigma: float, reach: int) -> Tensor:
    """(...,) -> (..., length): exp(-d² / 2 sigma²), cut to ``reach`` cells on both sides."""
    cells = torch.arange(length, device=centers.device, dtype=centers.dtype)
    distance = cells - centers[..., None]
    return torch.exp(-(distance**2) / (2 * sigma**2)) * (distance.abs() <= reach)
