# SPDX-License-Identifier: Apache-2.0
"""``ros2 run alphapose_ros play_node clip.mp4``: a recording as a camera on ``image``."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from functools import partial
from threading import Event
from typing import TypeVar

import rclpy
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args

from alphapose_ros.base.errors import AlphaPoseError, InputError
from alphapose_ros.front.playback import CameraPublisher, played
from alphapose_ros.front.signals import stop_signals
from alphapose_ros.io.source_base import Source
from alphapose_ros.io.sources import open_source
from alphapose_ros.ros.classes import RosClasses
from alphapose_ros.ros.publisher import RosPublisher

OpenClip = Callable[[None], tuple[Source, str]]
_Value = TypeVar("_Value", bool, float, str)
_KINDS = {bool: "true or false", float: "a number", str: "text"}
_FIELD_OF_VIEW_DEG = 60.0  # of recordings that bring no calibration: an ordinary webcam's


def main(open_clip: OpenClip, arguments: list[str] | None = None) -> int:
    """Play until the recording ends, or until SIGINT or SIGTERM.

    Args:
        open_clip: what is played where no source is named, and a line that describes it.
        arguments: the command line; None: the process's.

    Returns:
        0 at the end, 2 after a bad source or parameter (one clear line).
    """
    words = sys.argv if arguments is None else arguments
    with stop_signals(last=True) as stop:
        rclpy.init(args=words, signal_handler_options=SignalHandlerOptions.NO)
        try:
            _play(open_clip, remove_ros_args(words)[1:], stop)
        except AlphaPoseError as error:
            print(f"play_node: {error}", file=sys.stderr)  # noqa: T201 (a command line's answer)
            return 2
        finally:
            rclpy.try_shutdown()
    return 0


def _play(open_clip: OpenClip, words: list[str], stop: Event) -> None:
    if len(words) > 1:
        raise InputError(f"expected one source, got {' '.join(words)}")
    node = Node("camera")
    rate = _parameter(node, "rate", 0.0)
    loop = _parameter(node, "loop", True)
    frame_id = _parameter(node, "frame_id", "camera_optical_frame")
    chosen = _parameter(node, "camera", "")
    if not 0 <= rate < math.inf:
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

    def open_anew() -> Source:
        if words:
            source, text = open_source(words[0], topic=chosen or None), words[0]
        else:
            source, text = open_clip(None)
        node.get_logger().info(f"{text} -> {topic}", once=True)
        return source

    for frame in played(open_anew, stop, rate=rate, loop=loop):
        camera.publish(frame, node.get_clock().now().nanoseconds)
    node.destroy_node()


def _parameter(node: Node, name: str, default: _Value) -> _Value:
    """The value of a parameter; an integer is accepted where a float is meant.

    Raises:
        InputError: a value of another type than ``default``.
    """
    any_type = ParameterDescriptor(dynamic_typing=True)  # or rclpy raises errors of its own
    given = node.declare_parameter(name, default, any_type).value
    kind = type(default)
    if kind is float and type(given) is int:
        return kind(given)
    if not isinstance(given, kind):
        raise InputError(f"{name}: expected {_KINDS[kind]}, got {given!r}")
    return given
