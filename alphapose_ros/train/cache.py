# SPDX-License-Identifier: Apache-2.0
"""Decoded images kept in memory: a sample is the same with the cache and without."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.data.coco import read_image

NONE, MEMORY = CACHES = ("none", "memory")


class ImageCache:
    """Images as :func:`read_image` gives them, the first ones kept up to a limit.

    Images are read in random order over and over, where dropping the oldest for the newest would
    be of no use. Each loader process has a cache of its own.

    Args:
        limit_bytes: of all kept images together; 0 keeps none.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit, self.used_bytes = limit_bytes, 0
        self._images: dict[Path, NDArray[np.uint8]] = {}

    def __len__(self) -> int:
        return len(self._images)

    def read(self, path: Path) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB, not to be written into.

        Raises:
            InputError: missing or broken.
        """
        if path in self._images:
            return self._images[path]
        image = read_image(path)
        if self.used_bytes + image.nbytes <= self._limit:
            image.setflags(write=False)
            self._images[path] = image
            self.used_bytes += image.nbytes
        return image
