# SPDX-License-Identifier: Apache-2.0
"""One camera of the ros front: its images, its calibration and its depth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from alphapose_ros.base.records import FloatArray
from alphapose_ros.front.config import CameraTopics, NodeConfig
from alphapose_ros.front.intake import ImageIntake, LiveImage
from alphapose_ros.front.topics import camera_info_topic, depth_topic, depth_wanted, image_topic
from alphapose_ros.ros.decoding import checked_any
from alphapose_ros.ros.depth import DepthInput
from alphapose_ros.ros.subscription import AdaptiveSubscription


class RosNames:
    """rclpy's names and remaps as :class:`~alphapose_ros.front.topics.Resolver`."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def expand(self, name: str) -> str:
        """The absolute name before remapping."""
        return str(self._node.resolve_topic_name(name, only_expand=True))

    def resolve(self, name: str) -> str:
        """The absolute name after remapping."""
        return str(self._node.resolve_topic_name(name))


class CameraInput:
    """Listens between :meth:`open` and :meth:`close`; what it knows outlives both.

    Args:
        node, config, camera: where to listen.
        submit: takes an image; never blocks.
        reset: called with the camera's name when its clock was set back.
    """

    def __init__(
        self,
        node: Node,
        config: NodeConfig,
        camera: CameraTopics,
        submit: Callable[[LiveImage], None],
        reset: Callable[[str], None],
    ) -> None:
        self._node, self._config = node, config
        names, self._reset = RosNames(node), reset
        self.topic = image_topic(config, camera, names)
        self.info_topic = camera_info_topic(config, camera, names)
        self.intake = ImageIntake(
            camera.name,
            self.topic,
            submit,
            self._on_new_clock,
            rectified=config.image_is_rectified,
            clock_ns=lambda: int(node.get_clock().now().nanoseconds),
            check=checked_any,
        )
        depth = depth_topic(camera, names)
        self.depth = DepthInput(node, depth, config.reliability, self.intake) if depth else None
        self.depth_wanted = depth_wanted(camera, names)
        self._subscriptions: list[AdaptiveSubscription] = []

    @property
    def why_silent(self) -> str:
        """The reason, should no images come."""
        if not self._subscriptions:
            return "the node does not listen"
        return self._subscriptions[0].why_silent

    @property
    def listening(self) -> bool:
        """Whether it is open."""
        return bool(self._subscriptions)

    def open(self) -> None:
        """Subscribe."""
        if self._subscriptions:
            return
        config = self._config
        kind = Image if config.image_transport == "raw" else CompressedImage
        reliability = config.reliability
        self.intake.listen()
        self._subscriptions = [
            AdaptiveSubscription(self._node, kind, self.topic, self.intake.image, reliability),
            # Best effort hears everybody, and the next calibration comes with the next image.
            AdaptiveSubscription(
                self._node, CameraInfo, self.info_topic, self._on_info, "best_effort"
            ),
        ]
        if self.depth is not None:
            self._subscriptions.append(self.depth.subscribe())

    def close(self) -> None:
        """Stop listening."""
        for subscription in self._subscriptions:
            subscription.destroy()
        self._subscriptions = []
        if self.depth is not None:
            self.depth.clear()

    def follow(self) -> None:
        """Adapt to the publishers that came or went."""
        for subscription in self._subscriptions:
            subscription.follow()

    def depth_at(self, stamp_ns: int, tolerance_s: float) -> FloatArray | None:
        """The depth image, m, that belongs to an image of that stamp, if it has come."""
        return None if self.depth is None else self.depth.at(stamp_ns, tolerance_s)

    def _on_info(self, message: Any) -> None:
        self.intake.camera_info(message, self.info_topic)

    def _on_new_clock(self, camera: str) -> None:
        if self.depth is not None:
            self.depth.clear()
        self._reset(camera)
