# SPDX-License-Identifier: Apache-2.0
"""Learning-rate schedules: a linear rise, then a cosine to 0 or steps down at milestones."""

from __future__ import annotations

import math
from dataclasses import dataclass

from alphapose_ros.base.errors import ConfigError

COSINE, MULTI_STEP = SCHEDULES = ("cosine", "multistep")


@dataclass(frozen=True)
class Schedule:
    """How the rate changes over a run, as a factor on its peak.

    Attributes:
        steps: optimizer steps of the whole run.
        warmup: steps over which the factor rises from 0 to 1.
        kind: "cosine", down to 0 at the end, or "multistep".
        milestones: steps, rising, from each of which on the rate is ``gamma`` times as high.
        gamma: see ``milestones``.
    """

    steps: int
    warmup: int = 0
    kind: str = COSINE
    milestones: tuple[int, ...] = ()
    gamma: float = 0.1

    def __post_init__(self) -> None:
        if self.steps < 1 or self.warmup < 0:
            raise ConfigError(
                f"schedule: expected steps of at least 1 and no negative warmup, "
                f"got {self.steps} and {self.warmup}"
            )
        if self.kind not in SCHEDULES:
            raise ConfigError(
                f"schedule: expected one of {', '.join(SCHEDULES)}, got {self.kind!r}"
            )
        if (self.kind == MULTI_STEP) != bool(self.milestones):
            raise ConfigError(
                f"milestones: expected some for multistep and none for cosine, "
                f"got {list(self.milestones)} for {self.kind}"
            )
        if sorted(set(self.milestones)) != list(self.milestones):
            raise ConfigError(f"milestones: expected rising steps, got {list(self.milestones)}")
        if not 0 < self.gamma < 1:
            raise ConfigError(f"gamma: expected a number between 0 and 1, got {self.gamma}")

    def factor(self, step: int) -> float:
        """Factor on the peak rate at ``step``, from 0."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        if self.kind == MULTI_STEP:
            return self.gamma ** sum(step >= milestone for milestone in self.milestones)
        progress = (step - self.warmup) / max(1, self.steps - self.warmup)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
