# SPDX-License-Identifier: Apache-2.0
"""The detector beside a pose network that finds the people itself."""

from __future__ import annotations

from alphapose_ros.base.records import Detections
from alphapose_ros.detection.config import DetectorConfig
from alphapose_ros.imaging import ImageBatch


class NoDetector:
    """Nobody, in every image."""

    def reconfigure(self, config: DetectorConfig) -> None:
        """Nothing to change."""

    def __call__(self, batch: ImageBatch) -> list[Detections]:
        """One empty record per image."""
        return [Detections.empty() for _ in range(len(batch))]
