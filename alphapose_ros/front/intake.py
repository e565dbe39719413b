# SPDX-License-Identifier: Apache-2.0
"""One camera's messages -> frames for the session, each mistake one throttled line."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.records import Frame, FrameResult, Intrinsics
from alphapose_ros.front.throttle import Throttle
from alphapose_ros.io.image_messages import Pixels, checked_image, intrinsics_of
from alphapose_ros.io.stamps import StampGuard, StampVerdict
from alphapose_ros.output.messages import stamp_of

logger = logging.getLogger("alphapose_ros.node")

_SECOND_NS = 10**9
_DIGIT = re.compile(r"\d")
_QUOTE = re.compile("[:'\"]")
_MAX_LINE = 300  # characters; a damaged message can hold a megabyte of name


@dataclass(frozen=True)
class LiveFrame(Frame):
    """A frame from a live camera.

    Attributes:
        header_stamp_ns: 0 where the camera gave no stamp.
        received_s: ``time.monotonic()`` of its receipt.
    """

    header_stamp_ns: int = 0
    received_s: float = 0.0

    def answer(self, result: FrameResult) -> FrameResult:
        """The result with the stamp that its image came with, 0 where it came without."""
        return replace(result, header=replace(result.header, stamp_ns=self.header_stamp_ns))


@dataclass(frozen=True)
class LiveImage:
    """An image whose message was checked, and which is decoded when its turn comes.

    Attributes:
        camera: its name.
        open: decodes it on the session's thread; None where that fails, which was counted.
    """

    camera: str
    open: Callable[[], LiveFrame | None]


@dataclass
class InputCounts:
    """What became of a camera's images before the session saw them."""

    received: int = 0
    superseded: int = 0
    refused: int = 0
    out_of_order: int = 0
    clock_changes: int = 0


class ImageIntake:
    """Judges what one camera sends; the front calls it on one thread, the session on another.

    Args:
        camera: its name.
        topic: of the images, for the log.
        submit: takes an image; never blocks.
        reset: called with the camera's name when its clock was set back.
        rectified: the images are rectified: camera_info's P holds, not K.
        clock_ns: what stands in for the stamp of an image without one.
        check: message -> what decodes it; raises InputError at once where that is cheap to see.
    """

    def __init__(
        self,
        camera: str,
        topic: str,
        submit: Callable[[LiveImage], None],
        reset: Callable[[str], None],
        *,
        rectified: bool = False,
        clock_ns: Callable[[], int] = time.time_ns,
        check: Callable[[Any], Pixels] = checked_image,
    ) -> None:
        self.camera, self.topic, self.counts = camera, topic, InputCounts()
        self.refusal = ""  # why the last refused image was refused
        self.heard_s = time.monotonic()  # when the last image came, or the listening began
        self.age_s = 0.0  # of the last image when it came, by its stamp
        self.intrinsics: Intrinsics | None = None
        self.other_size = ""  # why camera_info does not fit the last image
        self._submit, self._reset, self._clock_ns = submit, reset, clock_ns
        self._rectified, self._check = rectified, check
        self._lock = threading.Lock()  # refusals come from both threads
        self._guard, self._throttle = StampGuard(), Throttle()

    def listen(self) -> None:
        """Silence counts from now."""
        self.heard_s = time.monotonic()

    def image(self, message: Any) -> None:
        """One image message came."""
        self.arrived(1)
        self.take(message)

    def arrived(self, count: int) -> None:
        """Images came, readable or not; all but the newest are skipped."""
        self.heard_s = time.monotonic()
        self.counts.received += count
        self.counts.superseded += count - 1

    def take(self, message: Any) -> None:
        """Take the newest image that has :meth:`arrived` in."""
        try:
            check_stamp(message)
            pixels = self._check(message)
        except InputError as error:
            self.refuse(error)
            return
        received_ns = self._clock_ns()
        verdict = self._guard.judge(stamp_of(message), received_ns)
        self.age_s = (received_ns - verdict.stamp_ns) / 1e9
        if verdict.missing and self._throttle("zero stamp"):
            logger.warning("%s: images without stamp; the time of receipt is used", self.topic)
        if not verdict.accepted:
            self.counts.out_of_order += 1
            return
        if verdict.new_clock:
            self.counts.clock_changes += 1
            logger.warning("%s: the camera's clock was set back; tracks start over", self.topic)
            self._reset(self.camera)
        frame = partial(self._frame, pixels, message.header.frame_id, verdict, self.heard_s)
        self._submit(LiveImage(self.camera, frame))

    def _frame(
        self, pixels: Pixels, frame_id: str, verdict: StampVerdict, received_s: float
    ) -> LiveFrame | None:
        try:
            image = pixels()
        except InputError as error:
            self.refuse(error)
            return None
        return LiveFrame(
            image,
            verdict.stamp_ns,
            self.camera,
            frame_id,
            intrinsics=self._matching_intrinsics(image.shape[:2]),
            header_stamp_ns=0 if verdict.missing else verdict.stamp_ns,
            received_s=received_s,
        )

    def refuse(self, error: InputError) -> None:
        """Count an image that cannot be used and say why."""
        with self._lock:
            self.counts.refused += 1
        self.refusal = _line(error)
        kind = _kind(self.refusal)
        self.complain(kind, f"{self.topic}: image refused: {self.refusal}")

    def camera_info(self, message: Any, topic: str) -> None:
        """The latest calibration counts."""
        try:
            self.intrinsics = intrinsics_of(message, rectified=self._rectified)
        except InputError as error:
            self.intrinsics = None
            self.complain("camera_info", f"{topic}: refused: {_line(error)}")

    def complain(self, kind: str, text: str) -> None:
        """One line in the log; a line of the same ``kind`` stays away for a while."""
        if self._throttle(kind):
            logger.error("%s", text)

    def _matching_intrinsics(self, size_hw: tuple[int, ...]) -> Intrinsics | None:
        known = self.intrinsics
        if known is None or known.size_hw == size_hw:
            self.other_size = ""
            return known
        expected, got = (f"{w}x{h}" for h, w in (size_hw, known.size_hw))
        self.other_size = f"camera_info: expected the images' size {expected}, got {got}"
        self.complain("camera_info size", f"{self.topic}: {self.other_size}")
        return None


def check_stamp(message: Any) -> None:
    """What is no time cannot be answered: ROS 2 has no times before 1970.

    Raises:
        InputError: seconds below 0, or a second or more of nanoseconds.
    """
    stamp = message.header.stamp
    if stamp.sec < 0 or not 0 <= stamp.nanosec < _SECOND_NS:
        raise InputError(
            f"damaged stamp: expected sec >= 0 and nanosec < 1e9, got {stamp.sec} and "
            f"{stamp.nanosec}"
        )


def _kind(line: str) -> str:
    """The kind of fault: what is quoted in it and its numbers differ from image to image."""
    return _DIGIT.sub("0", _QUOTE.split(line, maxsplit=1)[0])


def _line(error: InputError) -> str:
    """An error as one line of the log, whatever is quoted in it."""
    text = " ".join(str(error).split())
    return text if len(text) <= _MAX_LINE else f"{text[:_MAX_LINE]}..."
