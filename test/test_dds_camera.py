# SPDX-License-Identifier: Apache-2.0
"""A recording as a camera: images in order, stamped by the clock, with calibration."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from dds_helpers import IMAGE, FarEnd, environment, wait_for
from domains import new_domain

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.records import Frame, Intrinsics
from alphapose_ros.dds.camera import play
from alphapose_ros.dds.camera_io import CAMERA_INFO, COMPRESSED
from alphapose_ros.dds.participant import Participant
from alphapose_ros.front.playback import CameraPublisher, paced
from alphapose_ros.io.image_messages import decode_image, intrinsics_of
from alphapose_ros.io.sources import open_source
from alphapose_ros.output.messages import stamp_of

DOMAIN = new_domain()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i in range(4):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((12, 20, 3), 40 * i, np.uint8))
    return tmp_path


@pytest.mark.parametrize("compressed", [False, True])
def test_play(folder: Path, monkeypatch: pytest.MonkeyPatch, compressed: bool) -> None:
    monkeypatch.setenv("ROS_DOMAIN_ID", str(DOMAIN))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
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


def test_a_rate_must_be_positive(folder: Path) -> None:
    with pytest.raises(InputError, match="above 0, got 0"):
        play(str(folder), rate=0)
