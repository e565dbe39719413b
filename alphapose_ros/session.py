# SPDX-License-Identifier: Apache-2.0
"""Cameras in, results out: the newest image of each camera wins, one worker does the work.

A camera that sends faster than the worker works has its waiting image replaced, never queued, so
the age of what is worked on stays below one turn of the worker, at any input rate. What has yet to
be decoded is decoded when its turn comes: images that are replaced cost nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

from alphapose_ros.base.errors import AlphaPoseError
from alphapose_ros.base.records import Frame, FrameResult

log = logging.getLogger(__name__)

_MEMORY = 0.1  # share of the newest value in the running means


class Pipeline(Protocol):
    """What a session needs of a pipeline."""

    def process(self, frames: list[Frame]) -> list[FrameResult]:
        """Results of frames of different cameras."""

    def reset(self, camera: str | None = None) -> None:
        """Forget people."""


class WaitingImage(Protocol):
    """An image that is decoded only when its turn comes."""

    @property
    def camera(self) -> str:
        """Which camera took it."""

    def open(self) -> Frame | None:
        """Decode it; None where that cannot be done, and somebody has said why."""


@dataclass(frozen=True)
class CameraStatistics:
    """Counts since the session began, and running means.

    A camera's first image finds networks that were not yet run on its size, so its times count
    only until the second's are there.

    Attributes:
        received, processed: images. dropped: replaced by a newer one before their turn.
        failed: images on which the pipeline, or whoever receives the results, raised an error.
        people: in the last result.
        rate_hz: results per second.
        input_age_ms: from the image's stamp to the start of the work.
        latency_ms: from the image's stamp to its result.
        stages_ms: per stage of the pipeline.
    """

    received: int = 0
    processed: int = 0
    dropped: int = 0
    failed: int = 0
    people: int = 0
    rate_hz: float = 0.0
    input_age_ms: float = 0.0
    latency_ms: float = 0.0
    stages_ms: dict[str, float] = field(default_factory=dict)


class Session:
    """A worker thread around a pipeline.

    Args:
        pipeline: see :class:`Pipeline`.
        on_result: called on the worker's thread with every frame and its result.
        images_at_once: of different cameras in one turn, those first whose camera has waited
            longest; None: all that wait.
        clock_ns: the clock of the stamps.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        on_result: Callable[[Frame, FrameResult], None],
        *,
        images_at_once: int | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._pipeline, self._on_result, self._clock_ns = pipeline, on_result, clock_ns
        self._images_at_once = images_at_once
        self._changed = threading.Condition()
        self._mailboxes: dict[str, Frame | WaitingImage] = {}
        self._actions: list[Callable[[], None]] = []
        self._statistics: dict[str, CameraStatistics] = {}
        self._finished_ns: dict[str, int] = {}
        self._open = True
        self._worker = threading.Thread(target=self._work, name="alphapose-worker", daemon=True)
        self._worker.start()

    def submit(self, frame: Frame | WaitingImage) -> None:
        """Leave a camera's newest image; one that still waits is replaced. Never blocks."""
        with self._changed:
            if not self._open:
                return
            dropped = frame.camera in self._mailboxes
            self._count(frame.camera, received=1, dropped=int(dropped))
            self._mailboxes[frame.camera] = frame
            self._changed.notify()

    def reset(self, camera: str | None = None) -> None:
        """Forget the people of a camera, or of all, before the next image is worked on."""
        with self._changed:
            self._actions.append(lambda: self._pipeline.reset(camera))
            for name in [n for n in self._mailboxes if camera in (None, n)]:
                del self._mailboxes[name]  # an image of the old clock
                self._count(name, dropped=1)
            self._changed.notify()

    def between_frames(self, action: Callable[[], None]) -> None:
        """Have the worker call ``action`` before the next image is worked on. Never blocks."""
        with self._changed:
            self._actions.append(action)
            self._changed.notify()

    def statistics(self) -> dict[str, CameraStatistics]:
        """A snapshot per camera."""
        with self._changed:
            return dict(self._statistics)

    def close(self, timeout_s: float = 10.0) -> None:
        """Stop after the images in work; those that wait are given up. May be called twice."""
        with self._changed:
            self._open = False
            self._mailboxes.clear()
            self._changed.notify()
        if self._worker is not threading.current_thread():
            self._worker.join(timeout_s)
            if self._worker.is_alive():
                log.warning("the worker did not stop within %.0f s", timeout_s)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._mailboxes or self._actions or not self._open)
                if not self._open:
                    return
                # A camera keeps its place while its image is replaced, and goes last afterwards.
                turn = list(self._mailboxes)[: self._images_at_once]
                waiting = [self._mailboxes.pop(camera) for camera in turn]
                actions, self._actions = self._actions, []
            for action in actions:
                with self._costing([], "a change between two images"):
                    action()
            if waiting:
                self._turn(waiting)

    def _turn(self, waiting: list[Frame | WaitingImage]) -> None:
        """Work on the newest images of all cameras; an error costs the images it belongs to."""
        begun = self._clock_ns()
        frames = list(self._opened(waiting))
        if not frames:
            return
        pairs: list[tuple[Frame, FrameResult]] = []
        with self._costing([frame.camera for frame in frames], "the pipeline"):
            pairs = list(zip(frames, self._pipeline.process(frames), strict=True))
        for frame, result in pairs:
            with self._costing([frame.camera], "the result's receiver"):
                self._on_result(frame, result)
                self._note(frame, result, begun)

    def _opened(self, waiting: list[Frame | WaitingImage]) -> Iterator[Frame]:
        for image in waiting:
            frame: Frame | None = None
            with self._costing([image.camera], "decoding"):
                frame = image if isinstance(image, Frame) else image.open()
            if frame is not None:
                yield frame

    @contextmanager
    def _costing(self, cameras: list[str], what: str) -> Iterator[None]:
        """A live node outlives what is raised here; an image of each camera counts as failed."""
        try:
            yield
            return
        except AlphaPoseError as error:
            log.error("%s: %s", ", ".join(cameras) or what, error)
        except Exception:  # a bug; it is logged whole
            log.exception("%s: %s failed", ", ".join(cameras), what)
        with self._changed:
            for camera in cameras:
                self._count(camera, failed=1)

    def _note(self, frame: Frame, result: FrameResult, begun_ns: int) -> None:
        now = self._clock_ns()
        with self._changed:
            old = self._statistics.get(frame.camera, CameraStatistics())
            last = self._finished_ns.get(frame.camera)
            self._finished_ns[frame.camera] = now
            # A clock that stands or was set back says nothing about the rate.
            rate = 1e9 / (now - last) if last is not None and now > last else old.rate_hz
            begin = old.processed < 2  # of the means: see CameraStatistics
            self._statistics[frame.camera] = replace(
                old,
                processed=old.processed + 1,
                people=len(result.tracks),
                rate_hz=_mean(old.rate_hz, rate, begin),
                input_age_ms=_mean(old.input_age_ms, (begun_ns - frame.stamp_ns) / 1e6, begin),
                latency_ms=_mean(old.latency_ms, (now - frame.stamp_ns) / 1e6, begin),
                stages_ms={
                    stage: _mean(old.stages_ms.get(stage, 0.0), value, begin)
                    for stage, value in result.timings_ms.items()
                },
            )

    def _count(self, camera: str, **changes: int) -> None:
        old = self._statistics.get(camera, CameraStatistics())
        self._statistics[camera] = replace(
            old, **{name: getattr(old, name) + more for name, more in changes.items()}
        )


def _mean(old: float, new: float, begin: bool) -> float:
    return new if begin else old + _MEMORY * (new - old)
