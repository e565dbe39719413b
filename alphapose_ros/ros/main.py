# SPDX-License-Identifier: Apache-2.0
"""``ros2 run alphapose_ros pose_node``: the lifecycle node in a process of its own."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from alphapose_ros.base.errors import AlphaPoseError
from alphapose_ros.front.loading import pipelines
from alphapose_ros.front.signals import stop_signals
from alphapose_ros.ros.pose_node import MakePipeline, PoseNode

_TURN_S = 0.2  # how long a signal may wait for an idle executor


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the node with ROS arguments (None: the command line's) until SIGINT or SIGTERM."""
    return run(arguments=sys.argv if arguments is None else arguments)


def run(make_pipeline: MakePipeline | None = None, arguments: Sequence[str] | None = None) -> int:
    """:func:`serve`, and bad parameters as one clear line.

    Args:
        make_pipeline: loads the models; None: the real ones.
        arguments: as ``rclpy.init`` takes them.

    Returns:
        0 after a signal, 2 after bad parameters.
    """
    try:
        serve(make_pipeline or pipelines(), arguments)
    except AlphaPoseError as error:
        print(f"pose_node: {error}", file=sys.stderr)  # noqa: T201 (there is no logger yet)
        return 2
    return 0


def serve(make_pipeline: MakePipeline, arguments: Sequence[str] | None = None) -> None:
    """Run the node until SIGINT or SIGTERM; a second one, later, does not wait for its end.

    Args:
        make_pipeline: loads the models.
        arguments: as ``rclpy.init`` takes them.

    Raises:
        AlphaPoseError: bad parameters.
    """
    with stop_signals(last=True) as stop:
        words = None if arguments is None else list(arguments)
        rclpy.init(args=words, signal_handler_options=SignalHandlerOptions.NO)
        node = None
        try:
            node = PoseNode(make_pipeline)
            executor = SingleThreadedExecutor()
            executor.add_node(node)
            if node.parameters.configs[1].autostart and not stop.is_set():
                node.autostart()
            while not stop.is_set() and rclpy.ok():
                executor.spin_once(timeout_sec=_TURN_S)
        except ExternalShutdownException:
            pass
        finally:
            if node is not None:
                node.destroy_node()
            rclpy.try_shutdown()


if __name__ == "__main__":
    sys.exit(main())
