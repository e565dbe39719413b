# SPDX-License-Identifier: Apache-2.0
"""Boxes of all cameras in, whole-body poses of all cameras out, in as few network calls as fit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from alphapose_ros.base import affine
from alphapose_ros.base.records import Detections, Poses
from alphapose_ros.base.skeletons import Skeleton
from alphapose_ros.imaging import ImageBatch


class PoseEstimator:
    """Top-down pose estimation (AlphaPose, section 3).

    Args:
        network: crops (N, 3, h, w) RGB 0..255 -> keypoints (N, K, 2) in map units and scores
            (N, K), normalisation and decoding included (``models.export.DecodedPose``).
        skeleton: of the K joints.
        input_hw: size of the crops.
        max_batch: crops per network call; halved for good when the device runs out of memory.
    """

    def __init__(
        self,
        network: nn.Module,
        skeleton: Skeleton,
        *,
        input_hw: tuple[int, int] = affine.INPUT_HW,
        max_batch: int = 64,
    ) -> None:
        self.network = network.eval()
        self.skeleton, self.input_hw, self.max_batch = skeleton, input_hw, max_batch

    def __call__(self, batch: ImageBatch, detections: Sequence[Detections]) -> list[Poses]:
        """Poses of every detection, per image and in the detections' order."""
        if not detections:
            return []
        counts = [len(d) for d in detections]
        boxes = np.concatenate([np.zeros((0, 4), np.float32), *(d.boxes for d in detections)])
        crops = affine.crop_boxes(boxes, self.input_hw)
        rows = np.repeat(np.arange(len(detections)), counts)
        points, scores = self._estimate(batch, crops, rows)
        map_hw = self.input_hw[0] // affine.STRIDE, self.input_hw[1] // affine.STRIDE
        keypoints = affine.map_to_image(points, crops, map_hw)
        stops = np.cumsum(counts)[:-1]
        parts = zip(detections, np.split(keypoints, stops), np.split(scores, stops), strict=True)
        return [
            Poses(k, s, d.boxes, d.scores, np.arange(len(d)), self.skeleton) for d, k, s in parts
        ]

    def _estimate(
        self, batch: ImageBatch, crops: NDArray[np.float32], rows: NDArray[np.intp]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Keypoints (N, K, 2) in map units and scores (N, K), one transfer back per part."""
        joints = len(self.skeleton)
        parts = [np.zeros((0, joints, 3), np.float32)]
        start = 0
        while start < len(crops):
            part = slice(start, start + self.max_batch)
            try:
                parts.append(self._forward(batch.crops(crops[part], rows[part], self.input_hw)))
            except torch.cuda.OutOfMemoryError:
                if self.max_batch == 1:
                    raise
                self.max_batch = self.max_batch // 2
                torch.cuda.empty_cache()
                continue
            start += self.max_batch
        joined = np.concatenate(parts)
        return joined[..., :2], joined[..., 2]

    @torch.inference_mode()
    def _forward(self, images: Tensor) -> NDArray[np.float32]:
        keypoints, scores = self.network(images.contiguous(memory_format=torch.channels_last))
        return torch.cat([keypoints, scores[..., None]], -1).float().cpu().numpy()
