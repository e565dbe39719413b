# SPDX-License-Identifier: Apache-2.0
"""Depth images beside the camera's: kept for a moment, never waited for."""

from __future__ import annotations

import threading
import time
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

_KEPT_NS = 10**9  # at least; longer where results take longer
_MOST_NS = 10**10
_KEPT = 128  # and no more than this at any rate
_TOO_OLD = 10  # messages in a row that are: the clock was set back


class _Cache(message_filters.Cache):
    """A cache that the executor fills while the session's thread reads it."""

    def __init__(self, source: Any, size: int) -> None:
        self.lock = threading.Lock()
        self.kept_ns = _KEPT_NS
        self._too_old = 0
        super().__init__(source, size)

    def add(self, message: Any) -> None:
        """Keep a message, and forget what is older than any image in work."""
        with self.lock:
            newest = max((t.nanoseconds for t in self.cache_times), default=0)
            self._too_old = self._too_old + 1 if stamp_of(message) < newest - self.kept_ns else 0
            if 0 < self._too_old < _TOO_OLD:  # late: those that came in time stay
                return
            if self._too_old:
                self.cache_times.clear()
                self.cache_msgs.clear()
                self._too_old = 0
            super().add(message)
            oldest = max(t.nanoseconds for t in self.cache_times) - self.kept_ns
            while self.cache_times[0].nanoseconds < oldest:
                del self.cache_times[0], self.cache_msgs[0]

    def reached_back_to(self, stamp_ns: int) -> None:
        """An image of that stamp is done: others may take as long."""
        newest = max((t.nanoseconds for t in self.cache_times), default=stamp_ns)
        self.kept_ns = min(max(_KEPT_NS, 2 * (newest - stamp_ns)), _MOST_NS)


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
        self.heard_s = time.monotonic()  # when the last one came, or the listening began
        self._subscription: AdaptiveSubscription | None = None

    def subscribe(self) -> AdaptiveSubscription:
        """Listen; silence counts from now."""
        self.heard_s = time.monotonic()
        self._subscription = AdaptiveSubscription(
            self._node, Image, self.topic, self._on_depth, self._reliability, depth=2
        )
        return self._subscription

    @property
    def why_silent(self) -> str:
        """The reason, should no depth come."""
        return self._subscription.why_silent if self._subscription else "the node does not listen"

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
        cache = self._cache  # another one after clear() on the executor's thread
        with cache.lock:
            near = cache.getInterval(begin, stamp + reach)
            cache.reached_back_to(stamp_ns)
        return min(near, key=lambda m: abs(stamp_of(m) - stamp_ns), default=None)

    def _on_depth(self, message: Any) -> None:
        self.received += 1
        self.heard_s = time.monotonic()
        try:
            check_stamp(message)
            if stamp_of(message) == 0:
                raise InputError("expected the stamp of the image it belongs to, got none")
        except InputError as error:
            self._intake.complain("depth stamp", f"{self.topic}: depth refused: {error}")
            return
        self._filter.signalMessage(message)
