# SPDX-License-Identifier: Apache-2.0
"""A teacher of the same joints: it sees a crop as it was, the student what was made of it."""

from __future__ import annotations

import torch
from torch import Tensor

from alphapose_ros.base.affine import STRIDE
from alphapose_ros.base.errors import ConfigError
from alphapose_ros.base.skeletons import Skeleton
from alphapose_ros.pose.config import PoseConfig
from alphapose_ros.pose.distill import SoftTargets
from alphapose_ros.pose.factory import decoded_network, untaught_joints
from alphapose_ros.registry.store import resolve


class Teacher:
    """Crops (B, h, w, 3) of 0..255 -> what its maps say of their joints.

    ``untaught`` are the joints of which it says nothing.

    Args:
        weights: file of a network of this package or of AlphaPose, or name of a known model.
        skeleton: the student's.
        device: where it runs.

    Raises:
        WeightsError: no usable weights.
        ConfigError: a network of other joints.
    """

    def __init__(self, weights: str, skeleton: Skeleton, device: torch.device) -> None:
        path = resolve(weights)
        decoded, info, own = decoded_network(path, PoseConfig(weights=str(path)))
        if own.keypoint_names != skeleton.keypoint_names:
            raise ConfigError(
                f"distill: expected a teacher of {skeleton.name}, {path} knows {own.name}"
            )
        self.untaught = set(untaught_joints(info, own))
        self._network = decoded.to(device).requires_grad_(False)

    @torch.no_grad()
    def __call__(self, crops: Tensor, least_score: float) -> SoftTargets:
        """Points and scores as the teacher decodes; joints below ``least_score`` weigh 0."""
        points, scores = self._network(crops.permute(0, 3, 1, 2).float())[:2]
        return SoftTargets.from_points(points * STRIDE, scores, scores >= least_score)
