# SPDX-License-Identifier: Apache-2.0
"""A recording as a camera: images at their real rate, with their calibration."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from threading import Event
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.records import Frame, ImageArray, Intrinsics
from alphapose_ros.front.results import MakePublisher
from alphapose_ros.io.image_messages import compressed_message, image_message
from alphapose_ros.io.source_base import Source, of_one_camera
from alphapose_ros.output.messages import Classes, ros_time

_IMAGE = "sensor_msgs/msg/Image"
_COMPRESSED = "sensor_msgs/msg/CompressedImage"
_INFO = "sensor_msgs/msg/CameraInfo"


_CHOOSE = "choose one: alphapose-ros play --camera TOPIC, or play_node's parameter camera"


class CameraPublisher:
    """Publishes images with their calibration, each form only where somebody listens.

    Args:
        make: makes the publisher of a topic and a type.
        classes: message constructors.
        topic: name of the raw images; JPEG goes to ``topic/compressed``, calibration to
            the sibling ``camera_info``.
        raw, compressed: which forms there are.
        frame_id: of the optical frame.
        field_of_view_deg: horizontal, for images that bring no calibration; 0: camera_info says
            that the camera is not calibrated.
    """

    def __init__(
        self,
        make: MakePublisher,
        classes: Classes,
        topic: str,
        *,
        raw: bool = True,
        compressed: bool = False,
        frame_id: str = "camera_optical_frame",
        field_of_view_deg: float = 0.0,
    ) -> None:
        self._classes, self._frame_id = classes, frame_id
        self._field_of_view = math.radians(field_of_view_deg)
        folder, slash, _ = topic.rpartition("/")
        self.image = make(topic, _IMAGE, depth=2) if raw else None
        self.compressed = make(f"{topic}/compressed", _COMPRESSED, depth=2) if compressed else None
        self._info = make(f"{folder}{slash}camera_info", _INFO, depth=2)

    def publish(self, frame: Frame, stamp_ns: int) -> None:
        """Send one image stamped ``stamp_ns``."""
        header = self._classes.Header(
            stamp=ros_time(stamp_ns, self._classes), frame_id=self._frame_id
        )
        self._info.publish(self._camera_info(frame, header))
        if self.image is not None and self.image.matched:
            self.image.publish(image_message(frame.image, self._classes, header, "bgr8"))
        if self.compressed is not None and self.compressed.matched:
            self.compressed.publish(compressed_message(frame.image, self._classes, header))

    def _camera_info(self, frame: Frame, header: Any) -> Any:
        height, width = frame.size_hw
        camera = frame.intrinsics or self._assumed(frame.image)
        k, p = [0.0] * 9, [0.0] * 12
        if camera is not None:
            fx, fy, cx, cy = camera.fx, camera.fy, camera.cx, camera.cy
            k = [fx, 0, cx, 0, fy, cy, 0, 0, 1]
            p = [fx, 0, cx, 0, 0, fy, cy, 0, 0, 0, 1, 0]
        sequence = self._classes.sequence
        return self._classes.CameraInfo(
            header=header,
            height=height,
            width=width,
            distortion_model="plumb_bob",
            d=sequence(_doubles(camera.distortion if camera else ())),
            k=sequence(_doubles(k)),
            r=sequence(_doubles([1, 0, 0, 0, 1, 0, 0, 0, 1])),
            p=sequence(_doubles(p)),
        )

    def _assumed(self, image: ImageArray) -> Intrinsics | None:
        if not self._field_of_view:
            return None
        height, width = image.shape[:2]
        focal = width / 2 / math.tan(self._field_of_view / 2)
        return Intrinsics(focal, focal, (width - 1) / 2, (height - 1) / 2, (height, width))


def paced(
    source: Source, rate: float, stop: Event, begin_s: float | None = None
) -> Iterator[Frame]:
    """The source's frames, each when it is due, until ``stop`` is set.

    Args:
        source, stop: what to read, and until when.
        rate: frames per second.
        begin_s: ``time.monotonic()`` when the first frame is due; None: now.
    """
    begin_s = time.monotonic() if begin_s is None else begin_s
    for index, frame in enumerate(source):
        if not source.live and stop.wait(max(begin_s + index / rate - time.monotonic(), 0)):
            return
        if stop.is_set():
            return
        yield frame


def played(
    open_source: Callable[[], Source], stop: Event, *, rate: float = 0.0, loop: bool = False
) -> Iterator[Frame]:
    """One camera's frames, each when it is due, until ``stop`` is set.

    Args:
        open_source: opens the recording or camera, once for each pass.
        stop: ends it.
        rate: frames per second; 0: the source's own.
        loop: begin again at the end, as long after the last frame as after any other.

    Raises:
        InputError: the recording is of several cameras.
    """
    due_s = 0.0
    while not stop.is_set():
        with open_source() as source:
            hz, count = rate or source.fps, 0
            begin_s = max(due_s, time.monotonic())
            for frame in of_one_camera(paced(source, hz, stop, begin_s), _CHOOSE):
                yield frame
                count += 1
            due_s = begin_s + count / hz
        if not (loop and count):  # a recording without images would be opened again and again
            return


def _doubles(values: Iterable[float]) -> NDArray[np.float64]:
    return np.array(tuple(values), np.float64)
