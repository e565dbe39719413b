# SPDX-License-Identifier: Apache-2.0
"""A subscription that hears publishers of any reliability.

A reliable subscriber hears nothing from a best-effort publisher, and large images lose parts on a
best-effort road; so it begins with best effort, which everyone matches, and turns to reliable once
all publishers offer that. Where one came that does not, reliable is asked for again when all have
offered it for a while.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSProfile,
    ReliabilityPolicy,
)

try:
    from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks, UnsupportedEventTypeError


CALM = 5  # looks at reliable publishers alone before reliable is asked for again


class AdaptiveSubscription:
    """Listens to one topic; all calls on the executor's thread.

    Args:
        node: whose subscription it is.
        kind: message class.
        topic: resolved name.
        callback: takes a message.
        reliability: ``auto``, ``best_effort`` or ``reliable``.
        depth: messages kept for a slow executor, the newest.
    """

    def __init__(
        self,
        node: Node,
        kind: Any,
        topic: str,
        callback: Callable[[Any], None],
        reliability: str = "auto",
        depth: int = 1,
    ) -> None:
        self._node, self._kind, self._callback, self._depth = node, kind, callback, depth
        self.topic, self._wanted = topic, reliability
        self.refused = False  # a publisher offers less than was asked for
        self._calm = CALM  # looks since a publisher offered best effort only
        self.reliability = "reliable" if self._begins_reliable() else "best_effort"
        self._subscription = self._create()

    @property
    def offers(self) -> list[str]:
        """The reliability of each publisher, best effort where it is not known."""
        found = self._node.get_publishers_info_by_topic(self.topic)
        return [
            "reliable"
            if info.qos_profile.reliability == ReliabilityPolicy.RELIABLE
            else "best_effort"
            for info in found
        ]

    @property
    def why_silent(self) -> str:
        """The reason, should no messages come."""
        offers = self.offers
        if not offers:
            return (
                f"no publisher on {self.topic}; check the topic's name, the namespace, "
                "ROS_DOMAIN_ID and the network"
            )
        if self.reliability == "reliable" and "best_effort" in offers:
            return (
                f"incompatible QoS on {self.topic}: its publisher offers best effort and "
                "reliability is forced to reliable; set reliability to auto"
            )
        if self.refused:
            return f"incompatible QoS on {self.topic}: compare `ros2 topic info -v {self.topic}`"
        return f"{len(offers)} publishers on {self.topic}, none sends"

    def follow(self) -> None:
        """Look at the publishers and listen anew where another reliability serves them better."""
        if self._wanted != "auto":
            return
        offers = self.offers
        if "best_effort" in offers or (self.reliability == "reliable" and self.refused):
            self._calm = 0
            self._change("best_effort")
        elif not offers:
            self._calm = CALM
        elif self._calm < CALM:
            self._calm += 1
        else:
            self._change("reliable")

    def destroy(self) -> None:
        """Stop listening."""
        self._node.destroy_subscription(self._subscription)

    def _begins_reliable(self) -> bool:
        """Publishers that are known already spare a change, in which an image can be lost."""
        if self._wanted != "auto":
            return self._wanted == "reliable"
        offers = self.offers
        return bool(offers) and "best_effort" not in offers

    def _change(self, reliability: str) -> None:
        if reliability == self.reliability:
            return
        self.reliability, self.refused = reliability, False
        self._node.destroy_subscription(self._subscription)
        self._subscription = self._create()

    def _create(self) -> Any:
        profile = QoSProfile(
            history=HistoryPolicy.KEEP_LAST,
            depth=self._depth,
            reliability=ReliabilityPolicy.RELIABLE
            if self.reliability == "reliable"
            else ReliabilityPolicy.BEST_EFFORT,
            durability=DurabilityPolicy.VOLATILE,
        )
        events = SubscriptionEventCallbacks(incompatible_qos=self._on_incompatible)
        create = self._node.create_subscription
        try:
            return create(self._kind, self.topic, self._callback, profile, event_callbacks=events)
        except UnsupportedEventTypeError:  # a middleware without these events: follow() does it
            return create(self._kind, self.topic, self._callback, profile)

    def _on_incompatible(self, _event: Any) -> None:
        self.refused = True
