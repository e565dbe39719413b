# SPDX-License-Identifier: Apache-2.0
"""The losses that an ablation compares, each with the decoder that reads what it trained.

The questions are the paper's: which gradient, integral or heatmap, one-step or two-step
normalisation. Everything else of a run stays equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from torch import nn

from alphapose_ros.pose.combined import CombinedDecoder
from alphapose_ros.pose.heatmap import HeatmapDecoder
from alphapose_ros.pose.loss_config import PoseLossConfig
from alphapose_ros.pose.sikr import EIGHTH, SikrDecoder

LOSSES: Mapping[str, PoseLossConfig] = MappingProxyType(
    {
        "symmetric": PoseLossConfig(),
        "symmetric_eighth": PoseLossConfig(amplitude=EIGHTH),
        "plain": PoseLossConfig(kind="integral"),
        "coordinates_only": PoseLossConfig(heatmap=0.0),  # the paper's: no loss of the maps
        "softmax": PoseLossConfig(norm="softmax"),
        "softmax_plain": PoseLossConfig(kind="integral", norm="softmax"),
        "divide_sum": PoseLossConfig(norm="divide_sum"),
        "heatmap": PoseLossConfig.original("heatmap"),
        "combined": PoseLossConfig.original("combined"),
    }
)


def warm_up(config: PoseLossConfig) -> PoseLossConfig:
    """The same loss without coordinates: an expectation over an untrained map pulls nowhere.

    A loss of coordinates alone gets the usual heatmap term for that time.
    """
    if config.kind in ("heatmap", "combined"):
        return config
    return replace(config, sikr=0.0, heatmap=config.heatmap or PoseLossConfig.heatmap)


def decoder_of(config: PoseLossConfig, num_joints: int, window: float = 0.0) -> nn.Module:
    """Maps (N, K, H, W) -> points (N, K, 2) in map units and scores (N, K), as ``config`` trains.

    Args:
        config: of the loss.
        num_joints: K.
        window: see ``sikr.normalise``; for two-step normalisation alone.

    Raises:
        ConfigError: ``combined`` for a number of joints that has no regressed parts.
    """
    if config.kind == "heatmap":
        return HeatmapDecoder()
    if config.kind == "combined":
        decoder = CombinedDecoder(num_joints, config.tail_cut, window)
        decoder.sikr = SikrDecoder(config.norm, config.tail_cut, window)
        return decoder
    return SikrDecoder(config.norm, config.tail_cut, window)
