# SPDX-License-Identifier: Apache-2.0
"""One camera's results -> messages: poses first, the rest only where somebody listens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from alphapose_ros.base.records import FrameResult, Spatial
from alphapose_ros.base.skeletons import Skeleton
from alphapose_ros.front.config import NodeConfig
from alphapose_ros.front.intake import LiveFrame
from alphapose_ros.io.image_messages import image_message
from alphapose_ros.output.draw import draw_result
from alphapose_ros.output.markers import MarkerWriter
from alphapose_ros.output.messages import Classes, pose_array_cdr, ros_header, skeleton_message


class Publisher(Protocol):
    """What sends messages of one topic."""

    @property
    def matched(self) -> int:
        """How many listen."""

    def publish(self, message: Any) -> None:
        """Send it."""

    def publish_cdr(self, cdr: bytes) -> None:
        """Send a message that is serialized already."""


MakePublisher = Callable[..., Publisher]  # (name, type, depth=..., latched=...)


class CameraResults:
    """Publishes what the session found; called on the session's thread.

    Args:
        make: makes the publisher of a topic name and type such as ``sensor_msgs/msg/Image``.
        config: distances and lifetimes of markers.
        skeleton: of the poses.
        classes: message constructors.
    """

    def __init__(
        self, make: MakePublisher, config: NodeConfig, skeleton: Skeleton, classes: Classes
    ) -> None:
        self._classes = classes
        self.poses = make("poses", "alphapose_ros/msg/PoseArray")
        self._markers = make("markers", "visualization_msgs/msg/MarkerArray")
        self._image = make("pose_image", "sensor_msgs/msg/Image", depth=1)
        latched = make("skeleton", "alphapose_ros/msg/Skeleton", latched=True, depth=1)
        latched.publish(skeleton_message(skeleton, classes))
        self._writer = MarkerWriter(
            depth_m=config.marker_depth, lifetime_s=config.marker_lifetime_s
        )

    def configure(self, config: NodeConfig) -> None:
        """Take over what may change while the node runs."""
        self._writer.depth_m = config.marker_depth
        self._writer.lifetime_s = config.marker_lifetime_s

    def publish(
        self, frame: LiveFrame, result: FrameResult, spatial: Spatial | None = None
    ) -> None:
        """Send one frame's messages; they carry the header of its image."""
        result = frame.answer(result)
        classes = self._classes
        self.poses.publish_cdr(pose_array_cdr(result, spatial))
        if self._markers.matched:
            self._markers.publish_cdr(self._writer.write(result, frame.intrinsics, spatial))
        if self._image.matched:
            drawn = draw_result(frame.image, result)
            self._image.publish(image_message(drawn, classes, ros_header(result.header, classes)))
