# SPDX-License-Identifier: Apache-2.0
"""AlphaPose's combined models: heatmaps for body and feet, SIKR for face and hands."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.pose.heatmap import HeatmapDecoder
from alphapose_ros.pose.sikr import SikrDecoder

# Joints of the set -> those at its end that are regressed: faces and hands, or hands alone.
REGRESSED = {136: 110, 133: 110, 68: 42}


class CombinedDecoder(nn.Module):
    """Maps (N, K, H, W) -> points (N, K, 2) in map units and scores (N, K).

    Args:
        num_joints: K; 136, 133 or 68.
        tail_cut, window: of the regressed joints, see :func:`pose.sikr.normalise`.
        supervised: (K,) bool; joints that training never taught get score 0. None: all taught.

    Raises:
        ConfigError: there are no combined models of another number of joints.
    """

    def __init__(
        self,
        num_joints: int,
        tail_cut: float = 0.0,
        window: float = 0.0,
        supervised: Tensor | None = None,
    ) -> None:
        super().__init__()
        if num_joints not in REGRESSED:
            raise ConfigError(
                f"combined decoding: expected 68, 133 or 136 joints, got {num_joints}"
            )
        self.first = first = num_joints - REGRESSED[num_joints]
        near, far = (
            (None, None) if supervised is None else (supervised[:first], supervised[first:])
        )
        self.heatmap = HeatmapDecoder(near)
        self.sikr = SikrDecoder("sigmoid", tail_cut, window, far)

    def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
        """Each part by its own decoder, in the order of the joints."""
        # Not a slice, which OpenVINO takes away before the graph's gathering and then refuses.
        first = maps.index_select(1, torch.arange(self.first, device=maps.device))
        near, near_scores = self.heatmap(first)
        far, far_scores = self.sikr(maps[:, self.first :])
        return torch.cat([near, far], 1), torch.cat([near_scores, far_scores], 1)
