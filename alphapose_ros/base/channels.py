# SPDX-License-Identifier: Apache-2.0
"""Order of an image's channels. OpenCV copies them many times as fast as NumPy, where it is."""

from __future__ import annotations

from functools import cache
from types import ModuleType

import numpy as np

from alphapose_ros.base.records import ImageArray


def red_blue_swapped(image: ImageArray) -> ImageArray:
    """(H, W, 3) uint8 RGB -> BGR, or back; a contiguous copy."""
    cv2 = opencv()
    if cv2 is None or not image.size or image.shape[:2] == (1, 1):  # which OpenCV 4.5 refuses
        return image[..., ::-1].copy()
    swapped: ImageArray = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2BGR)
    return swapped


@cache
def opencv() -> ModuleType | None:
    """OpenCV, or None where it is not installed."""
    try:
        import cv2
    except ImportError:
        return None
    return cv2
