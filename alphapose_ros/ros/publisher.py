# SPDX-License-Identifier: Apache-2.0
"""rclpy's publishers as the fronts' common code wants them."""

from __future__ import annotations

from typing import Any

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from alphapose_ros.ros.classes import message_class


class RosPublisher:
    """A :class:`~alphapose_ros.front.results.Publisher`: reliable, which everybody matches.

    Args:
        node: whose it is.
        topic: relative or absolute name.
        kind: such as ``sensor_msgs/msg/Image``.
        depth: messages kept for slow subscribers.
        latched: who comes late gets the last message too.
    """

    def __init__(
        self, node: Node, topic: str, kind: str, *, depth: int = 10, latched: bool = False
    ) -> None:
        durability = DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE
        profile = QoSProfile(
            depth=depth, reliability=ReliabilityPolicy.RELIABLE, durability=durability
        )
        self._node = node
        self._publisher = node.create_publisher(message_class(kind), topic, profile)
        self.topic = str(self._publisher.topic_name)

    @property
    def matched(self) -> int:
        """How many listen."""
        return int(self._publisher.get_subscription_count())

    def publish(self, message: Any) -> None:
        """Send it."""
        self._publisher.publish(message)

    def publish_cdr(self, cdr: bytes) -> None:
        """Send a message that is serialized already."""
        self._publisher.publish(cdr)

    def destroy(self) -> None:
        """Leave the graph."""
        self._node.destroy_publisher(self._publisher)
