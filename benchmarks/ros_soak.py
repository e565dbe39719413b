# SPDX-License-Identifier: Apache-2.0
"""An hour of camera traffic into the rclpy node: memory, threads, order.

``python benchmarks/ros_soak.py --minutes 60`` in a sourced workspace that holds this package. Two
cameras send images at rates that change every minute, one with depth; every ten seconds the node's
memory and threads are read. A table is printed, and everything is written with ``--json``.
"""

from __future__ import annotations

import argparse
import itertools
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import rclpy
from alphapose_ros.msg import PoseArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image

from alphapose_ros.demo.clip import open_clip
from alphapose_ros.io.image_messages import image_message
from alphapose_ros.output.messages import ros_time
from alphapose_ros.ros.classes import RosClasses

RATES = (5.0, 15.0, 30.0, 60.0, 100.0)  # images per second and camera
CAMERAS = ("front", "rear")


class Traffic(Node):
    """Two cameras that send, and one ear for what comes back."""

    def __init__(self, frames: list[Any]) -> None:
        super().__init__("traffic")
        classes = RosClasses()
        header = classes.Header(frame_id="optical")
        self._images = [image_message(frame.image, classes, header, "bgr8") for frame in frames]
        height, width = frames[0].image.shape[:2]
        self._info = CameraInfo(height=height, width=width, distortion_model="plumb_bob")
        self._info.k = [600.0, 0.0, width / 2, 0.0, 600.0, height / 2, 0.0, 0.0, 1.0]
        depth = np.full((height, width), 3000, "<u2")
        self._depth = Image(height=height, width=width, encoding="16UC1", step=2 * width)
        self._depth.data = depth.tobytes()
        self._send = {
            name: [
                self.create_publisher(kind, f"{name}/{topic}", 2)
                for kind, topic in (
                    (Image, "image"), (CameraInfo, "camera_info"), (Image, "depth")
                )
            ]
            for name in CAMERAS
        }  # fmt: skip
        self.sent = 0
        self.answers = dict.fromkeys(CAMERAS, 0)
        self.disorder, self.people = 0, 0
        self._last = dict.fromkeys(CAMERAS, -1)
        self.latencies_ms: list[float] = []
        for name in CAMERAS:
            self.create_subscription(
                PoseArray, f"{name}/poses", lambda m, name=name: self._on_poses(name, m), 10
            )

    def send(self, number: int) -> None:
        """One image of each camera, with depth from the first."""
        message = self._images[number % len(self._images)]
        for name in CAMERAS:
            image, info, depth = self._send[name]
            stamp = ros_time(time.time_ns(), RosClasses())
            for part in (message, self._info, self._depth):
                part.header.stamp = stamp
            info.publish(self._info)
            if name == CAMERAS[0]:
                depth.publish(self._depth)
            image.publish(message)
        self.sent += 1

    def _on_poses(self, name: str, message: Any) -> None:
        stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        self.disorder += stamp <= self._last[name]
        self._last[name] = stamp
        self.answers[name] += 1
        self.people += len(message.poses)
        self.latencies_ms.append((time.time_ns() - stamp) / 1e6)


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"process {pid} has no memory")


def main() -> int:
    """Run, print, and answer whether the node ended well."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--threads", type=int, default=1, help="of the networks")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with open_clip(None)[0] as source:
        frames = list(itertools.islice(source, 40))
    parameters = [f"cameras:=[{', '.join(CAMERAS)}]", f"threads:={args.threads}"]
    parameters += [f"{n}.image_topic:={n}/image" for n in CAMERAS]
    parameters += [f"{CAMERAS[0]}.depth_topic:={CAMERAS[0]}/depth"]
    command = [sys.executable, "-m", "alphapose_ros.ros.main", "--ros-args"]
    command += [word for parameter in parameters for word in ("-p", parameter)]
    rclpy.init()
    traffic, executor = Traffic(frames), SingleThreadedExecutor()
    executor.add_node(traffic)
    spinning = Thread(target=executor.spin, daemon=True)
    spinning.start()
    node = subprocess.Popen(command)
    rows = []
    try:
        while not all(traffic.answers.values()):
            traffic.send(0)
            time.sleep(0.5)
        rows = run(traffic, node, args.minutes * 60)
    finally:
        node.send_signal(signal.SIGINT)
        code = node.wait(30)
        executor.shutdown()
        spinning.join()
        traffic.destroy_node()
        rclpy.shutdown()
    if args.json:
        args.json.write_text(json.dumps({"rows": rows, "exit": code}))
    return report(rows, code)


def run(traffic: Traffic, node: subprocess.Popen[bytes], seconds: float) -> list[dict[str, float]]:
    """Send until the time is over; one row for every ten seconds."""
    begin, rows, number = time.monotonic(), [], 0
    due = told = begin
    while time.monotonic() - begin < seconds and node.poll() is None:
        rate = RATES[int((time.monotonic() - begin) // 60) % len(RATES)]
        traffic.send(number)
        number += 1
        due = max(due + 1 / rate, time.monotonic() - 0.1)
        time.sleep(max(due - time.monotonic(), 0))
        if time.monotonic() - told >= 10:
            told = time.monotonic()
            latencies, traffic.latencies_ms = traffic.latencies_ms, []
            rows.append(
                {
                    "s": told - begin,
                    "rate_hz": rate,
                    "memory_mb": memory_mb(node.pid),
                    "threads": len(list(Path(f"/proc/{node.pid}/task").iterdir())),
                    "sent": traffic.sent,
                    "answered": sum(traffic.answers.values()),
                    "disorder": traffic.disorder,
                    "p50_ms": float(np.median(latencies)) if latencies else float("nan"),
                    "p95_ms": float(np.percentile(latencies, 95)) if latencies else float("nan"),
                }
            )
    return rows


def report(rows: list[dict[str, float]], code: int) -> int:
    """Print ten rows and the verdict."""
    columns = ("s", "rate_hz", "memory_mb", "threads", "sent", "answered", "p50_ms", "p95_ms")
    print("".join(f"{name:>11}" for name in columns))
    for row in rows[:: max(len(rows) // 30, 1)]:
        print("".join(f"{row[name]:11.0f}" for name in columns))
    half = len(rows) // 2
    first, second = (
        max((row["memory_mb"] for row in part), default=0) for part in (rows[6:half], rows[half:])
    )
    print(
        f"highest memory, MB: first half after a minute {first:.0f}, second half {second:.0f}; "
        f"out of order: {rows[-1]['disorder'] if rows else 0:.0f}; exit code {code}"
    )
    return int(code != 0)


if __name__ == "__main__":
    sys.exit(main())
