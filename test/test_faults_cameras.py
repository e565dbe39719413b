# SPDX-License-Identifier: Apache-2.0
"""Cameras that die, change, send garbage or lie about the time, and a node on the middleware."""

from __future__ import annotations

import gc
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from dds_helpers import IMAGE, FarEnd, environment, wait_for
from domains import new_domain
from fake_pipeline import make_tracks
from fault_scenes import HERE, Camera, environment_of, grey, node
from hypothesis import given
from hypothesis import strategies as st

from alphapose_ros.base.errors import TransportError
from alphapose_ros.base.skeletons import HALPE136
from alphapose_ros.dds.camera_io import CameraInput
from alphapose_ros.dds.names import NodeNames
from alphapose_ros.dds.participant import Participant
from alphapose_ros.front.config import NodeConfig
from alphapose_ros.front.intake import LiveImage
from alphapose_ros.output.messages import stamp_of
from alphapose_ros.tracking.config import TrackerConfig
from alphapose_ros.tracking.identities import IdentitySource
from alphapose_ros.tracking.tracker import Tracker

INFO, COMPRESSED = "sensor_msgs/msg/CameraInfo", "sensor_msgs/msg/CompressedImage"
S = 10**9


@pytest.fixture
def domain() -> int:
    return new_domain()


@pytest.fixture
def far(domain: int) -> Iterator[FarEnd]:
    with FarEnd(domain) as end:
        yield end


def test_garbage_on_the_wire_costs_nothing_but_itself(domain: int, far: FarEnd) -> None:
    """600 damaged images and calibrations in a row; the next good image is answered."""
    camera = Camera(far)
    infos = far.publisher("/camera_info", INFO)
    far.start()
    chance = random.Random(1)
    good = far.types.serialize(far.image(S, 1))
    with node(domain) as process:
        camera.wait()
        wait_for(lambda: infos.matched, "the calibration's subscription")
        camera.ask(1)
        sent = 0
        for _ in range(300):
            data = bytearray(good)
            for _ in range(chance.randrange(1, 9)):
                data[chance.randrange(4, len(data))] = chance.randrange(256)
            image = bytes(data[: chance.choice([len(data), 40, 12, 8])])
            noise = chance.randbytes(4 * chance.randrange(2, 30))
            for publisher, damaged in ((camera.images, image), (infos, noise)):
                with suppress(TransportError):  # the library looks at the bytes at either end
                    publisher.publish_cdr(damaged)
                    sent += 1
            time.sleep(0.001)
        assert sent > 40
        assert len(camera.ask(2).poses) == 2
        text = "".join(process.lines)
    assert "Traceback" not in text
    assert len(process.lines) < 40, text  # a line per kind of damage, not per image


def test_size_and_encoding_change_in_mid_stream(domain: int, far: FarEnd) -> None:
    camera = Camera(far)
    far.start()
    with node(domain) as process:
        camera.wait()
        for number in range(12):
            height, width = ((8, 16), (240, 320), (1, 1))[number % 3]
            encoding, channels = (("rgb8", 3), ("mono8", 1), ("bgra8", 4))[number % 3]
            fields = grey(height, width, channels, number)
            answer = camera.ask(encoding=encoding, **fields)
            assert (answer.image_height, answer.image_width) == (height, width)
            assert len(answer.poses) == number
    assert "Traceback" not in "".join(process.lines)


_SENDER = """
import sys, time
sys.path[:0] = [{root!r}, {here!r}]
from dds_helpers import IMAGE, FarEnd
far = FarEnd({domain})
images = far.publisher("/image", IMAGE)
far.start()
while True:
    images.publish(far.image(time.time_ns(), {value}))
    time.sleep(0.02)
"""


def test_a_camera_that_is_killed_frozen_and_comes_back(domain: int, far: FarEnd) -> None:
    poses = far.collect("/poses", "alphapose_ros/msg/PoseArray")
    far.start()

    def sender(value: int) -> subprocess.Popen[bytes]:
        places = {"root": str(HERE.parent), "here": str(HERE), "domain": domain, "value": value}
        return subprocess.Popen(
            [sys.executable, "-c", _SENDER.format(**places)], env=environment_of(domain)
        )

    def people() -> int:
        return len(poses[-1].poses) if poses else -1

    with node(domain, config="silence_warning_s=0.5") as process:
        first = sender(1)
        try:
            wait_for(lambda: people() == 1, "the first camera")
            first.send_signal(signal.SIGSTOP)
            wait_for(lambda: any("no images for" in line for line in process.lines), "silence")
            first.send_signal(signal.SIGCONT)
            count = len(poses)
            wait_for(lambda: len(poses) > count, "the thawed camera")
        finally:
            first.kill()
            first.wait()
        second = sender(2)
        try:
            wait_for(lambda: people() == 2, "the second camera")
        finally:
            second.kill()
            second.wait()
    assert "Traceback" not in "".join(process.lines)
    stamps = [stamp_of(message) for message in poses]
    assert stamps == sorted(stamps)


