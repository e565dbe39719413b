# SPDX-License-Identifier: Apache-2.0
"""What the configurations of all training runs have in common."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from alphapose_ros.base.settings import setting
from alphapose_ros.train.cache import CACHES, NONE
from alphapose_ros.train.precision import FLOAT32, PRECISIONS
from alphapose_ros.train.schedule import COSINE, SCHEDULES, Schedule

# Where and on what it runs: a run that goes on elsewhere is still the same.
_PLACE = ("out", "output_dir", "teacher_answers", "resume", "device", "threads", "workers",
          "cache", "cache_mb", "save_every", "log_every", "tensorboard")  # fmt: skip
# What may be corrected on the way, when the loss diverged or the memory was too small.
_PACE = ("learning_rate", "trunk_rate", "weight_decay", "precision", "accumulate")
_SHOWN = 3


@dataclass(frozen=True)
class RunConfig:
    """How long and how a network is trained, whatever it learns.

    Attributes:
        steps: optimizer steps of the whole schedule.
        learning_rate: peak; the trunk gets ``trunk_rate`` times as much.
        trunk_rate: see ``learning_rate``.
        warmup: steps over which the rate rises.
        schedule: cosine or multistep.
        milestones: steps of multistep at which the rate falls to ``gamma`` times as much.
        gamma: see ``milestones``.
        weight_decay: of AdamW.
        average_decay: of the exponential moving average that becomes the finished weights.
        precision: of the forward pass: float32, bfloat16 or float16.
        cache: memory keeps decoded images, none reads them anew each time; the same result.
        cache_mb: the most that they take, of all loader processes together.
        save_every: steps between checkpoints.
        log_every: steps between rows of the log, which are means over these steps.
        tensorboard: write the rows as TensorBoard curves too.
        workers: loader processes.
        threads: CPU threads of PyTorch, 0 for its own choice.
        device: auto, cpu or cuda.
        seed: of data order, augmentation and random weights.
    """

    steps: int = setting(3000, low=1)
    learning_rate: float = setting(3e-4, above=0)
    trunk_rate: float = setting(0.3, low=0)
    warmup: int = setting(100, low=0)
    schedule: str = setting(COSINE, choices=SCHEDULES)
    milestones: list[int] = field(default_factory=list)
    gamma: float = setting(0.1, low=0, high=1)
    weight_decay: float = setting(0.01, low=0)
    average_decay: float = setting(0.999, low=0, high=1)
    precision: str = setting(FLOAT32, choices=PRECISIONS)
    cache: str = setting(NONE, choices=CACHES)
    cache_mb: int = setting(1000, low=1)
    save_every: int = setting(100, low=1)
    log_every: int = setting(20, low=1)
    tensorboard: bool = False
    workers: int = setting(1, low=0)
    threads: int = setting(0, low=0)
    device: str = "auto"
    seed: int = 0

    @property
    def rates(self) -> Schedule:
        """The schedule of the learning rate."""
        return Schedule(self.steps, self.warmup, self.schedule, tuple(self.milestones), self.gamma)


def deciding_options(config: Any) -> dict[str, Any]:
    """The options of a run that decide what it learns, as JSON's values."""
    options: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    return {name: value for name, value in options.items() if name not in _PLACE}


def changed_options(before: Mapping[str, Any], now: Mapping[str, Any], *, finished: bool) -> str:
    """In words, which of two :func:`deciding_options` differ; empty where they agree.

    Rates, weight decay, precision and pieces may change until the run is ``finished``. Options
    that one side does not know came with another version and say nothing.
    """
    free = () if finished else _PACE
    told = [
        f"{name} {before[name]!r}, got {now[name]!r}"
        for name in now
        if name in before and name not in free and before[name] != now[name]
    ]
    more = [f"{len(told) - _SHOWN} more"] if len(told) > _SHOWN else []
    return "; ".join(told[:_SHOWN] + more)
