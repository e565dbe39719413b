# SPDX-License-Identifier: Apache-2.0
"""Parameters of the 3-D side."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SpatialConfig:
    """How depth becomes positions.

    Attributes:
        joint_score: joints below it get no 3-D point.
    """

    joint_score: float = 0.3
    body_height: float = 0.0
