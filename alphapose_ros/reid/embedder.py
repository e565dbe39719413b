# SPDX-License-Identifier: Apache-2.0
"""Poses of all cameras in, their appearance out, in as few network calls as fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alphapose_ros.base import affine
from alphapose_ros.base.boxes import box_iou
from alphapose_ros.base.records import Appearance, Poses
from alphapose_ros.base.skeletons import Skeleton
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.reid.config import ReidConfig
from alphapose_ros.reid.render import GuidanceRenderer, with_others
from alphapose_ros.runtime.batching import BatchLimit

FloatArray = NDArray[np.float32]
BoolArray = NDArray[np.bool_]
Network = Callable[[Tensor], tuple[Tensor, ...]]
Guide = Callable[[Tensor, Tensor], Tensor]  # crops (N, 3, H, W) in 0..255, guidance -> its input
_NOBODY = 0.05  # of an embedding's quality where not a single body joint is seen


@dataclass(frozen=True)
class ReidNetwork:
    """What runs a re-identification network, and what it takes.

    Attributes:
        run: crops -> a tuple of unit embeddings (N, D).
        input_hw: of the crops. dim: D.
        guide: how it is told of the poses: :func:`~alphapose_ros.models.reid.packed` or
            :func:`~alphapose_ros.reid.masking.masked`; None: not at all.
    """

    run: Network
    input_hw: tuple[int, int]
    dim: int
    guide: Guide | None


class Embedder:
    """``embedder(batch, poses)`` -> one Appearance for each image, rows as the poses'.

    Args:
        network: see :class:`ReidNetwork`.
        config: crops and what quality means.
    """

    def __init__(self, network: ReidNetwork, config: ReidConfig) -> None:
        self.network, self.config = network, config
        self.limit = BatchLimit(config.max_batch, "reid")
        self._renderers: dict[str, GuidanceRenderer] = {}

    def reconfigure(self, config: ReidConfig) -> None:
        """Take over what quality means; the network and its crops stay."""
        self.config = config

    def __call__(
        self, batch: ImageBatch, poses: Sequence[Poses], wanted: Sequence[BoolArray] | None = None
    ) -> list[Appearance]:
        """The people of every image; images may have nobody.

        Args:
            batch: the images.
            poses: per image.
            wanted: per image (N,) whom to embed, the others get quality 0; None: everybody.
        """
        if not poses:
            return []
        if wanted is None:
            wanted = [np.ones(len(each), bool) for each in poses]
        counts = [int(each.sum()) for each in wanted]
        stops = np.cumsum(counts)[:-1]
        chosen = [each.boxes[who] for each, who in zip(poses, wanted, strict=True)]
        crops = affine.crop_boxes(
            np.concatenate([np.zeros((0, 4), np.float32), *chosen]),
            self.network.input_hw,
            self.config.padding,
        )
        rows = np.repeat(np.arange(len(poses)), counts)
        maps = None
        if self.network.guide and len(crops):
            parts = zip(poses, wanted, np.split(crops, stops), strict=True)
            maps = torch.cat([self._guidance(each, who, part) for each, who, part in parts])
        embeddings = self._run(
            len(crops),
            lambda part: batch.crops(crops[part], rows[part], self.network.input_hw),
            maps,
        )
        found = zip(np.split(embeddings, stops), poses, wanted, strict=True)
        return [self._appearance(part, each, who) for part, each, who in found]

    def embed_crops(
        self,
        pixels: Tensor | NDArray[np.uint8],
        points: FloatArray,
        scores: FloatArray,
        skeleton: Skeleton,
    ) -> FloatArray:
        """Unit embeddings (N, D) of crops that exist already.

        Args:
            pixels: (N, 3, h, w) RGB in 0..255 of any size.
            points: joints (N, K, 2) in these pixels.
            scores: (N, K).
            skeleton: of the joints.
        """
        given = torch.as_tensor(pixels).float()
        height, width = self.network.input_hw
        factor = np.array([width / given.shape[3], height / given.shape[2]], np.float32)
        if tuple(given.shape[2:]) != (height, width) and len(given):
            given = torch.nn.functional.interpolate(
                given, (height, width), mode="bilinear", antialias=True, align_corners=False
            )
        maps = None
        if self.network.guide:
            renderer = self._renderer(skeleton)
            own = renderer(torch.from_numpy(points * factor), torch.from_numpy(scores))
            maps = with_others(own, torch.zeros_like(own[:, 0]))
        return self._run(len(given), lambda part: given[part], maps)

    def quality(self, poses: Poses) -> FloatArray:
        """(N,) in 0..1: the share of body joints seen, times how tall the person is."""
        body = poses.scores[:, poses.skeleton.parts.get("body", slice(None))]
        seen = (body >= self.config.joint_score).mean(1) if body.shape[1] else np.zeros(len(poses))
        height = poses.boxes[:, 3] - poses.boxes[:, 1]
        size = np.clip(height / self.config.full_height, 0, 1)
        return (np.maximum(seen, _NOBODY) * size).astype(np.float32)

    def _run(
        self, count: int, crops_of: Callable[[slice], Tensor], guidance: Tensor | None
    ) -> FloatArray:
        @torch.inference_mode()
        def forward(part: slice) -> FloatArray:
            crops = crops_of(part)
            if self.network.guide and guidance is not None:
                crops = self.network.guide(crops, guidance[part].to(crops.device))
            (embeddings,) = self.network.run(crops)
            return embeddings.float().cpu().numpy()

        nobody = np.zeros((0, self.network.dim), np.float32)
        return np.concatenate([nobody, *self.limit.run(count, forward)]).astype(np.float32)

    def _appearance(self, embeddings: FloatArray, poses: Poses, who: BoolArray) -> Appearance:
        """One image's rows: unit vectors of those who were embedded, nothing of the others."""
        everybody = np.zeros((len(poses), self.network.dim), np.float32)
        everybody[who] = embeddings
        return Appearance(everybody, self.quality(poses) * who)

    def _guidance(self, poses: Poses, who: BoolArray, crops: FloatArray) -> Tensor:
        """(n, 6, h, w) of those of one image's people whose ``crops`` (n, 4) these are."""
        renderer, mine = self._renderer(poses.skeleton), poses[who]
        points = points_in_crops(mine.keypoints, crops, self.network.input_hw)
        own = renderer(torch.from_numpy(points), torch.from_numpy(mine.scores))
        return with_others(own, self._others(poses, who, crops, renderer))

    def _others(
        self, poses: Poses, who: BoolArray, crops: FloatArray, renderer: GuidanceRenderer
    ) -> Tensor:
        """(n, h, w): for each crop the highest map of the other people who reach into it."""
        out = torch.zeros((len(crops), *renderer.map_hw))
        near = box_iou(crops, poses.boxes) > 0
        near[np.arange(len(crops)), np.flatnonzero(who)] = False
        mine, theirs = np.nonzero(near)
        if len(mine) == 0:
            return out
        points = points_in_crops(poses.keypoints[theirs], crops[mine], self.network.input_hw)
        maps = renderer.silhouette(
            torch.from_numpy(points), torch.from_numpy(poses.scores[theirs])
        )
        rows = torch.from_numpy(mine)[:, None, None].expand_as(maps)
        return out.scatter_reduce(0, rows, maps, "amax")

    def _renderer(self, skeleton: Skeleton) -> GuidanceRenderer:
        if skeleton.name not in self._renderers:
            self._renderers[skeleton.name] = GuidanceRenderer(skeleton, self.network.input_hw)
        return self._renderers[skeleton.name]


def points_in_crops(
    points: FloatArray, crops: FloatArray, input_hw: tuple[int, int]
) -> FloatArray:
    """Image points (N, K, 2) -> pixels of their crops, as ``ImageBatch.crops`` cuts them."""
    scale = input_hw[1] / (crops[:, 2] - crops[:, 0])
    return ((points - crops[:, None, :2]) * scale[:, None, None]).astype(np.float32)
