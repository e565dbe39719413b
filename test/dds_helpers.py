# SPDX-License-Identifier: Apache-2.0
"""A pipeline without networks, a node process around it, and the far end of its topics."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from processes import running

from alphapose_ros.dds.environment import RosEnvironment
from alphapose_ros.dds.participant import Participant

for _module in ("cyclonedds", "rosbags"):
    if find_spec(_module) is None:
        pytest.skip(f"{_module.upper()} IS ABSENT", allow_module_level=True)

ROOT = Path(__file__).parents[1]
IMAGE = "sensor_msgs/msg/Image"
POSES = "alphapose_ros/msg/PoseArray"


def environment(domain: int) -> RosEnvironment:
    return RosEnvironment(domain_id=domain, discovery_range="LOCALHOST")


class FarEnd(Participant):
    """A second process's view in this one: publishes images, collects what the node says."""

    def __init__(self, domain: int) -> None:
        super().__init__("far_end", "/", environment(domain))

    def collect(self, topic: str, type_name: str, **options: Any) -> list[Any]:
        found: list[Any] = []

        def keep(samples: list[Any]) -> None:
            found.extend(self.types.deserialize(s.cdr, type_name) for s in samples)

        self.subscribe(topic, type_name, keep, "reliable", depth=100, **options)
        return found

    def image(self, stamp_ns: int, value: int = 0, **changes: Any) -> Any:
        height, width = 8, 16
        fields = {
            "header": self.messages.Header(
                stamp=self.messages.Time(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9),
                frame_id="optical",
            ),
            "height": height,
            "width": width,
            "encoding": "rgb8",
            "step": 3 * width,
            "data": np.full(height * width * 3, value, np.uint8),
        }
        return self.types.new(IMAGE, **{**fields, **changes})


@contextmanager
def node_process(
    domain: int, code: str = "", *, delay_s: float = 0.0
) -> Iterator[subprocess.Popen[str]]:
    """A node in a process of its own; ``code`` is Python that sets ``config`` and ``names``."""
    script = (
        "import logging, sys\n"
        f"sys.path[:0] = [{str(ROOT)!r}, {str(Path(__file__).parent)!r}]\n"
        "logging.basicConfig(level='INFO')\n"
        "from alphapose_ros.dds.names import NodeNames\n"
        "from alphapose_ros.front.config import CameraTopics, NodeConfig\n"
        "from alphapose_ros.dds.pose_node import serve\n"
        "from fake_pipeline import FakePipeline\n"
        f"config, names = NodeConfig(), NodeNames()\n{code}\n"
        f"sys.exit(serve(config, names, lambda: FakePipeline({delay_s})))\n"
    )
    variables = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("ROS_", "RMW_", "CYCLONE"))},
        "ROS_DOMAIN_ID": str(domain),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
    }
    with running([sys.executable, "-c", script], variables) as process:
        yield process


def wait_for(condition: Callable[[], Any], what: str, timeout_s: float = 120.0) -> None:
    """Fail with ``what`` if ``condition`` does not become true."""
    end = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end, f"waited {timeout_s} s in vain for: {what}"
        time.sleep(0.01)
