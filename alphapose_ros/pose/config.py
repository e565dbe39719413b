# SPDX-License-Identifier: Apache-2.0
"""Parameters of the pose estimator. No network is imported here: launch files read them too."""

from __future__ import annotations

from dataclasses import dataclass

from alphapose_ros.base.errors import ConfigError


@dataclass(frozen=True)
class PoseConfig:
    """Which pose network, and how its maps become joints.

    Attributes:
        weights: file of a light network's weights; empty: the bundled one.
        tail_cut: confidences below this share of a map's peak are dropped before SIKR's sum; 0
            is AlphaPose's own decoding.
        window: standard deviation, in map cells of 4 px, of a Gaussian around the peak that
            SIKR's sum is taken in; 0 is AlphaPose's own decoding.
        flip_test: run each crop and its mirror image and average; twice the time.
        max_batch: crops per network call; on a CPU never more than 4, which is fastest there.
    """

    weights: str = ""
    tail_cut: float = 0.3
    window: float = 6.0
    flip_test: bool = False
    max_batch: int = 64

    def __post_init__(self) -> None:
        if not 0 <= self.tail_cut < 1:
            raise ConfigError(f"pose.tail_cut: expected a number in [0, 1), got {self.tail_cut}")
        if not self.window >= 0:
            raise ConfigError(f"pose.window: expected 0 or more cells, got {self.window}")
        if self.max_batch < 1:
            raise ConfigError(f"pose.max_batch: expected at least 1, got {self.max_batch}")
