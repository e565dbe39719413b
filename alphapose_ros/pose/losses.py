# SPDX-License-Identifier: Apache-2.0
"""The loss of a whole-body pose network: heatmaps for the confidence, SIKR for the coordinates.

The integral alone hardly trains the confidence, because scaling a map changes no expectation; a
small heatmap term does. Only labelled joints count. A joint known to lie outside the crop has an
empty heatmap and no coordinate. Means are taken per part, so that 110 face and hand joints do not
outvote the body.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from alphapose_ros.base.affine import STRIDE
from alphapose_ros.base.skeletons import Skeleton
from alphapose_ros.pose.sikr import AMPLITUDE, encode, normalise, symmetric_integral


@dataclass(frozen=True)
class PoseLossConfig:
    """Weights of the loss.

    Attributes:
        heatmap, sikr: weights of the two terms.
        sigma, fine_sigma: Gaussian in heatmap pixels for body and feet, for face and hands.
        fine: weight of the face and hand parts beside the body's 1.
        amplitude: of SIKR's symmetric gradient.
        tail_cut: of the SIKR term, see ``sikr.normalise``; best what decoding will use.
    """

    heatmap: float = 1.0
    sikr: float = 4.0
    sigma: float = 2.0
    fine_sigma: float = 1.4
    fine: float = 0.4
    amplitude: float = AMPLITUDE
    tail_cut: float = 0.0


class PoseLoss:
    """The weighted sum of both terms over the labelled joints of a batch."""

    def __init__(self, skeleton: Skeleton, config: PoseLossConfig) -> None:
        self.config = config
        self._part = torch.zeros(len(skeleton), dtype=torch.long)
        self._weights = torch.ones(len(skeleton.parts))
        self._sigmas = torch.full((len(skeleton.parts),), config.sigma)
        for number, (name, joints) in enumerate(skeleton.parts.items()):
            self._part[joints] = number
            if name in ("face", "left_hand", "right_hand"):
                self._weights[number], self._sigmas[number] = config.fine, config.fine_sigma

    def __call__(self, logits: Tensor, points: Tensor, labels: Tensor) -> Mapping[str, Tensor]:
        """Terms of logits (B, K, H, W), points (B, K, 2) in input px and labels (B, K).

        Returns:
            ``loss`` (to be minimised), ``heatmap``, ``sikr``, and ``pixels``, the mean L1
            distance in heatmap pixels; all 0 where no joint is labelled.
        """
        height, width = logits.shape[-2:]
        rows, joints = labels.nonzero(as_tuple=True)
        maps, where = logits[rows, joints].float(), points[rows, joints] / STRIDE  # (M, H, W)
        part = self._part.to(logits.device)[joints]
        limits = where.new_tensor([width - 1, height - 1])
        inside = ((where >= 0) & (where <= limits)).all(-1)
        heatmap = self._heatmap(maps, where, part, inside)
        probability, _ = normalise(maps[inside], tail_cut=self.config.tail_cut)
        mean = symmetric_integral(probability, self.config.amplitude)
        size_hw = height, width
        target = encode(where[inside], size_hw)
        distance = (encode(mean, size_hw) - target).abs().sum(-1)
        heatmap_term = self._part_mean(heatmap, part)
        sikr_term = self._part_mean(distance, part[inside])
        pixels = (mean.detach() - where[inside]).abs().sum() / inside.sum().clamp(min=1)
        loss = self.config.heatmap * heatmap_term + self.config.sikr * sikr_term
        return {"loss": loss, "heatmap": heatmap_term, "sikr": sikr_term, "pixels": pixels}

    def _heatmap(self, maps: Tensor, where: Tensor, part: Tensor, inside: Tensor) -> Tensor:
        """Binary cross entropy per map (M,), summed over pixels, in units of 50 pixels."""
        sigma = self._sigmas.to(maps.device)[part][:, None]
        xs = torch.arange(maps.shape[-1], device=maps.device) - where[:, :1]  # (M, W)
        ys = torch.arange(maps.shape[-2], device=maps.device) - where[:, 1:]  # (M, H)
        across = torch.exp(-0.5 * (xs / sigma) ** 2) * inside[:, None]
        down = torch.exp(-0.5 * (ys / sigma) ** 2)
        target = down[:, :, None] * across[:, None, :]
        losses = functional.binary_cross_entropy_with_logits(maps, target, reduction="none")
        return losses.sum((-2, -1)) / 50

    def _part_mean(self, values: Tensor, part: Tensor) -> Tensor:
        """Sum over parts of weight times mean; a part without a labelled joint adds nothing."""
        total = values.new_zeros(len(self._weights)).index_add(0, part, values)
        count = values.new_zeros(len(self._weights)).index_add(0, part, torch.ones_like(values))
        return (self._weights.to(values.device) * total / count.clamp(min=1)).sum()
