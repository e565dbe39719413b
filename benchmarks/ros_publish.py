# SPDX-License-Identifier: Apache-2.0
"""What publishing costs: people as PoseArray and markers against one camera image.

``python benchmarks/ros_publish.py`` in a sourced workspace that holds this package. A second
process listens to everything. Each line is the time to make and to publish the messages of one
frame, and its ratio to making and publishing one 640x480 image in the same run.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import rclpy

from alphapose_ros.base.records import (
    FrameResult,
    Header,
    Intrinsics,
    Poses,
    Spatial,
    Tracks,
    TrackState,
)
from alphapose_ros.base.skeletons import HALPE136
from alphapose_ros.io.image_messages import image_message
from alphapose_ros.output.markers import MarkerWriter
from alphapose_ros.output.messages import pose_array_cdr, ros_header
from alphapose_ros.ros.classes import RosClasses, message_class
from alphapose_ros.ros.publisher import RosPublisher

SIZE_HW = (480, 640)
TOPICS = {
    "image": "sensor_msgs/msg/Image",
    "poses": "alphapose_ros/msg/PoseArray",
    "markers": "visualization_msgs/msg/MarkerArray",
}
_LISTEN = "--listen"


def people(count: int) -> tuple[FrameResult, Spatial]:
    """People with every joint, in the image and in space."""
    rng = np.random.default_rng(0)
    joints = len(HALPE136)
    boxes = np.sort(rng.uniform(0, 400, (count, 2, 2)), 1).reshape(count, 4)
    poses = Poses(
        rng.uniform(0, 400, (count, joints, 2)),
        rng.uniform(0.3, 1, (count, joints)),
        boxes,
        np.ones(count),
        np.arange(count),
        HALPE136,
    )
    numbers, zeros = np.arange(1, count + 1), np.zeros(count)
    states = np.full(count, TrackState.TRACKED)
    tracks = Tracks(
        numbers, numbers, poses, states, np.zeros((count, 2)), zeros, zeros, np.ones(count)
    )
    spatial = Spatial(
        rng.uniform(-2, 2, (count, joints, 3)),
        rng.uniform(-2, 2, (count, 3)),
        np.tile(np.eye(3), (count, 1, 1)),
        rng.uniform(-1, 1, (count, 3)),
        np.tile(np.eye(3), (count, 1, 1)),
        zeros,
        "optical",
        True,
        viewpoint=np.zeros(3),
    )
    return FrameResult(Header("camera", "optical", 10**9, SIZE_HW), tracks), spatial


def listen() -> None:
    """The second process."""
    rclpy.init()
    node = rclpy.create_node("listener")
    for name, kind in TOPICS.items():
        node.create_subscription(message_class(kind), name, lambda message: None, 10)
    rclpy.spin(node)


def median_ms(act: Callable[[], None], repeats: int) -> float:
    """Of one call; a pause lets the listener keep up."""
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        act()
        times.append((time.perf_counter() - begin) * 1e3)
        time.sleep(0.01)
    return float(np.median(times))


def measure(repeats: int) -> dict[str, float]:
    """Milliseconds per frame."""
    node = rclpy.create_node("speaker")
    send = {name: RosPublisher(node, name, kind) for name, kind in TOPICS.items()}
    while not all(publisher.matched for publisher in send.values()):
        time.sleep(0.05)
    classes: Any = RosClasses()
    camera = Intrinsics(500, 500, 320, 240, SIZE_HW)
    pixels = np.random.default_rng(0).integers(0, 256, (*SIZE_HW, 3), np.uint8)
    header = ros_header(people(0)[0].header, classes)
    writer = MarkerWriter()
    acts: dict[str, Callable[[], None]] = {
        "image 640x480": lambda: send["image"].publish(image_message(pixels, classes, header))
    }
    for count in (0, 1, 10, 30):
        result, spatial = people(count)

        def poses(result: FrameResult = result, spatial: Spatial | None = None) -> None:
            send["poses"].publish_cdr(pose_array_cdr(result, spatial))

        acts[f"poses of {count}"] = poses
        acts[f"poses of {count} with 3-D"] = lambda r=result, s=spatial, p=poses: p(r, s)
        acts[f"markers of {count}"] = lambda r=result: send["markers"].publish_cdr(
            writer.write(r, camera)
        )
    for act in acts.values():
        median_ms(act, 10)
    return {name: median_ms(act, repeats) for name, act in acts.items()}


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument(_LISTEN, action="store_true", help="be the listener (used by itself)")
    args = parser.parse_args()
    if args.listen:
        listen()
        return 0
    listener = subprocess.Popen([sys.executable, __file__, _LISTEN], env=os.environ)
    rclpy.init()
    try:
        found = measure(args.repeats)
    finally:
        listener.send_signal(signal.SIGKILL)
        rclpy.try_shutdown()
    reference = found["image 640x480"]
    for name, milliseconds in found.items():
        print(f"{name:>22} {milliseconds:8.3f} ms   {milliseconds / reference:6.2f} x the image")
    return 0


if __name__ == "__main__":
    sys.exit(main())
