# SPDX-License-Identifier: Apache-2.0
"""RTMO (Lu et al., CVPR 2024): one network finds the people and their joints in the image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from alphapose_ros.base.boxes import clip_boxes, non_maximum_suppression
from alphapose_ros.base.keypoints import check_mapped
from alphapose_ros.base.records import Detections, Poses
from alphapose_ros.base.skeletons import Skeleton
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.pose.estimator import Network

PAD = 114.0
_IOU = 0.65  # the graph has suppressed already; this catches exports without it


class OneStageEstimator:
    """Poses of whole images; given boxes are not looked at.

    Args:
        network: BGR image (1, 3, H, W) of 0..255 -> boxes with scores (1, N, 5) and joints with
            scores (1, N, K, 3), px of the input.
        skeleton: of the K joints.
        input_hw: of the network.
        score_threshold: least score of a person.
        output: skeleton of the poses that come out, matched by name; None: ``skeleton``.

    Raises:
        ConfigError: ``output`` shares no joint with ``skeleton``.
    """

    finds_people = True

    def __init__(
        self,
        network: Network,
        skeleton: Skeleton,
        *,
        input_hw: tuple[int, int],
        score_threshold: float = 0.3,
        output: Skeleton | None = None,
    ) -> None:
        self.network, self.input_hw, self.score_threshold = network, input_hw, score_threshold
        self._own, self.skeleton = skeleton, check_mapped(skeleton, output or skeleton)

    @torch.inference_mode()
    def __call__(self, batch: ImageBatch, detections: Sequence[Detections]) -> list[Poses]:
        """One record per image, best score first."""
        images, scales = batch.letterbox(self.input_hw, PAD)
        return [
            self._one(images[row : row + 1].flip(1), scale, size_hw).mapped(self.skeleton)
            for row, (scale, size_hw) in enumerate(zip(scales, batch.sizes_hw, strict=True))
        ]

    def _one(self, image: torch.Tensor, scale: float, size_hw: tuple[int, int]) -> Poses:
        found, joints = (out[0].float().cpu().numpy() for out in self.network(image)[:2])
        boxes = clip_boxes((found[:, :4] / scale).astype(np.float32), size_hw)
        scores = found[:, 4].astype(np.float32)
        sides = (boxes[:, 2:] - boxes[:, :2]).min(axis=1, initial=np.inf)
        sound = np.flatnonzero((scores >= self.score_threshold) & (sides > 0))
        kept = sound[non_maximum_suppression(boxes[sound], scores[sound], _IOU)]
        # The letterbox is sampled with half-pixel centres.
        keypoints = (joints[kept, :, :2] + 0.5) / scale - 0.5
        return Poses(
            keypoints.astype(np.float32),
            joints[kept, :, 2].clip(0, 1).astype(np.float32),
            boxes[kept],
            scores[kept].clip(0, 1),
            np.arange(len(kept)),
            self._own,
        )
