# SPDX-License-Identifier: Apache-2.0
"""Images on a GPU: uploaded once, one below the other in a single tensor (the atlas).

One sampling call cuts out all people of all cameras, whatever the images' sizes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from alphapose_ros.base import affine
from alphapose_ros.imaging.batch import ImageBatch, crop_steps, letterbox_scale, scaled_hw


class ImageAtlas(ImageBatch):
    """Float32 RGB in 0..255 on one device; made by :meth:`of`."""

    def __init__(
        self, atlas: Tensor, tops: Sequence[int], sizes_hw: Sequence[tuple[int, int]]
    ) -> None:
        self._atlas = atlas
        self._tops = tuple(tops)
        self.sizes_hw = tuple(sizes_hw)
        self._images = tuple(
            atlas[0, :, top : top + h, :w] for top, (h, w) in zip(tops, sizes_hw, strict=True)
        )

    @classmethod
    def of(cls, images: Sequence[NDArray[np.uint8]], device: torch.device | str) -> ImageAtlas:
        """(H, W, 3) uint8 images on ``device``: bytes travel, floats are made there."""
        sizes = [(int(i.shape[0]), int(i.shape[1])) for i in images]
        # One empty row between images and one empty column, so that a bilinear sample beyond an
        # edge mixes with zeros also where all images are a single pixel wide.
        tops = [int(t) for t in np.cumsum([0, *(h + 1 for h, _ in sizes)])]
        width = max((w for _, w in sizes), default=0) + 1
        atlas = torch.zeros((1, 3, max(tops[-1], 1), width), device=device)
        for image, top, (h, w) in zip(images, tops, sizes, strict=False):
            # Messages bring read-only memory, which PyTorch does not take without a warning.
            owned = np.require(image, requirements=("C", "W"))
            source = torch.from_numpy(owned).to(device)
            atlas[0, :, top : top + h, :w] = source.permute(2, 0, 1)
        return cls(atlas, tops[:-1], sizes)

    def __getitem__(self, rows: Sequence[int]) -> ImageAtlas:
        """See the base class."""
        sizes = [self.sizes_hw[row] for row in rows]
        return ImageAtlas(self._atlas, [self._tops[row] for row in rows], sizes)

    @property
    def images(self) -> tuple[Tensor, ...]:
        """Per image a view (3, H, W)."""
        return self._images

    @property
    def device(self) -> torch.device:
        """Where the pixels are."""
        return self._atlas.device

    def letterbox(
        self, size_hw: tuple[int, int], pad: float = 114.0
    ) -> tuple[Tensor, list[float]]:
        """See the base class."""
        out = self._atlas.new_full((len(self), 3, *size_hw), pad)
        scales: list[float] = []
        for row, (image, image_hw) in enumerate(zip(self.images, self.sizes_hw, strict=True)):
            scale = letterbox_scale(image_hw, size_hw)
            size = scaled_hw(image_hw, scale)
            out[row, :, : size[0], : size[1]] = _resized(image, size)
            scales.append(scale)
        return out, scales

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
        count = len(boxes)
        if count == 0:
            return self._atlas.new_zeros((0, 3, height, width))
        limits = np.array([[self._tops[r], *self.sizes_hw[r]] for r in rows], np.float32)
        across, down = crop_steps(boxes, input_hw, corners)
        numbers = np.stack([*boxes[:, :2].T, across, down, *limits.T]).astype(np.float32)
        x1, y1, dx, dy, top, h, w = torch.from_numpy(numbers).to(self.device)[:, :, None]
        xs = x1 + dx * torch.arange(width, device=self.device)  # (N, width)
        ys = y1 + dy * torch.arange(height, device=self.device)  # (N, height)
        # Beyond one pixel outside its own image a sample is all padding: hold it there.
        xs = torch.minimum(xs.clamp(min=-1), w)
        ys = torch.minimum(ys.clamp(min=-1), h) + top
        grid = torch.empty((count, height, width, 2), device=self.device)
        grid[..., 0] = (xs * 2 / max(self._atlas.shape[3] - 1, 1) - 1)[:, None, :]
        grid[..., 1] = (ys * 2 / max(self._atlas.shape[2] - 1, 1) - 1)[:, :, None]
        tall = functional.grid_sample(
            self._atlas, grid.view(1, count * height, width, 2), align_corners=True
        )
        return tall.view(3, count, height, width).transpose(0, 1).contiguous()


def _resized(image: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """(3, H, W) -> (3, h, w), bilinear with half-pixel centres, as OpenCV's linear resize."""
    if tuple(image.shape[1:]) == size_hw:
        return image
    return functional.interpolate(image[None], size_hw, mode="bilinear", align_corners=False)[0]
