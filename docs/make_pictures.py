# SPDX-License-Identifier: Apache-2.0
"""Makes the pictures of the documents: python docs/make_pictures.py (needs scikit-image).

The photograph is NASA's portrait of Eileen Collins, in the public domain, from scikit-image.
"""

from __future__ import annotations

from pathlib import Path

import cv2
from skimage.data import astronaut

from alphapose_ros.base.records import Frame
from alphapose_ros.output.draw import draw_result
from alphapose_ros.pipeline import PosePipeline


def main() -> None:
    """Track the portrait for half a second, so that she has an identity, and draw her."""
    image = astronaut()
    pipeline = PosePipeline.from_preset("nano")
    for number in range(5):
        result = pipeline(Frame(image, stamp_ns=number * 100_000_000))
    drawn = draw_result(image, result)
    path = Path(__file__).parent / "images" / "astronaut.jpg"
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), drawn[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])


if __name__ == "__main__":
    main()
