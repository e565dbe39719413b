# SPDX-License-Identifier: Apache-2.0
"""Images on a CPU: OpenCV reads the pixels that a crop or a letterbox shows, and no others.

A frame is never copied or made a float as a whole, so what an image costs hardly depends on its
size. Samples are rounded to whole levels, and their positions to a 32nd of a pixel.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alphapose_ros.base import affine
from alphapose_ros.imaging.batch import ImageBatch, crop_steps, letterbox_scale, scaled_hw


class HostImages(ImageBatch):
    """See :class:`~alphapose_ros.imaging.batch.ImageBatch`.

    Args:
        images: (H, W, 3) uint8 RGB; they are read until the batch is done with.
    """

    def __init__(self, images: Sequence[NDArray[np.uint8]]) -> None:
        self._arrays = tuple(np.ascontiguousarray(image) for image in images)
        self.sizes_hw = tuple((int(i.shape[0]), int(i.shape[1])) for i in images)

    def __getitem__(self, rows: Sequence[int]) -> HostImages:
        """See the base class."""
        return HostImages([self._arrays[row] for row in rows])

    @property
    def images(self) -> tuple[Tensor, ...]:
        """Per image (3, H, W) float32 RGB in 0..255, made anew."""
        return tuple(_planes(array[None])[0] for array in self._arrays)

    @property
    def device(self) -> torch.device:
        """The CPU."""
        return torch.device("cpu")

    def letterbox(
        self, size_hw: tuple[int, int], pad: float = 114.0
    ) -> tuple[Tensor, list[float]]:
        """See the base class."""
        out = np.full((len(self), 3, *size_hw), pad, np.float32)
        scales = [letterbox_scale(each, size_hw) for each in self.sizes_hw]
        for row, (array, scale) in enumerate(zip(self._arrays, scales, strict=True)):
            height, width = scaled_hw(self.sizes_hw[row], scale)
            resized = cv2.resize(array, (width, height), interpolation=cv2.INTER_LINEAR)
            _write_planes(resized, out[row, :, :height, :width])
        return torch.from_numpy(out), scales

    def crops(
        self,
        boxes: NDArray[np.float32],
        rows: NDArray[np.integer],
        input_hw: tuple[int, int] = affine.INPUT_HW,
        *,
        corners: bool = False,
    ) -> Tensor:
        """See the base class."""
        height, width = input_hw
        out = np.zeros((len(boxes), height, width, 3), np.uint8)
        across, down = crop_steps(boxes.astype(np.float64), input_hw, corners)
        for crop, box, row, dx, dy in zip(out, boxes, rows, across, down, strict=True):
            if not self._reaches(box, int(row)):
                continue  # OpenCV's positions would leave their 32 bits
            to_image = np.array([[dx, 0, box[0]], [0, dy, box[1]]])
            cv2.warpAffine(
                self._arrays[row],
                to_image,
                (width, height),
                dst=crop,
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            )
        return _planes(out)

    def _reaches(self, box: NDArray[np.float32], row: int) -> bool:
        """Whether a crop shows any pixel of its image."""
        height, width = self.sizes_hw[row]
        shown = box[0] < width and box[1] < height and box[2] > -1 and box[3] > -1
        return bool(shown)


def _planes(pixels: NDArray[np.uint8]) -> Tensor:
    """(N, h, w, 3) uint8 -> (N, 3, h, w) float32."""
    count, height, width, channels = pixels.shape
    out = np.empty((count, channels, height, width), np.float32)
    for each, planes in zip(pixels, out, strict=True):
        _write_planes(each, planes)
    return torch.from_numpy(out)


def _write_planes(pixels: NDArray[np.integer | np.floating], out: NDArray[np.float32]) -> None:
    """(h, w, 3) into (3, h, w), channel by channel, which is faster than to permute as a whole."""
    for plane, channel in zip(out, cv2.split(pixels), strict=True):
        plane[:] = channel
