# SPDX-License-Identifier: Apache-2.0
"""YOLOv3 and other networks of Darknet as person detectors.

The score is the probability of an object times that of a person, as in Darknet itself and as in
every other detector here: the probability that a person is in this box. AlphaPose asks first
whether a person is the likeliest class and then reports the probability of an object alone, which
is near 1 also where the network can hardly tell the person from something else.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from alphapose_ros.detection.config import DetectorConfig
from alphapose_ros.detection.dense import DenseDetector

PAD = 127.5  # grey beside the image: Darknet's half of white, in AlphaPose rounded to 128


class DarknetDetector(DenseDetector):
    """People of each image, by a network of a Darknet cfg.

    Args:
        model: RGB images (B, 3, H, W) of 0..1 -> boxes (B, A, 4) and scores (B, A, C), as
            :class:`models.darknet.DarknetNetwork` in evaluation mode on the device of the images.
        config: thresholds and the largest input.
    """

    def __init__(
        self, model: Callable[[Tensor], tuple[Tensor, ...]], config: DetectorConfig
    ) -> None:
        super().__init__(model, config, prepare=lambda images: images / 255, pad=PAD)
