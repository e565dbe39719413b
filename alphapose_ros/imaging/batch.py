# SPDX-License-Identifier: Apache-2.0
"""What a batch of images can do, and which kind of batch a device gets."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alphapose_ros.base import affine
from alphapose_ros.base.errors import InputError

LONGEST_SIDE = 32766  # OpenCV's warp counts pixels in 16 bits


class ImageBatch(ABC):
    """Images of one moment, of all cameras.

    Attributes:
        sizes_hw: per image (height, width).
    """

    sizes_hw: tuple[tuple[int, int], ...]

    @staticmethod
    def upload(
        images: Sequence[NDArray[np.uint8]], device: torch.device | str = "cpu"
    ) -> ImageBatch:
        """Bring (H, W, 3) uint8 RGB images to ``device``, each of them once.

        On a CPU they stay where they are: only what the networks look at is ever made a float.

        Raises:
            InputError: an image of another type or shape.
        """
        for image in images:
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
                raise InputError(
                    f"image: expected uint8 of shape (H, W, 3), got {image.dtype} {image.shape}"
                )
        longer = [max(image.shape[:2]) for image in images]  # OpenCV 4.5 refuses a single pixel
        usable = min(longer, default=2) > 1 and max(longer, default=2) <= LONGEST_SIDE
        if torch.device(device).type == "cpu" and usable:
            host_images = _on_host()
            if host_images is not None:
                return host_images(images)
        from alphapose_ros.imaging.atlas import ImageAtlas

        return ImageAtlas.of(images, device)

    def __len__(self) -> int:
        return len(self.sizes_hw)

    @abstractmethod
    def __getitem__(self, rows: Sequence[int]) -> ImageBatch:
        """The images of these rows; the same pixels."""

    @property
    @abstractmethod
    def images(self) -> tuple[Tensor, ...]:
        """Per image (3, H, W) float32 RGB in 0..255."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where the pixels are."""

    @abstractmethod
    def letterbox(
        self, size_hw: tuple[int, int], pad: float = 114.0
    ) -> tuple[Tensor, list[float]]:
        """All images scaled to fit ``size_hw``, top-left, the rest filled with ``pad``.

        Returns:
            (B, 3, h, w) float32 in 0..255 and per image the factor from image to letterbox.
        """

    @abstractmethod
    def crops(
        self,
        boxes: NDArray[np.float32],
        rows: NDArray[np.integer],
        input_hw: tuple[int, int] = affine.INPUT_HW,
        *,
        corners: bool = False,
    ) -> Tensor:
        """Cut crop boxes (N, 4) out of images ``rows`` (N,), zeros outside: (N, 3, h, w), 0..255.

        The boxes have the input's aspect (see :func:`base.affine.crop_boxes`); index k of the
        output is the image point ``x1 + k * width / w``, AlphaPose's convention; with ``corners``
        it is ``x1 + k * width / (w - 1)``, so that the last one lies on the box's edge (UDP).
        """


@cache
def _on_host() -> Callable[[Sequence[NDArray[np.uint8]]], ImageBatch] | None:
    """OpenCV's way, where OpenCV is installed."""
    try:
        from alphapose_ros.imaging.host import HostImages
    except ImportError:
        return None
    return HostImages


def crop_steps(
    boxes: NDArray[np.floating], input_hw: tuple[int, int], corners: bool
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """(N,) twice: image pixels between two columns and two rows of :meth:`ImageBatch.crops`."""
    height, width = input_hw
    sides = boxes[:, 2:] - boxes[:, :2]
    # Boxes have the input's aspect: without corners one step serves both axes.
    across = sides[:, 0] / (width - corners)
    return across, sides[:, 1] / (height - 1) if corners else across


def letterbox_scale(image_hw: tuple[int, int], size_hw: tuple[int, int]) -> float:
    """The factor that fits an image into ``size_hw``."""
    return min(size_hw[0] / image_hw[0], size_hw[1] / image_hw[1])


def scaled_hw(image_hw: tuple[int, int], scale: float) -> tuple[int, int]:
    """An image's size after scaling, at least a pixel."""
    return max(1, round(image_hw[0] * scale)), max(1, round(image_hw[1] * scale))
