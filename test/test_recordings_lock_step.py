# SPDX-License-Identifier: Apache-2.0
"""Bag in, bag out is what the live node says, when it is given time for every image.

The node runs in a process of its own, over the real middleware; each image of the bag waits for
the answer to the one before. Its ``PoseArray`` is compared byte for byte with the one in the bag
that ``run`` writes: no field is the live node's alone. (An image without a stamp is the exception:
live its answer has none either, and ``run`` gives it the time of its recording.)
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from dds_helpers import IMAGE, FarEnd, wait_for
from domains import new_domain
from fake_pipeline import FakePipeline
from fault_scenes import environment_of, node_command
from processes import running
from recording_scenes import POSES, S, image_bag, raw_image, read

import alphapose_ros.cli as cli
from alphapose_ros.base.errors import WeightsError
from alphapose_ros.io.bag import BagWriter
from alphapose_ros.io.bag_reader import BagMessage
from alphapose_ros.registry.bundled import BUNDLED
from alphapose_ros.registry.store import bundled_path

POSE_ARRAY, SKELETON = "alphapose_ros/msg/PoseArray", "alphapose_ros/msg/Skeleton"
PATIENCE_S = 120.0


def live(bag: Path, command: Sequence[str], domain: int) -> tuple[list[bytes], list[bytes]]:
    """The node's answers to the bag's images, one after another, and its skeleton."""
    answers: list[bytes] = []
    skeletons: list[bytes] = []
    with FarEnd(domain) as far:
        far.subscribe(
            POSES,
            POSE_ARRAY,
            lambda got: answers.extend(s.cdr for s in got),
            "reliable",
            depth=100,
        )
        far.subscribe(
            "/skeleton", SKELETON, lambda got: skeletons.extend(s.cdr for s in got), "reliable",
            latched=True, depth=1,
        )  # fmt: skip
        images = far.publisher("/image", IMAGE)
        far.start()
        with running(command, environment_of(domain)):
            wait_for(lambda: images.matched and skeletons, "the node", PATIENCE_S)
            for number, message in enumerate(read(bag, "/cam/image"), start=1):
                for _ in range(60):  # best effort may lose one; the same one twice is refused
                    images.publish_cdr(message.cdr)
                    end = time.monotonic() + 2
                    while len(answers) < number and time.monotonic() < end:
                        time.sleep(0.002)
                    if len(answers) >= number:
                        break
                assert len(answers) == number, f"image {number} was not answered"
    return answers, skeletons


def recorded(bag: Path, out: Path, *options: str) -> list[BagMessage]:
    assert cli.main(["run", str(bag), "--bag", str(out), *options]) == 0
    return read(out)


def of(topic: str, messages: list[BagMessage]) -> list[bytes]:
    return [message.cdr for message in messages if message.topic == topic]


def test_without_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bag = image_bag(tmp_path / "in.mcap", 25)
    monkeypatch.setattr("alphapose_ros.cli.pipelines.make_pipeline", lambda args: FakePipeline())
    found = recorded(bag, tmp_path / "out.mcap")
    answers, skeletons = live(bag, node_command("FakePipeline()"), new_domain())
    assert len(answers) == 25
    assert len(set(answers)) == 25
    assert of(POSES, found) == answers
    assert of("/skeleton", found) == skeletons


@pytest.fixture
def person(tmp_path: Path) -> Path:
    """A bag of a real person who moves, leaves, and comes back."""
    data = pytest.importorskip("skimage.data", reason="NO REAL PERSON: scikit-image is absent")
    import cv2

    try:
        for spec in BUNDLED:
            bundled_path(spec.name)
    except WeightsError as error:
        pytest.skip(f"THE BUNDLED WEIGHTS ARE ABSENT: {error}")
    image = cv2.resize(data.astronaut(), (256, 256), interpolation=cv2.INTER_AREA)
    path = tmp_path / "person.mcap"
    with BagWriter(path) as bag:
        for number in range(18):
            seen = np.full_like(image, 90) if 9 <= number < 12 else np.roll(image, 2 * number, 1)
            stamp_ns = 50 * S + number * S // 10
            bag.write_message("/cam/image", bgr_image(stamp_ns, seen), stamp_ns)
    return path


def bgr_image(stamp_ns: int, image: np.ndarray) -> object:
    height, width = image.shape[:2]
    data = np.ascontiguousarray(image[..., ::-1]).reshape(-1)
    return raw_image(
        stamp_ns, height=height, width=width, step=3 * width, encoding="bgr8", data=data
    )


def test_with_the_real_networks(person: Path, tmp_path: Path) -> None:
    options = ["--device", "cpu", "--preset", "nano", "--threads", "1"]
    first = run_of_its_own(person, tmp_path / "out.mcap", options)
    command = [sys.executable, "-m", "alphapose_ros", "node", "--front", "dds", *options]
    answers, skeletons = live(person, command, new_domain())
    assert of(POSES, first) == answers
    assert of("/skeleton", first) == skeletons
    assert len({len(answer) for answer in answers}) > 1  # people, and nobody


def run_of_its_own(bag: Path, out: Path, options: Sequence[str]) -> list[BagMessage]:
    """In a process of its own: nothing is warm from before."""
    command = [sys.executable, "-m", "alphapose_ros", "run", str(bag), "--bag", str(out)]
    subprocess.run([*command, *options], check=True, capture_output=True, env=dict(os.environ))
    return read(out)