def test_stamps_from_the_future_and_the_past_stop_no_camera(domain: int, far: FarEnd) -> None:
    """Each lie is answered with its own stamp, and so is the honest image behind it."""
    camera = Camera(far)
    far.start()
    now = time.time_ns()
    lies = [now + 3600 * S, (2**31 - 2) * S, 1, now - 3600 * S]
    with node(domain) as process:
        camera.wait()
        for number, lie in enumerate(lies):
            assert len(camera.ask(3, lie + number).poses) == 3
            assert len(camera.ask(4, now + number * 2 * S).poses) == 4
        camera.images.publish(
            far.types.new(
                IMAGE,
                header=far.messages.Header(stamp=far.messages.Time(sec=-5, nanosec=2**32 - 1)),
                encoding="rgb8",
                **grey(2, 2, 3, 1),
            )
        )
        wait_for(lambda: any("damaged stamp" in line for line in process.lines), "a refusal")
        assert len(camera.ask(5, now + 10**11).poses) == 5
    assert "Traceback" not in "".join(process.lines)


@given(
    st.lists(st.one_of(st.integers(1, S), st.integers(1, 2**61)), max_size=8), st.integers(0, 9)
)
def test_a_clock_that_leaps_gives_no_nonsense(steps: list[int], seed: int) -> None:
    """The tracker with any growing stamps, from nanoseconds to decades apart."""
    tracker, stamp = Tracker(TrackerConfig(), HALPE136, IdentitySource()), 0
    for number, step in enumerate(steps):
        stamp += step
        poses = make_tracks(1 + (number + seed) % 3, HALPE136, seed).poses
        found = tracker.update(poses, stamp)
        for values in (found.poses.keypoints, found.velocities, found.ages_s, found.since_seen_s):
            assert np.isfinite(values).all()


@pytest.mark.parametrize("count", [0, 1, 50])
def test_nobody_one_and_fifty_people(domain: int, far: FarEnd, count: int) -> None:
    camera = Camera(far)
    markers = far.collect("/markers", "visualization_msgs/msg/MarkerArray")
    infos = far.publisher("/camera_info", INFO)
    far.start()
    k = np.array([20.0, 0, 8, 0, 20, 4, 0, 0, 1])
    with node(domain):
        camera.wait()
        wait_for(lambda: infos.matched, "the calibration's subscription")
        infos.publish(far.types.new(INFO, height=8, width=16, k=k))
        camera.ask(1)  # the calibration has come
        message = camera.ask(count)
        wait_for(lambda: any(m.markers for m in markers) or not count, "markers")
    assert len(message.poses) == count
    assert all(len(person.keypoints) == 136 * 3 for person in message.poses)
    assert len({person.id for person in message.poses}) == count


def test_readers_that_are_replaced_are_forgotten(domain: int) -> None:
    """A publisher that comes and goes changes the reliability each time: it must leave nothing."""
    with Participant("node", "/", environment(domain)) as participant:
        subscription = participant.subscribe("/image", IMAGE, lambda samples: None)
        attached = len(participant._waitset.attached)
        files = len(list(Path("/proc/self/fd").iterdir()))
        for number in range(50):
            subscription.change(("reliable", "best_effort")[number % 2])
        gc.collect()
        assert len(participant._waitset.attached) == attached
        assert len(list(Path("/proc/self/fd").iterdir())) == files


def camera_input(participant: Participant, submit: Callable[[LiveImage], None]) -> CameraInput:
    config = NodeConfig(reliability="reliable")
    names, (camera,) = NodeNames(), config.cameras
    return CameraInput(participant, config, names, camera, submit, lambda name: None)


def test_who_offers_too_little_is_blamed_while_it_is_there(domain: int, far: FarEnd) -> None:
    with Participant("node", "/", environment(domain)) as own:
        camera = camera_input(own, lambda image: None)
        assert camera.why_silent.startswith("no publisher; ")
        with FarEnd(domain) as first, FarEnd(domain) as other:
            first.publisher("/image", IMAGE, "best_effort")
            other.publisher("/other", IMAGE, "best_effort")
            wait_for(lambda: "best effort only" in camera.why_silent, "the blame")
        wait_for(lambda: camera.why_silent.startswith("no publisher; "), "its end")
        far.publisher("/image", IMAGE, "best_effort")
        wait_for(lambda: "best effort only" in camera.why_silent, "the blame of another one")
        far.publisher("/image", IMAGE, "reliable")
        wait_for(lambda: camera.why_silent == "1 publishers are connected, none sends", "silence")


def test_images_that_cannot_be_read_are_no_silence(domain: int) -> None:
    with Participant("node", "/", environment(domain)) as own:
        shown: list[LiveImage] = []
        camera = camera_input(own, shown.append)
        image = own.types.new(IMAGE, header=own.messages.Header(frame_id="optical"))
        cdr = own.types.serialize(image)
        latin = cdr.replace(b"optical", b"optic\xe4l")
        kind = own.types.sample_type(IMAGE)
        camera.intake.heard_s = -1e9
        camera._on_images([kind(cdr), kind(cdr), kind(latin)])
        assert not shown
        assert camera.intake.heard_s > -1e9
        counts = camera.intake.counts
        assert (counts.received, counts.superseded, counts.refused) == (3, 2, 1)
