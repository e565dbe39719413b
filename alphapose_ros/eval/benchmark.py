# SPDX-License-Identifier: Apache-2.0
"""``alphapose-ros bench``: frames per second, each stage's share, and the bare networks' time.

The bare forwards are the pipeline's own networks on the very inputs that the pipeline gave them
for the same images. They are timed in turn with the pipeline, so that a busy machine slows both,
and the median of the turns' ratios counts.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.records import Frame, FrameResult, ImageArray
from alphapose_ros.eval.network_tap import NetworkTap
from alphapose_ros.eval.usage import resident_mb
from alphapose_ros.pipeline import PosePipeline
from alphapose_ros.runtime.threads import threads_for

T = TypeVar("T")
_WARM_UP = 5
_FRAME_NS = 33_333_333  # 30 frames/s


@dataclass(frozen=True)
class BenchmarkReport:
    """Medians over the turns; a turn is one image of each camera.

    Attributes:
        size_hw: of the images.
        cameras: images in a turn.
        people: poses in the last turn.
        frame_ms, frame_p95_ms: the pipeline's whole turn.
        stages_ms: the pipeline's own timings of its stages.
        networks_ms: the bare forward of each network that ran.
        outside_ms: the whole turn without the bare forwards.
        ratio: the whole turn over the sum of the bare forwards; 1 would be no overhead at all.
        cpu_share: processor seconds per second of the pipeline; 2 keeps two cores busy.
        memory_mb: resident memory of the process at the end; 0 where the system does not tell.
        device, threads: where it ran.
    """

    size_hw: tuple[int, int]
    cameras: int
    people: int
    frame_ms: float
    frame_p95_ms: float
    stages_ms: Mapping[str, float]
    networks_ms: Mapping[str, float]
    outside_ms: float
    ratio: float
    cpu_share: float
    memory_mb: float
    device: str
    threads: int

    @property
    def outside_share(self) -> float:
        """Of the turn, everything but the networks, in [0, 1]; the median as ``ratio`` is."""
        return max(1 - 1 / self.ratio, 0.0)

    def numbers(self) -> dict[str, Any]:
        """Everything as plain values for JSON."""
        return {
            "height": self.size_hw[0],
            "width": self.size_hw[1],
            "cameras": self.cameras,
            "people": self.people,
            "frames_per_second": 1e3 * self.cameras / self.frame_ms,
            "frame_ms": self.frame_ms,
            "frame_p95_ms": self.frame_p95_ms,
            "stages_ms": dict(self.stages_ms),
            "networks_ms": dict(self.networks_ms),
            "outside_ms": self.outside_ms,
            "outside_share": self.outside_share,
            "ratio": self.ratio,
            "cpu_share": self.cpu_share,
            "memory_mb": self.memory_mb,
            "device": self.device,
            "threads": self.threads,
        }

    def text(self) -> str:
        """The table."""
        height, width = self.size_hw
        lines = [
            f"{width}x{height}, {self.people} people, {self.device}, {self.threads} threads",
            f"{'frame':24}{self.frame_ms:8.1f} ms   {1e3 / self.frame_ms:.1f} frames/s",
        ]
        for name, value in self.stages_ms.items():
            lines.append(f"  {name:22}{value:8.1f} ms   {100 * value / self.frame_ms:4.0f} %")
        lines += [
            f"{name + ' network alone':24}{ms:8.1f} ms" for name, ms in self.networks_ms.items()
        ]
        share = 100 * self.outside_share
        lines += [
            f"{'all but the networks':24}{self.outside_ms:8.1f} ms   {share:4.0f} %",
            f"{'ratio to the networks':24}{self.ratio:8.2f}",
            f"{'processor':24}{100 * self.cpu_share:8.0f} %",
            f"{'memory':24}{self.memory_mb:8.0f} MB",
        ]
        return "\n".join(lines)


def run_benchmark(
    pipeline: PosePipeline, image: ImageArray, *, frames: int = 60
) -> BenchmarkReport:
    """Time ``frames`` frames of the same image (H, W, 3) RGB uint8, tracker included.

    Raises:
        InputError: fewer than one frame.
    """
    if frames < 1:
        raise InputError(f"frames: expected at least 1, got {frames}")
    stamps = itertools.count(0, _FRAME_NS)
    turns = ([Frame(image, next(stamps), "bench")] for _ in range(frames + _WARM_UP))
    return measure_turns(pipeline, turns, warm_up=_WARM_UP)


def measure_turns(
    pipeline: PosePipeline, turns: Iterable[Sequence[Frame]], *, warm_up: int = _WARM_UP
) -> BenchmarkReport:
    """Time turns of one image per camera, each followed by the bare forwards on its inputs.

    Args:
        pipeline: its trackers keep what they learn.
        turns: frames of different cameras, all turns alike but for where the people are.
        warm_up: the first so many turns are not counted.

    Raises:
        InputError: no more turns than those of the warm-up.
    """
    device = torch.device(pipeline.device)
    taken: list[_Turn] = []
    with NetworkTap(pipeline) as tap:
        for number, frames in enumerate(turns):
            turn = _take(pipeline, frames, tap, device)
            if number >= warm_up:
                taken.append(turn)
    if not taken:
        raise InputError(f"turns: expected more than the {warm_up} of the warm-up")
    return _report(taken, device, threads_for(pipeline.config.threads))


@dataclass(frozen=True)
class _Turn:
    """One turn: its frames and results, milliseconds, and seconds of the processor."""

    frames: Sequence[Frame]
    results: Sequence[FrameResult]
    whole_ms: float
    processor_s: float
    networks_ms: Mapping[str, float]


def _take(
    pipeline: PosePipeline, frames: Sequence[Frame], tap: NetworkTap, device: torch.device
) -> _Turn:
    tap.clear()
    begin_s = time.process_time()
    whole_ms, results = _timed(lambda: pipeline.process(frames), device)
    spent_s = time.process_time() - begin_s
    networks = {name: _timed(partial(tap.forward, name), device)[0] for name in tap.called}
    return _Turn(frames, results, whole_ms, spent_s, networks)


def _report(turns: Sequence[_Turn], device: torch.device, threads: int) -> BenchmarkReport:
    last = turns[-1]
    whole = np.array([turn.whole_ms for turn in turns])
    floors = np.array([sum(turn.networks_ms.values()) for turn in turns])
    stages = [turn.results[0].timings_ms for turn in turns]
    return BenchmarkReport(
        size_hw=last.frames[0].size_hw,
        cameras=len(last.frames),
        people=sum(len(result.tracks) for result in last.results),
        frame_ms=_median(whole),
        frame_p95_ms=float(np.percentile(whole, 95)),
        stages_ms=_medians(stages),
        networks_ms=_medians([turn.networks_ms for turn in turns]),
        outside_ms=_median(whole - floors),
        ratio=_median(whole / np.maximum(floors, 1e-9)),
        cpu_share=sum(turn.processor_s for turn in turns) / max(whole.sum() / 1e3, 1e-9),
        memory_mb=resident_mb(),
        device=str(device),
        threads=threads,
    )


def _medians(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Per name, in the order of their first coming; who is missing took no time."""
    names = dict.fromkeys(name for row in rows for name in row)
    return {name: _median([row.get(name, 0.0) for row in rows]) for name in names}


def _timed(call: Callable[[], T], device: torch.device) -> tuple[float, T]:
    """Milliseconds until the device is done, and what was returned."""
    start = time.perf_counter()
    value = call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return (time.perf_counter() - start) * 1e3, value


def _median(values: Sequence[float] | np.ndarray) -> float:
    return float(np.median(values))
