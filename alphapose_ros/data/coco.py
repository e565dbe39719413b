# SPDX-License-Identifier: Apache-2.0
"""COCO-format files and their images, read the same way for boxes and for poses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.errors import InputError


def read_coco(path: Path) -> dict[str, Any]:
    """The content of a COCO-format annotation file.

    Raises:
        InputError: missing, not JSON, or without ``images`` and ``annotations``.
    """
    try:
        content = json.loads(path.read_text())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{path}: cannot read annotations: {error}") from error
    if not isinstance(content, dict) or not {"images", "annotations"} <= content.keys():
        raise InputError(f"{path}: expected a COCO file with 'images' and 'annotations'")
    return content


def read_image(path: Path) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 RGB.

    Raises:
        InputError: missing or broken.
    """
    data = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if data is None:
        raise InputError(f"{path}: expected an image, cannot read one")
    return np.ascontiguousarray(data[..., ::-1]).astype(np.uint8, copy=False)
