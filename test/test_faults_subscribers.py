# SPDX-License-Identifier: Apache-2.0
"""Subscribers that are slow, frozen or gone: nobody else waits for them, and nothing piles up."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from dds_helpers import FarEnd, wait_for
from domains import new_domain
from fault_scenes import Camera, grey, listener, node

from alphapose_ros.eval.usage import resident_mb
from alphapose_ros.output.messages import stamp_of

VGA = grey(480, 640, 3, 2)  # the annotated image has 0.9 MB
IMAGES = 60


@pytest.fixture
def domain() -> int:
    return new_domain()


@pytest.fixture
def far(domain: int) -> Iterator[FarEnd]:
    with FarEnd(domain) as end:
        yield end


@pytest.mark.parametrize("fault", ["slow", "frozen", "killed"])
def test_a_bad_subscriber_holds_nobody(domain: int, far: FarEnd, fault: str) -> None:
    camera = Camera(far)
    far.start()
    with (
        node(domain) as process,
        listener(domain, delay_s=0.5 if fault == "slow" else 0.0) as other,
    ):
        camera.wait()
        for _ in range(10):
            camera.ask(**VGA)
        if fault != "slow":
            other.send_signal(signal.SIGSTOP if fault == "frozen" else signal.SIGKILL)
        before, threads = resident_mb(process.pid), _threads(process.pid)
        for _ in range(IMAGES):
            assert len(camera.ask(**VGA).poses) == 2
        grown = resident_mb(process.pid) - before
        assert _threads(process.pid) == threads
        text = "".join(process.lines)
    assert grown < 0.3 * IMAGES * len(VGA["data"]) / 1e6  # a queue would hold all of them
    assert "Traceback" not in text
    assert "cannot publish" not in text
    stamps = [stamp_of(message) for message in camera.poses]
    assert stamps == sorted(stamps)


def test_many_who_come_and_go_leave_nothing(domain: int, far: FarEnd) -> None:
    camera = Camera(far)
    far.start()
    with node(domain) as process:
        camera.wait()
        camera.ask(1)
        files, threads = _files(process.pid), _threads(process.pid)
        for number in range(8):
            with FarEnd(domain) as other:
                heard = other.collect("/poses", "alphapose_ros/msg/PoseArray")
                other.start()
                wait_for(lambda heard=heard: camera.ask(1) and heard, f"subscriber {number}")
        camera.ask(1)
        wait_for(lambda: _files(process.pid) <= files, "the files of those who left")
        assert _threads(process.pid) == threads


def _files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))
