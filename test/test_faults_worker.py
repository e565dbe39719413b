# SPDX-License-Identifier: Apache-2.0
"""A worker that throws, and a device that is full: the image is lost and counted, no more."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from dds_helpers import FarEnd, wait_for
from domains import new_domain
from fault_scenes import DEVICE_FULL, HOST_FULL, INPUT_ERROR, KEY_ERROR, Camera, node
from torch import Tensor

from alphapose_ros.base.records import Detections, Frame, FrameResult, Header, Poses, Tracks
from alphapose_ros.base.skeletons import COCO17
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.pose.estimator import PoseEstimator
from alphapose_ros.session import Session

K = len(COCO17)
pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def domain() -> int:
    return new_domain()


@pytest.fixture
def far(domain: int) -> Iterator[FarEnd]:
    with FarEnd(domain) as end:
        yield end


def test_whatever_the_worker_throws_the_next_image_is_answered(domain: int, far: FarEnd) -> None:
    camera = Camera(far)
    health = far.collect("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray")
    far.start()

    def failed() -> int:
        values = [{v.key: v.value for v in m.status[0].values} for m in list(health)]
        return max((int(each.get("failed", 0)) for each in values), default=0)

    faults = (KEY_ERROR, INPUT_ERROR, DEVICE_FULL, HOST_FULL)
    with node(domain) as process:
        camera.wait()
        camera.ask(1)
        for number, fault in enumerate(faults, 1):
            for _ in range(100):  # best effort may lose it
                camera.images.publish(far.image(0, fault))
                try:
                    wait_for(lambda n=number: failed() >= n, "the count of failures", 2.0)
                    break
                except AssertionError:
                    continue
            assert len(camera.ask(number).poses) == number
        wait_for(lambda: any("images failed" in m.status[0].message for m in health), "a word")
        text = "".join(process.lines)
    assert "a refusal" in text
    assert "KeyError: 'a bug'" in text  # with its traceback: it is ours to mend


class Full:
    """A device that holds so many crops at once; a network on it."""

    def __init__(self, room: int, error: type[Exception] = torch.cuda.OutOfMemoryError) -> None:
        self.room, self.error, self.calls = room, error, list[int]()

    def __call__(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        self.calls.append(len(crops))
        if len(crops) > self.room:
            raise self.error("out of memory")
        return torch.ones(len(crops), K, 2), torch.ones(len(crops), K)


class OnDevice:
    """A pipeline of an estimator alone; ten people in each image."""

    def __init__(self, network: Full) -> None:
        self.estimator = PoseEstimator(network, COCO17, max_batch=64)

    def process(self, frames: list[Frame]) -> list[FrameResult]:
        boxes = np.tile(np.array([[1, 1, 20, 30]], np.float32), (10, 1))
        people = [Detections(boxes, np.ones(10, np.float32)) for _ in frames]
        found = self.estimator(ImageBatch.upload([f.image for f in frames]), people)
        return [self._result(*pair) for pair in zip(frames, found, strict=True)]

    def _result(self, frame: Frame, poses: Poses) -> FrameResult:
        header = Header(frame.camera, "", frame.stamp_ns, frame.size_hw)
        return FrameResult(header, Tracks.empty(COCO17), {"people": float(len(poses))})

    def reset(self, camera: str | None = None) -> None:
        """Nobody is known."""


def run(network: Full, images: int) -> tuple[Session, list[float]]:
    """Images one after the other: what became of them."""
    people, done = list[float](), threading.Semaphore(0)
    pipeline = OnDevice(network)
    process = pipeline.process

    def processed(frames: list[Frame]) -> list[FrameResult]:
        try:
            return process(frames)
        finally:
            done.release()

    pipeline.process = processed  # type: ignore[method-assign]
    session = Session(pipeline, lambda frame, result: people.append(result.timings_ms["people"]))
    for number in range(images):
        session.submit(Frame(np.zeros((32, 32, 3), np.uint8), number))
        assert done.acquire(timeout=30)
        if number == 1:
            network.room = max(network.room, 3)  # somebody else has freed memory
    session.close()
    return session, people


def test_a_full_device_halves_the_batch_and_loses_nobody() -> None:
    network = Full(3)
    session, people = run(network, 3)
    assert people == [10, 10, 10]
    # 64, 32 and 16 at once are all ten; what was found stays so.
    assert network.calls == [10, 10, 10, 8, 4] + [2] * 15
    assert session.statistics()["camera"].failed == 0


@pytest.mark.parametrize("error", [torch.cuda.OutOfMemoryError, RuntimeError])
def test_a_device_without_any_room_costs_images_until_there_is_some(
    error: type[Exception],
) -> None:
    network = Full(0, error)
    session, people = run(network, 2)
    assert people == []
    assert session.statistics()["camera"].failed == 2
    network.room = 10
    session, people = run(network, 2)
    assert people == [10, 10]
