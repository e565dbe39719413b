# SPDX-License-Identifier: Apache-2.0
"""The losses of a whole-body pose network: of its heatmaps, of its coordinates, or of both.

The integral alone hardly trains the confidence, because scaling a map changes no expectation; a
small heatmap term does. Only labelled joints count. A joint known to lie outside the crop has an
empty heatmap and no coordinate.

The kinds ``sikr`` and ``integral`` take means per part, so that 110 face and hand joints do not
outvote the body. ``heatmap`` and ``combined`` are as AlphaPose has them: squared errors are a mean
over all maps of the batch, labelled or not, distances a sum over joints divided by the batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from alphapose_ros.base.affine import STRIDE
from alphapose_ros.base.errors import ConfigError
from alphapose_ros.base.skeletons import Skeleton
from alphapose_ros.pose.combined import REGRESSED
from alphapose_ros.pose.distill import SoftTargets
from alphapose_ros.pose.heatmap import encode_heatmaps
from alphapose_ros.pose.loss_config import FINE, PoseLossConfig
from alphapose_ros.pose.sikr import integral, normalise, symmetric_integral


@dataclass(frozen=True)
class _Joints:
    """The M joints of a batch that count."""

    maps: Tensor  # (M, H, W) logits
    where: Tensor  # (M, 2) cells
    joint: Tensor  # (M,) number in the skeleton
    weight: Tensor  # (M,) of both terms
    certainty: Tensor  # (M,) of the coordinate alone, and height of the Gaussian
    pseudo: Tensor  # (M,) bool: label 1

    def __getitem__(self, chosen: Tensor) -> _Joints:
        return _Joints(
            self.maps[chosen],
            self.where[chosen],
            self.joint[chosen],
            self.weight[chosen],
            self.certainty[chosen],
            self.pseudo[chosen],
        )

    @property
    def inside(self) -> Tensor:
        """(M,) bool: the joint lies on its map, the border included."""
        limits = self.where.new_tensor([self.maps.shape[-1] - 1, self.maps.shape[-2] - 1])
        return ((self.where >= 0) & (self.where <= limits)).all(-1)


class PoseLoss:
    """The weighted sum of both terms over the labelled joints of a batch.

    Raises:
        ConfigError: a weight for a part that the skeleton lacks, or ``combined`` for one without
            regressed parts.
    """

    def __init__(self, skeleton: Skeleton, config: PoseLossConfig) -> None:
        self.config = config
        self._part = torch.zeros(len(skeleton), dtype=torch.long)
        self._weights = torch.ones(len(skeleton.parts))
        self._sigmas = torch.full((len(skeleton.parts),), config.sigma)
        if unknown := set(config.parts) - set(skeleton.parts):
            raise ConfigError(
                f"parts: expected some of {', '.join(skeleton.parts)}, got {sorted(unknown)}"
            )
        for number, (name, joints) in enumerate(skeleton.parts.items()):
            self._part[joints] = number
            fine = name in FINE
            self._weights[number] = config.parts.get(name, config.fine if fine else 1.0)
            self._sigmas[number] = config.fine_sigma if fine else config.sigma
        self._original = config.kind in ("heatmap", "combined")
        # Under AlphaPose's kinds joints before this one have maps alone, the others coordinates.
        self._first = len(skeleton)
        if config.kind == "combined":
            if len(skeleton) not in REGRESSED:
                raise ConfigError(
                    f"kind combined: expected 68, 133 or 136 joints, got {len(skeleton)}"
                )
            self._first -= REGRESSED[len(skeleton)]

    def __call__(self, logits: Tensor, points: Tensor, labels: Tensor) -> Mapping[str, Tensor]:
        """Terms of logits (B, K, H, W), points (B, K, 2) in input px and labels (B, K).

        Returns:
            ``loss`` (to be minimised), ``heatmap``, ``sikr``, and ``pixels``, the mean L1
            distance in heatmap pixels; all 0 where no joint is labelled.
        """
        rows, joint = labels.nonzero(as_tuple=True)
        maps = _wide(logits[rows, joint])
        pseudo = labels[rows, joint] == 1
        weight = torch.where(pseudo, self.config.pseudo, 1.0).to(maps)
        where = points[rows, joint] / STRIDE
        ones = torch.ones_like(weight)
        return self._terms(_Joints(maps, where, joint, weight, ones, pseudo), len(logits))

    def distill(self, logits: Tensor, teacher: SoftTargets) -> Mapping[str, Tensor]:
        """The same terms against what a teacher says, to be added with a weight of its own.

        Raises:
            InputError: the teacher's joints are of another shape than the logits.
        """
        teacher.check(logits)
        rows, joint = teacher.weights.nonzero(as_tuple=True)
        maps = _wide(logits[rows, joint])
        joints = _Joints(
            maps,
            teacher.points[rows, joint] / STRIDE,
            joint,
            teacher.weights[rows, joint].to(maps),
            teacher.scores[rows, joint].to(maps),
            torch.zeros_like(joint, dtype=torch.bool),
        )
        return self._terms(joints, len(logits))

    def _terms(self, joints: _Joints, batch: int) -> Mapping[str, Tensor]:
        # Mixed precision would sum coordinates in 8 bits: an error of a fifth of a cell.
        with torch.autocast(joints.maps.device.type, enabled=False):
            drawn, placed, peaked = joints, joints[joints.inside], joints[joints.joint < 0]
            if self._original:
                drawn = joints[joints.joint < self._first]
                peaked = placed[placed.joint < self._first]
                placed = placed[placed.joint >= self._first]
            heatmap = self._reduce(self._map_errors(drawn), drawn, batch)
            mean, distances = self._distances(placed)
            sikr = self._reduce(distances * placed.certainty, placed, batch)
            loss = self.config.heatmap * heatmap
            if self.config.sikr:  # while maps alone warm up, divide_sum may have no coordinate
                loss = loss + self.config.sikr * sikr
            found = torch.cat([mean.detach(), _peaks(peaked.maps).to(mean)])
            where = torch.cat([placed.where, peaked.where])
            pixels = (found - where).abs().sum() / max(1, len(found))
        return {"loss": loss, "heatmap": heatmap, "sikr": sikr, "pixels": pixels}

    def _distances(self, joints: _Joints) -> tuple[Tensor, Tensor]:
        """Expectations (M, 2) in cells, and distances (M,) in widths and heights of the map."""
        config = self.config
        probability, _ = normalise(joints.maps, config.norm, tail_cut=config.tail_cut)
        if config.kind == "integral":
            mean = integral(probability)
        else:
            mean = symmetric_integral(probability, config.amplitude)
        error = (mean - joints.where).abs()
        if config.robust != "l1":
            soft = _robust(error, config.robust, config.robust_px / STRIDE)
            error = torch.where(joints.pseudo[:, None], soft, error)
        size = error.new_tensor([joints.maps.shape[-1], joints.maps.shape[-2]])
        return mean, (error / size).sum(-1)

    def _map_errors(self, joints: _Joints) -> Tensor:
        """Error per map (M,): AlphaPose's half mean square, or a sum in units of 50 pixels."""
        maps = joints.maps
        if self._original:
            target, drawn = self._original_targets(joints)
            share = 0.5 / (max(1, self._first) * maps.shape[-1] * maps.shape[-2])
            return ((maps - target) ** 2).sum((-2, -1)) * drawn * share
        target = self._gaussians(joints)
        if self.config.norm == "divide_sum":  # maps are a confidence, not its logits
            return ((maps - target) ** 2).sum((-2, -1)) / 50
        losses = functional.binary_cross_entropy_with_logits(maps, target, reduction="none")
        return losses.sum((-2, -1)) / 50

    def _gaussians(self, joints: _Joints) -> Tensor:
        """Targets (M, H, W) at the exact places, empty for joints outside the crop."""
        maps, where = joints.maps, joints.where
        sigma = self._sigmas.to(maps)[self._parts_of(joints)][:, None]
        xs = torch.arange(maps.shape[-1], device=maps.device) - where[:, :1]  # (M, W)
        ys = torch.arange(maps.shape[-2], device=maps.device) - where[:, 1:]  # (M, H)
        across = torch.exp(-0.5 * (xs / sigma) ** 2) * (joints.certainty * joints.inside)[:, None]
        down = torch.exp(-0.5 * (ys / sigma) ** 2)
        return down[:, :, None] * across[:, None, :]

    def _original_targets(self, joints: _Joints) -> tuple[Tensor, Tensor]:
        """Targets (M, H, W) around the nearest cell, and 0 (M,) where none touches the map."""
        ones = torch.ones_like(joints.weight)
        size_hw = joints.maps.shape[-2], joints.maps.shape[-1]
        target, drawn = encode_heatmaps(joints.where, ones, size_hw, sigma=self.config.sigma)
        return target * joints.certainty[:, None, None], drawn

    def _parts_of(self, joints: _Joints) -> Tensor:
        return self._part.to(joints.joint.device)[joints.joint]

    def _reduce(self, values: Tensor, joints: _Joints, batch: int) -> Tensor:
        """Weighted sum of (M,), over the batch as AlphaPose, or over each part's joints.

        A part without a labelled joint adds nothing, and a weight lowers what its joints add.
        """
        part = self._parts_of(joints)
        weighted = values * joints.weight * self._weights.to(values)[part]
        if self._original:
            return weighted.sum() / max(1, batch)
        count = torch.bincount(part, minlength=len(self._weights)).to(values)
        return (weighted / count[part]).sum()


def _wide(maps: Tensor) -> Tensor:
    """Half precision becomes single: sums over a map need it."""
    return maps if maps.dtype == torch.float64 else maps.float()


def _peaks(maps: Tensor) -> Tensor:
    """(M, H, W) -> x, y (M, 2) of the highest cells."""
    width = maps.shape[-1]
    cell = maps.detach().flatten(1).argmax(1)
    return torch.stack([cell % width, cell.div(width, rounding_mode="floor")], -1)


def _robust(error: Tensor, kind: str, scale: float) -> Tensor:
    """Distances of slope at most 1 that are quadratic below ``scale``."""
    if kind == "huber":
        return functional.huber_loss(error, 0 * error, reduction="none", delta=scale) / scale
    if kind == "charbonnier":
        return (error**2 + scale**2).sqrt() - scale
    return scale * torch.log1p((error / scale) ** 2)
