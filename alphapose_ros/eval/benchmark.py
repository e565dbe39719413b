# SPDX-License-Identifier: Apache-2.0
"""``alphapose-ros bench``: frames per second, each stage's share, and the bare networks' time.

The bare forwards are the pipeline's own networks on the very inputs that the pipeline gave them
for the same image. They are timed in turn with the pipeline, so that a busy machine slows both,
and medians are compared.
"""

from __future__ import annotations

import itertools
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch

from alphapose_ros.base.errors import InputError, require
from alphapose_ros.base.records import Frame, FrameResult, ImageArray
from alphapose_ros.pipeline import PosePipeline
from alphapose_ros.pose.refiner import whole_of
from alphapose_ros.runtime.recording import Place, recorded

T = TypeVar("T")
_FRAME = "frame"
_WARM_UP = 5
_FRAME_NS = 33_333_333  # 30 frames/s


@dataclass(frozen=True)
class BenchmarkReport:
    """Medians over the frames.

    Attributes:
        size_hw: of the image.
        people: poses in the last frame.
        frame_ms: the pipeline's whole frame.
        stages_ms: the pipeline's own timings of its stages.
        networks_ms: the bare forward of each network.
        device, threads: where it ran.
    """

    size_hw: tuple[int, int]
    people: int
    frame_ms: float
    stages_ms: Mapping[str, float]
    networks_ms: Mapping[str, float]
    device: str
    threads: int

    @property
    def ratio(self) -> float:
        """Whole frame over the sum of the bare forwards; 1 would be no overhead at all."""
        return self.frame_ms / max(sum(self.networks_ms.values()), 1e-9)

    def numbers(self) -> dict[str, Any]:
        """Everything as plain values for JSON."""
        return {
            "height": self.size_hw[0],
            "width": self.size_hw[1],
            "people": self.people,
            "frames_per_second": 1e3 / self.frame_ms,
            "frame_ms": self.frame_ms,
            "stages_ms": dict(self.stages_ms),
            "networks_ms": dict(self.networks_ms),
            "ratio": self.ratio,
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
        lines.append(f"{'ratio to the networks':24}{self.ratio:8.2f}")
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
    device = torch.device(pipeline.device)
    stamps = itertools.count(0, _FRAME_NS)

    def one_frame() -> FrameResult:
        return pipeline(Frame(image, next(stamps), "bench"))

    places = _networks(pipeline)
    with recorded(places) as calls:
        one_frame()
    forwards = {name: _Forward(getattr(*places[name]), given) for name, given in calls.items()}
    for _ in range(_WARM_UP):
        one_frame()
        for forward in forwards.values():
            forward()
    times: dict[str, list[float]] = defaultdict(list)
    stages: dict[str, list[float]] = defaultdict(list)
    for _ in range(frames):
        whole_ms, result = _timed(one_frame, device)
        times[_FRAME].append(whole_ms)
        for name, stage_ms in result.timings_ms.items():
            stages[name].append(stage_ms)
        for name, forward in forwards.items():
            times[name].append(_timed(forward, device)[0])
    return BenchmarkReport(
        size_hw=(int(image.shape[0]), int(image.shape[1])),
        people=len(result.tracks),
        frame_ms=_median(times[_FRAME]),
        stages_ms={name: _median(values) for name, values in stages.items()},
        networks_ms={name: _median(times[name]) for name in forwards},
        device=str(device),
        threads=torch.get_num_threads(),
    )


def _networks(pipeline: PosePipeline) -> dict[str, Place]:
    """Where the networks are held; a detector may have none."""
    places: dict[str, Place] = {
        "detector": (pipeline.detector, "model"),
        "pose": (whole_of(pipeline.estimator), "network"),
    }
    return {
        name: place
        for name, place in places.items()
        if callable(getattr(place[0], place[1], None))
    }


class _Forward:
    """A network on all inputs that it had in one frame."""

    def __init__(self, network: Callable[..., Any], calls: Sequence[tuple[Any, ...]]) -> None:
        self._network, self._calls = network, calls

    @torch.inference_mode()
    def __call__(self) -> None:
        for arguments in self._calls:
            self._network(*arguments)


def _timed(call: Callable[[], T], device: torch.device) -> tuple[float, T]:
    """Milliseconds until the device is done, and what was returned."""
    start = time.perf_counter()
    value = call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return (time.perf_counter() - start) * 1e3, value


def _median(values: Sequence[float]) -> float:
    return float(np.median(values))


def three_people() -> ImageArray:
    """640x480 with three people: scikit-image's astronaut (public domain) side by side."""
    data = require(
        "skimage.data",
        needed_for="bench without --image",
        install="install it with: pip install scikit-image, or give an image",
    )
    cv2 = require("cv2", needed_for="bench", install="pip install opencv-python-headless")
    astronaut: ImageArray = data.astronaut()
    person = astronaut[:, 90:360]  # without the shuttle's model and the flag
    canvas = np.full((480, 640, 3), 96, np.uint8)
    for column, height in enumerate((400, 360, 380)):
        width = round(height * person.shape[1] / person.shape[0])
        tile = cv2.resize(person if column != 1 else person[:, ::-1], (width, height))
        left = 213 * column + (213 - width) // 2
        canvas[480 - height :, left : left + width] = tile
    return canvas
