# SPDX-License-Identifier: Apache-2.0
"""A pose loss that takes doubtful feet apart, at a low weight of their own and robustly.

Machine-made labels of toes and heels are often a shoe's length off. Other derived and pseudo
labels are not, so their distance must not become a robust one with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.base.skeletons import Skeleton
from alphapose_ros.pose.loss_config import PoseLossConfig
from alphapose_ros.pose.losses import PoseLoss

ROBUST = "cauchy"  # lets go of a label that lies far off


class FeetLoss(PoseLoss):
    """:class:`PoseLoss`, in which foot joints of label 1 count ``weight`` times and robustly.

    They have a mean of their own beside that of annotated feet.

    Raises:
        ConfigError: the skeleton has no feet; or as ``PoseLoss``.
    """

    def __init__(self, skeleton: Skeleton, config: PoseLossConfig, weight: float) -> None:
        super().__init__(skeleton, config)
        if "feet" not in skeleton.parts:
            raise ConfigError(f"feet: expected a skeleton with feet, got {skeleton.name!r}")
        parts = {**config.parts, "feet": weight}
        self._doubtful = PoseLoss(skeleton, replace(config, parts=parts, robust=ROBUST))
        self._feet = torch.zeros(len(skeleton), dtype=torch.bool)
        self._feet[skeleton.parts["feet"]] = True

    def __call__(self, logits: Tensor, points: Tensor, labels: Tensor) -> Mapping[str, Tensor]:
        """The terms of ``PoseLoss``; ``pixels`` is of all joints but the doubtful ones."""
        doubtful = (labels == 1) & self._feet.to(labels.device)
        sure = super().__call__(logits, points, labels.masked_fill(doubtful, 0))
        feet = self._doubtful(logits, points, labels.masked_fill(~doubtful, 0))
        return {name: sure[name] + feet[name] for name in sure} | {"pixels": sure["pixels"]}
