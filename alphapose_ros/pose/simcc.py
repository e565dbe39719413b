# SPDX-License-Identifier: Apache-2.0
"""SimCC: a joint is two classifications, of its column and of its row (Li et al., ECCV 2022).

RTMPose, RTMW and DWPose speak it, with two bins per input pixel.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def decode_simcc(columns: Tensor, rows: Tensor, split: float) -> tuple[Tensor, Tensor]:
    """The highest bin of each axis.

    Args:
        columns: (N, K, W * split) responses of the columns.
        rows: (N, K, H * split) responses of the rows.
        split: bins per input pixel.

    Returns:
        Points (N, K, 2) in input px, and scores (N, K): the lower of both maxima, as in MMPose,
        cut to [0, 1], because the responses are not bounded by their training.
    """
    best_x, x = columns.max(-1)
    best_y, y = rows.max(-1)
    points = torch.stack([x, y], -1).to(columns.dtype) / split
    return points, torch.minimum(best_x, best_y).clamp(0, 1)


class SimccDecoder(nn.Module):
    """:func:`decode_simcc` as a module."""

    def __init__(self, split: float = 2.0) -> None:
        super().__init__()
        self.split = split

    def forward(self, columns: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Points (N, K, 2) in input px and scores (N, K)."""
        return decode_simcc(columns.float(), rows.float(), self.split)
