# SPDX-License-Identifier: Apache-2.0
"""A recording as a camera: images in order, stamped by the clock, with calibration."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from dds_helpers import IMAGE, FarEnd, environment, wait_for
from domains import new_domain
from recording_scenes import two_camera_bag

from alphapose_ros.base.errors import InputError, SourceError
from alphapose_ros.base.records import Frame, Intrinsics
from alphapose_ros.cli import main
from alphapose_ros.dds.camera import play
from alphapose_ros.dds.camera_io import CAMERA_INFO, COMPRESSED
from alphapose_ros.dds.participant import Participant
from alphapose_ros.front.playback import CameraPublisher, paced, played
from alphapose_ros.io.image_messages import decode_image, intrinsics_of
from alphapose_ros.io.source_base import Source
from alphapose_ros.io.sources import open_source
from alphapose_ros.output.messages import stamp_of

DOMAIN = new_domain()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i in range(4):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((12, 20, 3), 40 * i, np.uint8))
    return tmp_path


@pytest.fixture
def own_domain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", str(DOMAIN))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")


@pytest.mark.usefixtures("own_domain")
@pytest.mark.parametrize("compressed", [False, True])
def test_play(folder: Path, compressed: bool) -> None:
    with FarEnd(DOMAIN) as far:
        topic, kind = (
            ("/cam/image/compressed", COMPRESSED) if compressed else ("/cam/image", IMAGE)
        )
        images, infos = far.collect(topic, kind), far.collect("/cam/camera_info", CAMERA_INFO)
        far.start()
        before = time.time_ns()
        # Discovery takes longer than four images: like any camera, it does not wait.
        count = 0
        while not images and time.time_ns() - before < 20e9:
            count = play(str(folder), "cam/image", rate=20, compressed=compressed)
        wait_for(lambda: images and infos, "images and calibration")
    assert count == 4
    stamps = [stamp_of(m) for m in images]
    assert stamps == sorted(set(stamps))
    assert before < stamps[0] < time.time_ns()
    grey = {int(decode_image(m)[5, 5, 0]) for m in images}
    assert grey <= {0, 40, 80, 120}
    assert infos[-1].width == 20
    assert intrinsics_of(infos[-1], rectified=False) is None  # a clip brings no calibration


def test_calibration_goes_along_or_is_assumed_when_asked() -> None:
    image = np.zeros((480, 640, 3), np.uint8)
    known = Intrinsics(500, 510, 320, 240, (480, 640), (0.1, 0.2))
    with Participant("camera", "/", environment(DOMAIN)) as own:
        camera = CameraPublisher(own.publisher, own.messages, "/x/image", field_of_view_deg=90)
        header = own.messages.Header()
        sent = camera._camera_info(Frame(image, 1, intrinsics=known), header)
        assert intrinsics_of(sent, rectified=False) == known
        assumed = intrinsics_of(camera._camera_info(Frame(image, 1), header), rectified=True)
    assert assumed is not None
    assert assumed.fx == pytest.approx(320)  # 90 degrees: half the width over the tangent of 45


def test_pace_is_kept_and_can_be_stopped(folder: Path) -> None:
    stop = threading.Event()
    with open_source(str(folder)) as source:
        begin = time.monotonic()
        assert len(list(paced(source, 40.0, stop))) == 4
        assert time.monotonic() - begin > 3 / 40 - 0.001  # never faster than asked for
        stop.set()
        assert not list(paced(source, 40.0, stop))


class Still(Source):
    """Some images, at once."""

    def __init__(self, count: int) -> None:
        super().__init__("still", fps=50.0)
        self._count = count

    def __iter__(self) -> Iterator[Frame]:
        for _ in range(self._count):
            yield Frame(np.zeros((4, 4, 3), np.uint8), 0, "still")

    def close(self) -> None:
        pass


@pytest.mark.parametrize("count", [1, 3])
def test_a_loop_keeps_the_pace_from_pass_to_pass(count: int) -> None:
    stop, times = threading.Event(), []
    for _ in played(lambda: Still(count), stop, loop=True):
        times.append(time.monotonic())
        if len(times) == 10:
            stop.set()
    assert len(times) == 10
    assert all(t - times[0] > i / 50 - 0.002 for i, t in enumerate(times))
    assert len(list(played(lambda: Still(count), threading.Event()))) == count
    assert not list(played(lambda: Still(0), threading.Event(), loop=True))


@pytest.mark.usefixtures("own_domain")
def test_one_image_in_a_loop_is_no_flood(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    timer, begun = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)), list[float]()
    publish = CameraPublisher.publish

    def published(self: CameraPublisher, *args: Any, **more: Any) -> Any:
        if not begun:  # its handler of signals is there now
            begun.append(time.monotonic())
            timer.start()
        return publish(self, *args, **more)

    monkeypatch.setattr(CameraPublisher, "publish", published)
    count = play(str(folder / "1.png"), loop=True)  # 30 images per second are assumed
    timer.join()
    assert 1 <= count <= 30 * (time.monotonic() - begun[0]) + 1


@pytest.mark.usefixtures("own_domain")
def test_one_of_a_bags_cameras_is_played(tmp_path: Path) -> None:
    bag = str(two_camera_bag(tmp_path / "two.mcap", 3))
    with pytest.raises(InputError, match=r"one camera, .* /front/image_raw and /rear/image_raw"):
        play(bag)
    assert play(bag, camera="/rear/image_raw") == 3
    assert main(["play", bag, "--camera", "front/image_raw"]) == 0
    with pytest.raises(SourceError, match="image topics: /front/image_raw, /rear/image_raw"):
        play(bag, camera="/left")


def test_a_rate_must_be_positive(folder: Path) -> None:
    with pytest.raises(InputError, match="above 0, got 0"):
        play(str(folder), rate=0)
