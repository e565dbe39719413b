# SPDX-License-Identifier: Apache-2.0
"""People whom a data set misses, as a detector sees them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.boxes import box_area
from alphapose_ros.base.records import Detections
from alphapose_ros.base.settings import check_settings, setting

FloatArray = NDArray[np.float32]
ACCEPTED = "accepted"


@dataclass(frozen=True)
class BoxRules:
    """When a detected box becomes a person whom the set misses.

    Attributes:
        score: least score of the detector.
        overlap: most share of the smaller box that any annotated box, crowds too, has with it.
        min_height: of the box, px.
    """

    score: float = setting(0.6, low=0, high=1)
    overlap: float = setting(0.1, low=0, high=1)
    min_height: float = setting(40.0, low=0)

    def __post_init__(self) -> None:
        check_settings(self, "box_rules")

    def refusals(self, found: Detections, annotated: FloatArray) -> list[str]:
        """For each detection why it is refused, or ``accepted``; ``annotated`` (M, 4) xyxy."""
        covered = _share_of_smaller(found.boxes, annotated).max(1, initial=0)
        heights = found.boxes[:, 3] - found.boxes[:, 1]
        out = []
        for score, cover, height in zip(found.scores, covered, heights, strict=True):
            if score < self.score:
                out.append("score")
            elif cover > self.overlap:
                out.append("annotated already")
            else:
                out.append("too small" if height < self.min_height else ACCEPTED)
        return out


def _share_of_smaller(first: FloatArray, second: FloatArray) -> FloatArray:
    """Pairwise intersection over the smaller area, (N, 4) and (M, 4) -> (N, M)."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    sides = np.maximum(high - low, 0)
    smaller = np.minimum(box_area(first)[:, None], box_area(second)[None])
    return (sides[..., 0] * sides[..., 1] / np.maximum(smaller, 1e-6)).astype(np.float32)
