# SPDX-License-Identifier: Apache-2.0
"""Depth images beside the camera's: kept for a moment, never waited for."""

from __future__ import annotations

import threading
from typing import Any

import message_filters
from rclpy.clock import ClockType
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.time import Time
from sensor_msgs.msg import Image

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.records import FloatArray
from alphapose_ros.front.intake import ImageIntake, check_stamp
from alphapose_ros.io.image_messages import decode_depth
from alphapose_ros.output.messages import stamp_of
from alphapose_ros.ros.subscription import AdaptiveSubscription

_KEPT_S = Duration(seconds=1)  # longer than a result takes
_KEPT = 128  # and no more than this at any rate


class _Cache(message_filters.Cache):
    """A cache that the executor fills while the session's thread reads it."""

    def __init__(self, source: Any, size: int) -> None:
        self.lock = threading.Lock()
        super().__init__(source, size)

    def add(self, message: Any) -> None:
        """Keep a message, and forget what is older than any image in work."""
        with self.lock:
            super().add(message)
            newest = self.cache_times[-1]
            while newest - self.cache_times[0] > _KEPT_S or newest < self.cache_times[0]:
                del self.cache_times[0], self.cache_msgs[0]


class DepthInput:
    """The depth images of one camera.

    A result takes the depth image nearest to its own image's stamp when the networks are done:
    depth that comes later is too late for that image and delays nothing.

    Args:
        node, topic, reliability: where and how to listen.
        intake: writes down what is refused.
    """

    def __init__(self, node: Node, topic: str, reliability: str, intake: ImageIntake) -> None:
        self._node, self.topic, self._reliability, self._intake = node, topic, reliability, intake
        self.clear()
        self.received = 0
        self.missed = 0  # results for which no depth image was near enough

    def subscribe(self) -> AdaptiveSubscription:
        """Listen."""
        return AdaptiveSubscription(
            self._node, Image, self.topic, self._on_depth, self._reliability, depth=2
        )

    def clear(self) -> None:
        """Forget what is kept."""
        self._filter = message_filters.SimpleFilter()
        self._cache = _Cache(self._filter, _KEPT)

    def at(self, stamp_ns: int, tolerance_s: float) -> FloatArray | None:
        """(H, W) m of the depth image nearest to ``stamp_ns``; None if none is near enough."""
        message = self._nearest(stamp_ns, tolerance_s)
        if message is None:
            self.missed += self.received > 0
            return None
        try:
            return decode_depth(message)
        except InputError as error:
            self._intake.complain(
                f"depth {str(error).partition(':')[0]}", f"{self.topic}: depth refused: {error}"
            )
            return None

    def _nearest(self, stamp_ns: int, tolerance_s: float) -> Any:
        stamp = Time(nanoseconds=stamp_ns, clock_type=ClockType.ROS_TIME)
        reach = Duration(seconds=tolerance_s)
        begin = (
            stamp - reach if stamp_ns > reach.nanoseconds else Time(clock_type=stamp.clock_type)
        )
        with self._cache.lock:
            near = self._cache.getInterval(begin, stamp + reach)
        return min(near, key=lambda m: abs(stamp_of(m) - stamp_ns), default=None)

    def _on_depth(self, message: Any) -> None:
        self.received += 1
        try:
            check_stamp(message)
        except InputError as error:
            self._intake.complain("depth stamp", f"{self.topic}: depth refused: {error}")
            return
        self._filter.signalMessage(message)
