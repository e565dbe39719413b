# SPDX-License-Identifier: Apache-2.0
"""What every detector is: a function from images to person boxes."""

from __future__ import annotations

from typing import Protocol

from alphapose_ros.base.records import Detections
from alphapose_ros.detection.config import DetectorConfig
from alphapose_ros.imaging import ImageBatch


class Detector(Protocol):
    """Finds people; an image's answer does not depend on the other images of its batch."""

    def __call__(self, batch: ImageBatch) -> list[Detections]:
        """One record per image: boxes in its pixels, clipped to it, best score first."""
        ...

    def reconfigure(self, config: DetectorConfig) -> None:
        """Other thresholds from the next batch on; what the network is made of stays."""
        ...
