# SPDX-License-Identifier: Apache-2.0
"""Depth without colour, colour without depth, and stamps that are none, before the rclpy node."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from domains import new_domain
from ros_helpers import FarEnd, image, wait_for
from test_ros_space import HEIGHT, WIDTH, Camera, depth_message


@pytest.fixture
def far() -> Iterator[FarEnd]:
    with FarEnd(new_domain()) as end:
        yield end


def metres() -> np.ndarray:
    return np.full((HEIGHT, WIDTH), 2.0, np.float32)


def test_depth_without_colour_waits_and_colour_without_depth_is_answered(
    far: FarEnd, tmp_path: Path
) -> None:
    camera = Camera(far, tmp_path)
    with camera.node("-p", "silence_warning_s:=0.5") as process:
        camera.wait()
        for _ in range(60):  # more than is kept
            camera.depths.publish(depth_message(metres(), time.time_ns(), "16UC1"))
            time.sleep(0.02)
        wait_for(lambda: any("no images for" in line for line in process.lines), "silence")
        assert not camera.poses
        camera.send_until_deep()
        for _ in range(5):
            alone = camera.send(time.time_ns(), depth=False)
            assert len(alone.poses) == 1
            assert not len(alone.poses[0].keypoints_3d)
        camera.send_until_deep()


@pytest.mark.parametrize(("sec", "nanosec"), [(-7, 5), (3, 2**32 - 1)])
def test_a_damaged_stamp_costs_its_own_message(
    far: FarEnd, tmp_path: Path, sec: int, nanosec: int
) -> None:
    camera = Camera(far, tmp_path)
    with camera.node() as process:
        camera.wait()
        camera.send_until_deep()
        depth = depth_message(metres(), 1, "16UC1")
        colour = image(1)
        for message in (depth, colour):
            message.header.stamp.sec, message.header.stamp.nanosec = sec, nanosec

        def told(kind: str) -> bool:
            camera.depths.publish(depth)
            camera.images.publish(colour)
            time.sleep(0.05)
            return any(f"{kind} refused: damaged stamp" in line for line in process.lines)

        wait_for(lambda: told("depth") and told("image"), "the refusals")
        camera.send_until_deep()
