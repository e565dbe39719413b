# SPDX-License-Identifier: Apache-2.0
"""``ros2 run alphapose_ros play_node clip.mp4``: a recording as a camera on ``image``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from threading import Event

import rclpy
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args

from alphapose_ros.base.errors import AlphaPoseError, InputError
from alphapose_ros.front.playback import CameraPublisher, paced
from alphapose_ros.front.signals import stop_signals
from alphapose_ros.io.source_base import Source
from alphapose_ros.ros.classes import RosClasses
from alphapose_ros.ros.publisher import RosPublisher

OpenSource = Callable[[str | None], tuple[Source, str]]
_FIELD_OF_VIEW_DEG = 60.0  # of recordings that bring no calibration: an ordinary webcam's


def main(open_source: OpenSource, arguments: list[str] | None = None) -> int:
    """Play until the recording ends, or until SIGINT or SIGTERM.

    Args:
        open_source: from the user's words (None: none) to a source and a line that describes it.
        arguments: the command line; None: the process's.

    Returns:
        0 at the end, 2 after a bad source or parameter (one clear line).
    """
    words = sys.argv if arguments is None else arguments
    with stop_signals(last=True) as stop:
        rclpy.init(args=words, signal_handler_options=SignalHandlerOptions.NO)
        try:
            _play(open_source, remove_ros_args(words)[1:], stop)
        except AlphaPoseError as error:
            print(f"play_node: {error}", file=sys.stderr)  # noqa: T201 (a command line's answer)
            return 2
        finally:
            rclpy.try_shutdown()
    return 0


def _play(open_source: OpenSource, words: list[str], stop: Event) -> None:
    if len(words) > 1:
        raise InputError(f"expected one source, got {' '.join(words)}")
    node = Node("camera")
    rate = float(node.declare_parameter("rate", 0.0).value)
    loop = bool(node.declare_parameter("loop", True).value)
    frame_id = str(node.declare_parameter("frame_id", "camera_optical_frame").value)
    if not rate >= 0:
        raise InputError(f"rate: expected images per second, or 0 for the source's, got {rate}")
    topic = node.resolve_topic_name("image")
    camera = CameraPublisher(
        partial(RosPublisher, node),
        RosClasses(),
        topic,
        compressed=True,
        frame_id=frame_id,
        field_of_view_deg=_FIELD_OF_VIEW_DEG,
    )
    while not stop.is_set():
        source, text = open_source(words[0] if words else None)
        node.get_logger().info(f"{text} -> {topic}", once=True)
        with source:
            for frame in paced(source, rate or source.fps, stop):
                camera.publish(frame, node.get_clock().now().nanoseconds)
        if not loop:
            break
    node.destroy_node()
