# SPDX-License-Identifier: Apache-2.0
"""What the fault tests share: pipelines that fail on order, nodes, processes to freeze."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from dds_helpers import FarEnd, wait_for
from fake_pipeline import FakePipeline, make_tracks
from processes import running

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.records import Frame, FrameResult, Header
from alphapose_ros.base.skeletons import HALPE136
from alphapose_ros.output.messages import stamp_of

HERE = Path(__file__).parent
KEY_ERROR, INPUT_ERROR, DEVICE_FULL, HOST_FULL = 201, 202, 203, 204  # values of the first pixel
IN_WORK = "in work"  # on stderr, by a pipeline that does not come back
_FOR_EVER_S = 60.0
_FAULTS = {
    KEY_ERROR: KeyError("a bug"),
    INPUT_ERROR: InputError("a refusal"),
    DEVICE_FULL: torch.cuda.OutOfMemoryError("CUDA out of memory"),
    HOST_FULL: MemoryError(),
}


class FaultyPipeline(FakePipeline):
    """Raises what the first pixel orders; else as many people as it says, up to 50."""

    def process(self, frames: list[Frame]) -> list[FrameResult]:
        if self.delay_s > _FOR_EVER_S:
            print(IN_WORK, file=sys.stderr, flush=True)
        time.sleep(self.delay_s)
        for frame in frames:
            if int(frame.image[0, 0, 0]) in _FAULTS:
                raise _FAULTS[int(frame.image[0, 0, 0])]
        return [_people(frame) for frame in frames]


def _people(frame: Frame) -> FrameResult:
    header = Header(frame.camera, frame.frame_id, frame.stamp_ns, frame.size_hw)
    tracks = make_tracks(min(int(frame.image[0, 0, 0]), 50), HALPE136)
    return FrameResult(header, tracks, {"pose": 1.0})


class SlowLoading(FakePipeline):
    """Takes its time before it exists."""

    def __init__(self, loading_s: float) -> None:
        print("loading", file=sys.stderr, flush=True)
        end = time.monotonic() + loading_s
        while time.monotonic() < end:  # as the import of a large package
            time.sleep(0.01)
        super().__init__()


def pipeline_named(text: str) -> FakePipeline:
    """``FaultyPipeline(0.1)`` and the like, in a node's process."""
    name, _, rest = text.partition("(")
    kinds = {kind.__name__: kind for kind in (FakePipeline, FaultyPipeline, SlowLoading)}
    return kinds[name](float(rest.rstrip(")") or 0))


_NODE = """
import logging, sys
sys.path[:0] = [{root!r}, {here!r}]
logging.basicConfig(level="INFO")
from alphapose_ros.dds.names import NodeNames
from alphapose_ros.dds.pose_node import serve
from alphapose_ros.front.config import CameraTopics, NodeConfig
from fault_scenes import pipeline_named
sys.exit(serve(NodeConfig({config}), NodeNames(), lambda: pipeline_named({pipeline!r})))
"""


def environment_of(domain: int, **more: str) -> dict[str, str]:
    """Variables of a process on loopback."""
    foreign = ("ROS_", "RMW_", "CYCLONE")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
    reach = {"ROS_DOMAIN_ID": str(domain), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    return {**kept, **reach, **more}


def node_command(pipeline: str = "FaultyPipeline()", config: str = "") -> list[str]:
    """A node without networks."""
    places = {"root": str(HERE.parent), "here": str(HERE)}
    return [sys.executable, "-c", _NODE.format(config=config, pipeline=pipeline, **places)]


@contextmanager
def node(
    domain: int, pipeline: str = "FaultyPipeline()", config: str = ""
) -> Iterator[subprocess.Popen[str]]:
    """A node in a process of its own, which must end well."""
    with running(node_command(pipeline, config), environment_of(domain)) as process:
        yield process
        assert process.poll() is None, process.lines  # type: ignore[attr-defined]
    assert process.returncode == 0, process.lines  # type: ignore[attr-defined]


_LISTENER = """
import sys, time
sys.path[:0] = [{root!r}, {here!r}]
from dds_helpers import IMAGE, POSES, FarEnd
far = FarEnd({domain})
for topic, kind in (("/poses", POSES), ("/pose_image", IMAGE)):
    far.subscribe(topic, kind, lambda samples: time.sleep({delay_s}), "reliable", depth=10)
far.start()
sys.stderr.write("listening\\n")
time.sleep(1000)
"""


@contextmanager
def listener(domain: int, delay_s: float = 0.0) -> Iterator[subprocess.Popen[str]]:
    """Another process that hears everything; it may be frozen or killed."""
    places = {"root": str(HERE.parent), "here": str(HERE), "domain": domain, "delay_s": delay_s}
    command = [sys.executable, "-c", _LISTENER.format(**places)]
    process = subprocess.Popen(
        command, env=environment_of(domain), stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        assert process.stderr.readline() == "listening\n"
        yield process
    finally:
        process.kill()
        process.communicate()


class Camera:
    """One camera and the answers to it."""

    def __init__(self, far: FarEnd, prefix: str = "") -> None:
        self.far = far
        self.poses = far.collect(f"{prefix}/poses", "alphapose_ros/msg/PoseArray")
        self.images = far.publisher(f"{prefix}/image", "sensor_msgs/msg/Image")

    def wait(self) -> None:
        """Until the node listens."""
        wait_for(lambda: self.images.matched, "the node's subscription")

    def ask(self, value: int = 0, stamp_ns: int = 0, **changes: Any) -> Any:
        """The answer to an image; best effort may lose one, so it is sent until it is heard."""
        stamp = stamp_ns or time.time_ns()
        for _ in range(200):
            self.images.publish(self.far.image(stamp, value, **changes))
            end = time.monotonic() + 0.5
            while time.monotonic() < end:
                found = [m for m in list(self.poses) if stamp_of(m) == stamp]
                if found:
                    return found[-1]
                time.sleep(0.005)
        raise AssertionError(f"no answer to the image of value {value}")


def grey(height: int, width: int, channels: int, value: int) -> dict[str, Any]:
    """Fields of an image of one value."""
    data = np.full(height * width * channels, value, np.uint8)
    return {"height": height, "width": width, "step": width * channels, "data": data}
