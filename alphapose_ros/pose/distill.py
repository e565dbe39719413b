# SPDX-License-Identifier: Apache-2.0
"""What a teacher says of the joints of a batch: soft targets for ``PoseLoss.distill``."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from alphapose_ros.base.errors import InputError


@dataclass(frozen=True)
class SoftTargets:
    """A teacher's answers for B crops of K joints; they carry no gradient.

    Attributes:
        points: (B, K, 2) in input px.
        scores: (B, K) in [0, 1]: weight of the coordinate and height of the heatmap, so that a
            student becomes unsure where its teacher is.
        weights: (B, K), 0 for joints that the teacher does not teach.
    """

    points: Tensor
    scores: Tensor
    weights: Tensor

    @classmethod
    def from_points(
        cls, points: Tensor, scores: Tensor, mask: Tensor | None = None
    ) -> SoftTargets:
        """Targets of decoded points (B, K, 2) in input px, scores (B, K) and a mask (B, K).

        Scores are cut to [0, 1], because those of heatmap networks leave it.
        """
        weights = torch.ones_like(scores) if mask is None else mask.to(scores.dtype)
        return cls(points.detach(), scores.detach().clamp(0, 1), weights)

    def check(self, student: Tensor) -> None:
        """Whether these are targets for a student's logits (B, K, H, W).

        Raises:
            InputError: joints of another shape.
        """
        joints = student.shape[:2]
        wanted = {
            "points": (self.points, (*joints, 2)),
            "scores": (self.scores, joints),
            "weights": (self.weights, joints),
        }
        for name, (value, shape) in wanted.items():
            if value.shape != torch.Size(shape):
                raise InputError(
                    f"teacher's {name}: expected {tuple(shape)}, got {tuple(value.shape)}"
                )
