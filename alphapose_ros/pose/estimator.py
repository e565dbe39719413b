# SPDX-License-Identifier: Apache-2.0
"""Boxes of all cameras in, whole-body poses of all cameras out, in as few network calls as fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from alphapose_ros.base.custom_skeleton import is_file, load_skeleton, skeleton_named
from alphapose_ros.base.errors import ConfigError
from alphapose_ros.base.keypoints import check_mapped
from alphapose_ros.base.records import Detections, Poses
from alphapose_ros.base.skeletons import SKELETONS, Skeleton
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.pose.crops import CropSpec
from alphapose_ros.runtime.batching import BatchLimit

Network = Callable[[Tensor], tuple[Tensor, ...]]


class Estimator(Protocol):
    """What every pose estimator is: from images and boxes to poses, per image."""

    finds_people: bool  # itself: the boxes are not looked at

    @property
    def skeleton(self) -> Skeleton:
        """Of the poses."""
        ...

    def __call__(self, batch: ImageBatch, detections: Sequence[Detections]) -> list[Poses]:
        """Poses per image."""
        ...


class PoseEstimator:
    """Top-down pose estimation (AlphaPose, section 3).

    Args:
        network: crops (N, 3, h, w) RGB 0..255 -> keypoints (N, K, 2) in the units of ``crop`` and
            scores (N, K), cut to [0, 1] here, and where it gives them spreads (N, K) in the same
            units; normalisation and decoding included (``models.export.DecodedPose``, or what
            runs its graph).
        skeleton: of the K joints.
        crop: size and place of the crops; the default is AlphaPose's.
        max_batch: crops per network call; fewer where the memory ends, see :class:`BatchLimit`.
        output: skeleton of the poses that come out, matched by name; None: ``skeleton``.
        spread: whether the network gives spreads.

    Raises:
        ConfigError: ``output`` shares no joint with ``skeleton``.
    """

    finds_people = False

    def __init__(
        self,
        network: Network,
        skeleton: Skeleton,
        *,
        crop: CropSpec | None = None,
        max_batch: int = 64,
        output: Skeleton | None = None,
        spread: bool = False,
    ) -> None:
        self._columns = 4 if spread else 3  # x, y, score, spread
        self.network = network.eval() if isinstance(network, nn.Module) else network
        self.crop = crop or CropSpec()
        self.limit = BatchLimit(max_batch, "pose")
        self._own, self.skeleton = skeleton, check_mapped(skeleton, output or skeleton)

    def __call__(self, batch: ImageBatch, detections: Sequence[Detections]) -> list[Poses]:
        """Poses of every detection, per image and in the detections' order."""
        if not detections:
            return []
        counts = [len(d) for d in detections]
        boxes = np.concatenate([np.zeros((0, 4), np.float32), *(d.boxes for d in detections)])
        crops = self.crop.boxes(boxes)
        rows = np.repeat(np.arange(len(detections)), counts)
        joints = self._estimate(batch, crops, rows)
        scores = joints[..., 2]
        everybody = Poses(
            self.crop.to_image(joints[..., :2], crops),
            scores,
            boxes,
            np.concatenate([np.zeros(0, np.float32), *(d.scores for d in detections)]),
            np.concatenate([np.zeros(0, np.int64), *(np.arange(n) for n in counts)]),
            self._own,
            self._spreads(joints, crops),
        )
        stops = np.cumsum([0, *counts])
        return [everybody[a:b].mapped(self.skeleton) for a, b in pairwise(stops)]

    def _spreads(
        self, joints: NDArray[np.float32], crops: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """(N, K) px, NaN where nothing is known of a joint."""
        if self._columns == 3:
            return np.full(joints.shape[:2], np.nan, np.float32)
        spreads = self.crop.lengths(joints[..., 3], crops)
        return np.where(joints[..., 2] > 0, spreads, np.float32(np.nan))

    def _estimate(
        self, batch: ImageBatch, crops: NDArray[np.float32], rows: NDArray[np.intp]
    ) -> NDArray[np.float32]:
        """(N, K, 3 or 4): x, y, score and spread, one transfer back per part."""

        def forward(part: slice) -> NDArray[np.float32]:
            images = batch.crops(
                crops[part], rows[part], self.crop.input_hw, corners=self.crop.corners
            )
            return self._forward(images)

        nobody = np.zeros((0, len(self._own), self._columns), np.float32)
        return np.concatenate([nobody, *self.limit.run(len(crops), forward)])

    @torch.inference_mode()
    def _forward(self, images: Tensor) -> NDArray[np.float32]:
        keypoints, scores, *spreads = self.network(images)
        scores = scores.clamp(0, 1)  # nothing bounds the peak of a regressed map
        columns = [keypoints, scores[..., None], *(spread[..., None] for spread in spreads)]
        return torch.cat(columns, -1).float().cpu().numpy()


def described(name: str, told: Skeleton | None, joints: int) -> Skeleton | None:
    """A network's own joints, by its file and by the YAML file that ``pose.skeleton`` may name.

    Where both speak of one skeleton, limbs, parts and sigmas are those of the YAML file.

    Args:
        name: as configured, see :func:`output_skeleton`.
        told: what the network's file says; None: nothing.
        joints: how many the network has.

    Returns:
        None where neither knows: a YAML file of as many joints describes any network.

    Raises:
        ConfigError: the YAML file is unusable, or gives different joints the name of ``told``.
    """
    if not is_file(name):
        return told
    wanted = load_skeleton(Path(name))
    if told is None:
        return wanted if len(wanted) == joints else None
    return check_mapped(told, wanted) if wanted.name == told.name else told


def output_skeleton(name: str, own: Skeleton) -> Skeleton:
    """The joints that ``pose.skeleton`` asks a network for whose own ones are ``own``.

    Raises:
        ConfigError: neither empty, nor the network's own, nor a known set, nor a YAML file.
    """
    if name in ("", own.name):
        return own
    if name not in SKELETONS and not is_file(name):
        raise ConfigError(
            f"pose.skeleton: expected {own.name!r}, which the network has, one of "
            f"{', '.join(SKELETONS)}, or a YAML file; got {name!r}"
        )
    wanted = skeleton_named(name)
    return own if wanted.name == own.name else wanted
