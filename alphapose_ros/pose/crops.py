# SPDX-License-Identifier: Apache-2.0
"""Which part of the image a network sees, and where its keypoints lie in the image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base import affine

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class CropSpec:
    """The crops of a network and the unit of its keypoints.

    Attributes:
        input_hw: size of the crops, px.
        padding: factor from the person's box, brought to the crop's aspect, to the crop.
        unit_px: input pixels per unit of the network's keypoints: 4 for maps of stride 4.
        corners: the last index lies on the crop's far edge (UDP: Huang et al., CVPR 2020); else
            one index beyond it does, as AlphaPose and MMPose's classic codec have it.
    """

    input_hw: tuple[int, int] = affine.INPUT_HW
    padding: float = affine.PADDING
    unit_px: float = affine.STRIDE
    corners: bool = False

    def boxes(self, people: FloatArray) -> FloatArray:
        """Person boxes (N, 4) -> crop boxes (N, 4)."""
        return affine.crop_boxes(people, self.input_hw, self.padding)

    def lengths(self, values: NDArray[np.floating], crops: FloatArray) -> FloatArray:
        """Lengths (N, K) in the unit of the network's keypoints -> image pixels."""
        width = self.input_hw[1] / self.unit_px - self.corners
        return (values * ((crops[:, 2] - crops[:, 0]) / width)[:, None]).astype(np.float32)

    def to_image(self, points: NDArray[np.floating], crops: FloatArray) -> FloatArray:
        """Keypoints (N, K, 2) of the network and its crop boxes (N, 4) -> image pixels."""
        map_hw = round(self.input_hw[0] / self.unit_px), round(self.input_hw[1] / self.unit_px)
        if not self.corners:
            return affine.map_to_image(points, crops, map_hw)
        last = np.array([map_hw[1] - 1, map_hw[0] - 1], np.float32)
        size = crops[:, 2:] - crops[:, :2]
        return (crops[:, None, :2] + points * (size / last)[:, None]).astype(np.float32)
