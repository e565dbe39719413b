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

from alphapose_ros.base.records import Frame, FrameResult, Header, Poses, Tracks
from alphapose_ros.base.skeletons import COCO17
from alphapose_ros.detection.config import DetectorConfig
from alphapose_ros.detection.yolox import YOLOXDetector
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.pose.estimator import PoseEstimator
from alphapose_ros.reid.config import ReidConfig
from alphapose_ros.reid.embedder import Embedder, ReidNetwork
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
    """A device that holds so many crops, or images, at once; all networks on it in one."""

    def __init__(self, room: int, error: type[Exception] = torch.cuda.OutOfMemoryError) -> None:
        self.room, self.error, self.calls = room, error, list[tuple[str, int]]()

    def _holds(self, what: str, given: Tensor) -> int:
        self.calls.append((what, len(given)))
        if len(given) > self.room:
            raise self.error("out of memory")
        return len(given)

    def detector(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Ten people on one spot of each image."""
        count = self._holds("detector", images)
        spot = torch.tensor([10.0, 10, 260, 400])
        return spot.expand(count, 10, 4), torch.ones(count, 10, 1)

    def pose(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        count = self._holds("pose", crops)
        return torch.ones(count, K, 2), torch.ones(count, K)

    def reid(self, crops: Tensor) -> tuple[Tensor]:
        return (torch.full((self._holds("reid", crops), 4), 0.5),)


class OnDevice:
    """A pipeline of networks alone."""

    def __init__(self, device: Full) -> None:
        everybody = DetectorConfig(nms_iou=1.0)
        self.detector = YOLOXDetector(device.detector, everybody)
        self.estimator = PoseEstimator(device.pose, COCO17, max_batch=64)
        self.embedder = Embedder(ReidNetwork(device.reid, (32, 16), 4, False), ReidConfig())

    def process(self, frames: list[Frame]) -> list[FrameResult]:
        batch = ImageBatch.upload([frame.image for frame in frames])
        found = self.estimator(batch, self.detector(batch))
        looks = self.embedder(batch, found)
        assert [len(look) for look in looks] == [len(poses) for poses in found]
        return [self._result(*pair) for pair in zip(frames, found, strict=True)]

    def _result(self, frame: Frame, poses: Poses) -> FrameResult:
        header = Header(frame.camera, "", frame.stamp_ns, frame.size_hw)
        return FrameResult(header, Tracks.empty(COCO17), {"people": float(len(poses))})

    def reset(self, camera: str | None = None) -> None:
        """Nobody is known."""


def run(device: Full, images: int) -> tuple[Session, list[float]]:
    """Images one after the other: what became of them."""
    people, done = list[float](), threading.Semaphore(0)
    pipeline = OnDevice(device)
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
    session.close()
    return session, people


def test_a_full_device_halves_the_batch_and_loses_nobody() -> None:
    device = Full(3)
    session, people = run(device, 3)
    assert people == [10, 10, 10]
    assert session.statistics()["camera"].failed == 0
    calls = {what: [n for each, n in device.calls if each == what] for what, _ in device.calls}
    parts = [2] * 5  # of ten; what was found stays so: the second image hits no end any more
    assert calls == {
        "detector": [1, 1, 1],
        "pose": [10, 5, *parts, *parts, *parts],
        "reid": [10, 5, *parts, *parts, *parts],
    }


def test_a_full_device_takes_fewer_cameras_at_once() -> None:
    device = Full(3)
    pipeline = OnDevice(device)
    frames = [Frame(np.zeros((32, 32, 3), np.uint8), 0, camera=str(n)) for n in range(4)]
    for turn in ([4, 2, 2], [2, 2]):
        device.calls.clear()
        results = pipeline.process(frames)
        assert [result.timings_ms["people"] for result in results] == [10] * 4
        assert [n for what, n in device.calls if what == "detector"] == turn


@pytest.mark.parametrize("error", [torch.cuda.OutOfMemoryError, RuntimeError])
def test_a_device_without_any_room_costs_images_until_there_is_some(
    error: type[Exception],
) -> None:
    device = Full(0, error)
    session, people = run(device, 2)
    assert people == []
    assert session.statistics()["camera"].failed == 2
    device.room = 10
    session, people = run(device, 2)
    assert people == [10, 10]
