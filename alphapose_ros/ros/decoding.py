# SPDX-License-Identifier: Apache-2.0
"""Images of every encoding: the common ones by ourselves, the rest by cv_bridge if it imports."""

from __future__ import annotations

from typing import Any

import numpy as np

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.records import ImageArray
from alphapose_ros.io.image_messages import ENCODINGS, Pixels, checked_image


def checked_any(message: Any) -> Pixels:
    """(H, W, 3) uint8 RGB of an ``Image`` or ``CompressedImage``, made when called.

    Raises:
        InputError: a damaged image, or, when called, an encoding that nobody here can read.
    """
    encoding = getattr(message, "encoding", None)
    if encoding is None or encoding in ENCODINGS:
        return checked_image(message)
    return lambda: _by_cv_bridge(message)


def _by_cv_bridge(message: Any) -> ImageArray:
    try:
        import cv_bridge
    except (ImportError, AttributeError) as error:  # AttributeError: built for another NumPy
        raise InputError(
            f"unknown encoding: expected one of {', '.join(ENCODINGS)} (others need cv_bridge, "
            f"which cannot be imported: {error}), got {message.encoding!r}"
        ) from error
    try:
        image = cv_bridge.CvBridge().imgmsg_to_cv2(message, "rgb8")
    except (cv_bridge.CvBridgeError, RuntimeError, ValueError, TypeError) as error:
        raise InputError(
            f"unknown encoding: expected one of {', '.join(ENCODINGS)} or one that cv_bridge "
            f"turns into rgb8, got {message.encoding!r}: {error}"
        ) from error
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError(
            f"unknown encoding: expected cv_bridge to make (H, W, 3) uint8 of "
            f"{message.encoding!r}, got {image.dtype} of shape {image.shape}"
        )
    rgb: ImageArray = image
    return rgb
