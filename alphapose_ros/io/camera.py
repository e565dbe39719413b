# SPDX-License-Identifier: Apache-2.0
"""A live camera or network stream: the newest image, never a queue of old ones."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from typing import Any

from alphapose_ros.base.channels import red_blue_swapped
from alphapose_ros.base.errors import SourceError, require
from alphapose_ros.base.records import Frame
from alphapose_ros.io.source_base import INSTALL_OPENCV, Source


class CameraSource(Source):
    """A camera index, device or stream URL; frames carry the wall clock of their arrival.

    The clock is read once: whoever sets it meanwhile would make stamps go backwards, which ends
    what is tracked, or leap. A thread takes every image off the driver, so that a slow reader
    gets the newest one instead of the driver's oldest.

    Args:
        device: index, ``/dev/video*`` or URL.
        timeout_s: silence after which the camera counts as gone.
    """

    def __init__(self, device: int | str, *, timeout_s: float = 5.0) -> None:
        cv2 = require("cv2", needed_for="reading cameras", install=INSTALL_OPENCV)
        capture: Any = cv2.VideoCapture(device)
        if not capture.isOpened():
            capture.release()
            kind = f"camera {device}" if isinstance(device, int) else device
            raise SourceError(f"{kind}: cannot be opened (not there, in use, or not permitted)")
        fps = capture.get(cv2.CAP_PROP_FPS)
        name = f"camera{device}" if isinstance(device, int) else device.rsplit("/", 1)[-1]
        super().__init__(
            name, fps=fps if math.isfinite(fps) and 0 < fps <= 1000 else 30.0, live=True
        )
        self._capture = capture
        self._timeout_s = timeout_s
        self._fresh = threading.Condition()
        self._newest: Frame | None = None
        self._ended = False
        self._epoch_ns = time.time_ns() - time.monotonic_ns()
        self._thread = threading.Thread(target=self._read, name=f"read {name}", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        while not self._ended:
            found, image = self._capture.read()
            with self._fresh:
                if found:
                    rgb = red_blue_swapped(image)
                    stamp_ns = self._epoch_ns + time.monotonic_ns()
                    self._newest = Frame(rgb, stamp_ns, self.name, self.name)
                else:
                    self._ended = True
                self._fresh.notify_all()

    def __iter__(self) -> Iterator[Frame]:
        while True:
            with self._fresh:
                arrived = self._fresh.wait_for(
                    lambda: self._newest is not None or self._ended, self._timeout_s
                )
                frame, self._newest = self._newest, None
            if frame is not None:
                yield frame
            elif not arrived:
                raise SourceError(f"{self.name}: no image for {self._timeout_s:g} s")
            else:
                raise SourceError(f"{self.name}: the camera stopped giving images")

    def close(self) -> None:
        """Stop reading and give the camera back."""
        self._ended = True
        self._thread.join(self._timeout_s)
        if not self._thread.is_alive():  # a hung driver keeps its handle; releasing would crash
            self._capture.release()
