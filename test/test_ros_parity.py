# SPDX-License-Identifier: Apache-2.0
"""Both fronts with the real networks, image by image: the same messages, field by field."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from domains import new_domain
from ros_helpers import ROOT, FarEnd, PoseArray, image, qos, wait_for

from alphapose_ros.msg import Skeleton  # isort: skip  (made by the build)

for _module in ("torch", "cyclonedds", "rosbags", "skimage"):
    pytest.importorskip(_module, reason=f"{_module.upper()} IS ABSENT")

_IMAGES = 12
FRONTS = {
    "ros": ["-m", "alphapose_ros.ros.main", "--ros-args", "-p", "device:=cpu", "-p", "threads:=1"],
    "dds": ["-m", "alphapose_ros", "node", "--front", "dds", "--params-file"],
}


@contextmanager
def front(name: str, domain: int, file: str) -> Iterator[None]:
    command = FRONTS[name] + ([file] if name == "dds" else [])
    variables = {
        **os.environ,
        "ROS_DOMAIN_ID": str(domain),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
    }
    process = subprocess.Popen([sys.executable, *command], env=variables, cwd=ROOT)
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def answers(name: str, file: str) -> tuple[list[Any], list[Any]]:
    """(poses, skeletons) of the images, each sent when the one before is answered."""
    from alphapose_ros.demo.clip import AstronautSource

    with FarEnd(new_domain()) as far:
        poses = far.collect("/poses", PoseArray)
        skeletons = far.collect("/skeleton", Skeleton, qos(latched=True))
        images = far.publisher("/image")
        with front(name, far.context.get_domain_id(), file):
            wait_for(images.settled, f"the {name} front's subscription", 90)
            wait_for(lambda: skeletons, "the skeleton")
            frames = AstronautSource()
            for i, frame in zip(range(_IMAGES), frames, strict=False):
                height, width = frame.image.shape[:2]
                pixels = np.ascontiguousarray(frame.image[..., ::-1]).tobytes()
                fields = {"height": height, "width": width, "step": 3 * width, "data": pixels}
                images.publish(image(10**9 + i * 10**8, encoding="bgr8", **fields))
                wait_for(lambda i=i: len(poses) > i, f"answer {i} of the {name} front", 60)
    return poses, skeletons


def fields_of(message: Any) -> dict[str, Any]:
    """All leaf fields by dotted name, NaN as text so that equals compare as equal."""
    out: dict[str, Any] = {}
    for name in message.get_fields_and_field_types():
        value = getattr(message, name)
        if hasattr(value, "get_fields_and_field_types"):
            out |= {f"{name}.{key}": inner for key, inner in fields_of(value).items()}
        elif isinstance(value, list) and value and hasattr(value[0], "SLOT_TYPES"):
            out[name] = [fields_of(item) for item in value]
        elif isinstance(value, (str, bytes, bool, int)):
            out[name] = value
        elif isinstance(value, float):
            out[name] = repr(np.float32(value))
        else:
            out[name] = np.asarray(value).tobytes()
    return out


@pytest.mark.skipif(
    os.environ.get("RMW_IMPLEMENTATION", "") != "rmw_cyclonedds_cpp",
    reason="THE EMBEDDED FRONT IS COMPARED WHERE RMW_IMPLEMENTATION IS rmw_cyclonedds_cpp",
)
def test_both_fronts_say_the_same(tmp_path: Any) -> None:
    file = tmp_path / "parameters.yaml"
    file.write_text("/**:\n  ros__parameters:\n    device: cpu\n    threads: 1\n")
    ours, skeletons = answers("ros", str(file))
    theirs, other_skeletons = answers("dds", str(file))
    assert len(ours) == len(theirs) == _IMAGES
    assert any(person.id for message in ours for person in message.poses)
    assert fields_of(skeletons[0]) == fields_of(other_skeletons[0])
    for mine, other in zip(ours, theirs, strict=True):
        assert fields_of(mine) == fields_of(other)
