# SPDX-License-Identifier: Apache-2.0
"""Pictures of people that every machine has: scikit-image's astronaut (public domain)."""

from __future__ import annotations

import numpy as np

from alphapose_ros.base.errors import require
from alphapose_ros.base.records import ImageArray


def astronaut_person() -> ImageArray:
    """(512, 270, 3) RGB of a person: scikit-image's astronaut (public domain) without the flag."""
    data = require(
        "skimage.data",
        needed_for="bench without --image",
        install="install it with: pip install scikit-image, or give an image",
    )
    astronaut: ImageArray = data.astronaut()
    return astronaut[:, 90:360]


def three_people() -> ImageArray:
    """640x480 with three people side by side."""
    cv2 = require("cv2", needed_for="bench", install="pip install opencv-python-headless")
    person = astronaut_person()
    canvas = np.full((480, 640, 3), 96, np.uint8)
    for column, height in enumerate((400, 360, 380)):
        width = round(height * person.shape[1] / person.shape[0])
        tile = cv2.resize(person if column != 1 else person[:, ::-1], (width, height))
        left = 213 * column + (213 - width) // 2
        canvas[480 - height :, left : left + width] = tile
    return canvas
