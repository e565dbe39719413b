# SPDX-License-Identifier: Apache-2.0
"""Parameters of the pose estimator. No network is imported here: launch files read them too."""

from __future__ import annotations

from dataclasses import dataclass

from alphapose_ros.base.settings import check_settings, setting


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

    weights: str = setting("", live=False)
    tail_cut: float = setting(0.3, low=0, high=0.99, live=False)
    window: float = setting(6.0, low=0, live=False)
    flip_test: bool = setting(False, live=False)
    max_batch: int = setting(64, low=1, live=False)

    def __post_init__(self) -> None:
        check_settings(self, "pose")
