# SPDX-License-Identifier: Apache-2.0
"""``play_node``: a recording as a camera, its pace, its parameters, a bag of several cameras."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from domains import new_domain
from processes import running
from recording_scenes import two_camera_bag
from ros_helpers import ROOT, FarEnd, Image, wait_for

from sensor_msgs.msg import CameraInfo  # isort: skip


@pytest.fixture
def domain() -> int:
    return new_domain()


@pytest.fixture
def far(domain: int) -> Iterator[FarEnd]:
    with FarEnd(domain) as end:
        yield end


def player(domain: int, source: Path, *parameters: str) -> Any:
    """``ros2 run alphapose_ros play_node SOURCE`` with parameters."""
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from alphapose_ros.demo.clip import open_clip\n"
        "from alphapose_ros.ros.play import main\n"
        "sys.exit(main(open_clip))\n"
    )
    given = [word for parameter in parameters for word in ("-p", parameter)]
    variables = {
        **os.environ,
        "ROS_DOMAIN_ID": str(domain),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
    }
    command = [sys.executable, "-c", script, str(source), "--ros-args", *given]
    return running(command, variables)


def test_one_camera_of_a_bag_at_the_rate_that_was_asked_for(
    domain: int, far: FarEnd, tmp_path: Path
) -> None:
    bag = two_camera_bag(tmp_path / "two.mcap", 1)
    images, infos = far.collect("/image", Image), far.collect("/camera_info", CameraInfo)
    with player(domain, bag, "camera:=/rear/image_raw", "rate:=10") as process:
        wait_for(lambda: images and infos, "images")
        before, begin = len(infos), time.monotonic()
        time.sleep(2)
        count, seconds = len(infos) - before, time.monotonic() - begin
    assert process.returncode == 0, process.lines
    assert 1 <= count <= 10 * seconds + 3  # one image in a loop is not sent without pause
    assert {image.width for image in images} == {64}


@pytest.mark.parametrize(
    ("parameter", "says"),
    [
        ("loop:=false", "one camera, the recording has /front/image_raw and /rear/image_raw"),
        ("camera:=/left", "image topics: /front/image_raw, /rear/image_raw"),
        ("camera:=3", "camera: expected text, got 3"),
        ("rate:=fast", "rate: expected a number, got 'fast'"),
        ("rate:=-1", "rate: expected images per second"),
        ("rate:=.inf", "rate: expected images per second"),
        ("loop:=1", "loop: expected true or false, got 1"),
    ],
)
def test_what_it_cannot_play_is_one_line(
    domain: int, tmp_path: Path, parameter: str, says: str
) -> None:
    bag = two_camera_bag(tmp_path / "two.mcap", 2)
    with player(domain, bag, parameter) as process:
        assert process.wait(20) == 2
    (line,) = [line for line in process.lines if line.startswith("play_node: ")]
    assert says in line
    assert "Traceback" not in "".join(process.lines)
