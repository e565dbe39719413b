# SPDX-License-Identifier: Apache-2.0
"""Contestants that take turns, and how many times faster one is than another.

On a busy machine bare times say little. Here A, B, A, B ... run one after the other, each round
gives one ratio, and the median of the rounds' ratios is reported with its 95 % interval.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

FloatArray = NDArray[np.floating]
CLOCKS: dict[str, Callable[[], float]] = {"cpu": time.process_time, "wall": time.perf_counter}


@dataclass(frozen=True)
class Ratio:
    """Median over the rounds, and the bootstrap's 95 % interval of it."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.3g} [{self.low:.3g}, {self.high:.3g}]"


def ratio_of(slow: FloatArray, fast: FloatArray) -> Ratio:
    """How many times the other's time the first took, round by round."""
    ratios = slow / fast
    rng = np.random.default_rng(0)
    medians = np.median(rng.choice(ratios, (2000, len(ratios))), axis=1)
    low, high = np.percentile(medians, [2.5, 97.5])
    return Ratio(float(np.median(ratios)), float(low), float(high))


@dataclass(frozen=True)
class Turns:
    """Seconds of each contestant in each round, (rounds,) by name."""

    seconds: Mapping[str, FloatArray]

    def ratio(self, slow: str, fast: str) -> Ratio:
        """How many times the time of ``fast`` the contestant ``slow`` took."""
        return ratio_of(self.seconds[slow], self.seconds[fast])

    def milliseconds(self, name: str) -> float:
        """Median of a contestant; a side note, for it is of this machine and its load."""
        return float(np.median(self.seconds[name]) * 1e3)

    def table(self, baseline: str) -> str:
        """Markdown: each contestant, how many times faster than ``baseline`` it is, and its ms."""
        rows = ["| contestant | times as fast | ms (side note) |", "|---|---|---|"]
        rows += [
            f"| {name} | {self.ratio(baseline, name)} | {self.milliseconds(name):.2f} |"
            for name in self.seconds
        ]
        return "\n".join(rows)

    def numbers(self, baseline: str) -> dict[str, dict[str, Any]]:
        """The table as plain values for JSON."""
        return {
            name: asdict(self.ratio(baseline, name)) | {"ms": self.milliseconds(name)}
            for name in self.seconds
        }


def take_turns(
    contestants: Mapping[str, Callable[[], object]],
    rounds: int,
    *,
    clock: str = "cpu",
    warm_up: int = 1,
) -> Turns:
    """Run all contestants once per round, in their order.

    Args:
        contestants: by name.
        rounds: that count.
        clock: ``cpu``, the process's processor time, which another program's load hardly enters
            (on one thread it is the time of an idle core); or ``wall``.
        warm_up: rounds before, which do not count.
    """
    now = CLOCKS[clock]
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(warm_up + rounds):
        for name, run in contestants.items():
            start = now()
            run()
            if turn >= warm_up:
                seconds[name].append(now() - start)
    return Turns({name: np.array(values) for name, values in seconds.items()})


def about(threads: int, clock: str) -> str:
    """One line that belongs above every table."""
    return (
        f"{threads} thread(s) of {os.cpu_count()} cores, {clock} time, torch {torch.__version__}"
    )
