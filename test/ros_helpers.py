# SPDX-License-Identifier: Apache-2.0
"""The rclpy node in a process of its own, and the far end of its topics and services in this one.

Import it first in a test module: without ROS 2 it skips the module, loudly, and where
ALPHAPOSE_REQUIRE_ROS is set it fails instead.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from processes import running

try:
    import alphapose_ros.msg
    import rclpy
    import sensor_msgs.msg
except ImportError as error:
    if os.environ.get("ALPHAPOSE_REQUIRE_ROS"):
        raise
    pytest.skip(
        f"ROS 2 IS ABSENT, or this package is not built in a sourced workspace: {error}",
        allow_module_level=True,
    )

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import DescribeParameters, GetParameters, SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

ROOT = Path(__file__).parents[1]
Image = sensor_msgs.msg.Image
PoseArray = alphapose_ros.msg.PoseArray
NODE = "/alphapose_ros"


def qos(reliability: str = "reliable", depth: int = 10, *, latched: bool = False) -> QoSProfile:
    return QoSProfile(
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE
        if reliability == "reliable"
        else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if latched else DurabilityPolicy.VOLATILE,
    )


class FarEnd:
    """A node of its own context that spins on a thread."""

    def __init__(self, domain: int, name: str = "far_end", arguments: list[str] | None = None):
        self.context = rclpy.Context()
        rclpy.init(args=arguments, context=self.context, domain_id=domain)
        self.node = rclpy.create_node(name, context=self.context)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._open = True
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def __enter__(self) -> FarEnd:
        return self

    def __exit__(self, *_: object) -> None:
        self._open = False
        self._thread.join(10)
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)

    def _spin(self) -> None:
        while self._open:
            self._executor.spin_once(timeout_sec=0.05)

    def collect(self, topic: str, kind: Any, profile: QoSProfile | None = None) -> list[Any]:
        """A list that the topic's messages are added to."""
        found: list[Any] = []
        self.node.create_subscription(kind, topic, found.append, profile or qos(depth=100))
        return found

    def publisher(self, topic: str, kind: Any = Image, reliability: str = "reliable") -> Any:
        publisher = self.node.create_publisher(kind, topic, qos(reliability, 5))

        def settled() -> bool:
            """The node listens, and in the way in which it will go on to listen."""
            infos = self.node.get_subscriptions_info_by_topic(publisher.topic_name)
            asked = [info.qos_profile.reliability.name.lower() for info in infos]
            expected = "best_effort" if kind.__name__ == "CameraInfo" else reliability
            return bool(publisher.get_subscription_count()) and expected in asked

        publisher.settled = settled
        return publisher

    def call(self, name: str, kind: Any, **fields: Any) -> Any:
        """A service's answer."""
        client = self.node.create_client(kind, name)
        assert client.wait_for_service(20), f"no service {name}"
        future = client.call_async(kind.Request(**fields))
        wait_for(future.done, f"the answer of {name}")
        self.node.destroy_client(client)
        return future.result()

    def state(self) -> str:
        return self.call(f"{NODE}/get_state", GetState).current_state.label

    def transition(self, name: str) -> bool:
        number = getattr(Transition, f"TRANSITION_{name.upper()}")
        request = Transition(id=number)
        return bool(self.call(f"{NODE}/change_state", ChangeState, transition=request).success)

    def set_parameter(self, name: str, value: Any) -> str:
        """The reason why it was refused, empty where it was taken."""
        parameters = [Parameter(name, value=value).to_parameter_msg()]
        answer = self.call(f"{NODE}/set_parameters", SetParameters, parameters=parameters)
        (result,) = answer.results
        assert result.successful != bool(result.reason)
        return result.reason

    def parameter(self, name: str) -> Any:
        answer = self.call(f"{NODE}/get_parameters", GetParameters, names=[name])
        return rclpy.parameter.parameter_value_to_python(answer.values[0])

    def describe(self, name: str) -> Any:
        answer = self.call(f"{NODE}/describe_parameters", DescribeParameters, names=[name])
        return answer.descriptors[0]

    def status(self, found: list[Any], name: str = "camera") -> Any:
        """The newest diagnostic status of that name."""
        for message in reversed(found):
            for status in message.status:
                if status.name == f"alphapose_ros: {name}":
                    return status
        return None


def image(stamp_ns: int, value: int = 0, **changes: Any) -> Any:
    """16 x 8 px of one grey."""
    height, width = 8, 16
    message = Image(height=height, width=width, encoding="rgb8", step=3 * width)
    message.header.frame_id = "optical"
    set_stamp(message, stamp_ns)
    message.data = np.full(height * width * 3, value, np.uint8).tobytes()
    for name, changed in changes.items():
        setattr(message, name, changed)
    return message


def camera_info(size_hw: tuple[int, int], focal: float) -> Any:
    height, width = size_hw
    center = [(width - 1) / 2, (height - 1) / 2]
    message = sensor_msgs.msg.CameraInfo(height=height, width=width)
    message.header.frame_id = "optical"
    message.distortion_model = "plumb_bob"
    message.k = [focal, 0.0, center[0], 0.0, focal, center[1], 0.0, 0.0, 1.0]
    message.p = [focal, 0.0, center[0], 0.0, 0.0, focal, center[1], 0.0, 0.0, 0.0, 1.0, 0.0]
    return message


def set_stamp(message: Any, stamp_ns: int) -> None:
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(stamp_ns, 10**9)


def stamp_ns(message: Any) -> int:
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def nose_x(message: Any) -> float:
    return float(message.poses[0].keypoints[0])


@contextmanager
def node_process(
    domain: int, *arguments: str, pipeline: str = "fake_pipelines()", ends: bool = True
) -> Iterator[subprocess.Popen[str]]:
    """The node with ROS ``arguments`` such as ``-p device:=cpu``; ``pipeline`` is Python."""
    script = (
        "import sys\n"
        f"sys.path[:0] = [{str(ROOT)!r}, {str(Path(__file__).parent)!r}]\n"
        "from alphapose_ros.ros.main import run\n"
        "from fake_pipeline import fake_pipelines, following_pipelines\n"
        f"sys.exit(run({pipeline}, arguments=sys.argv))\n"
    )
    variables = {
        **os.environ,
        "ROS_DOMAIN_ID": str(domain),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "PYTHONUNBUFFERED": "1",
    }
    given = ["--ros-args", *arguments] if arguments else []
    with running([sys.executable, "-c", script, *given], variables) as process:
        yield process
    if ends:
        lines = process.lines  # type: ignore[attr-defined]
        assert process.returncode == 0, lines
        assert "Traceback" not in "".join(lines)


def wait_for(condition: Callable[[], Any], what: str, timeout_s: float = 40.0) -> Any:
    """The first true value of ``condition``; fails with ``what`` if there is none."""
    end = time.monotonic() + timeout_s
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end, f"waited {timeout_s} s in vain for: {what}"
        time.sleep(0.01)


def wait_until_heard(publisher: Any) -> None:
    """Until the node listens, and has seen what the publisher offers."""
    wait_for(publisher.settled, "the node's subscription")


def send_until(
    publisher: Any, make: Callable[[int], Any], condition: Callable[[], Any], what: str
) -> None:
    """Publish ``make(i)`` 20 times a second until ``condition`` holds."""
    numbers = iter(range(1, 10**6))

    def step() -> Any:
        publisher.publish(make(next(numbers)))
        time.sleep(0.05)
        return condition()

    wait_for(step, what)
