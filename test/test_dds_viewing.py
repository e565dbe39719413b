# SPDX-License-Identifier: Apache-2.0
"""A node's images and poses joined by their stamps, and ``view`` beside a real node."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from dds_helpers import IMAGE, POSES, FarEnd, node_process, wait_for
from domains import new_domain
from fake_pipeline import make_tracks

import alphapose_ros.cli as cli
from alphapose_ros.base.records import Frame, FrameResult, Header, Spatial
from alphapose_ros.base.skeletons import COCO17, HALPE136, Skeleton
from alphapose_ros.dds.names import NodeNames
from alphapose_ros.dds.types import CdrSample, MessageClasses, WireTypes
from alphapose_ros.dds.viewing import SKELETON, CameraView, ViewTopics
from alphapose_ros.front.config import CameraTopics, NodeConfig
from alphapose_ros.io.image_messages import image_message
from alphapose_ros.output.messages import pose_array_cdr, ros_header, skeleton_message

DOMAIN = new_domain()


class Ears:
    """What a view subscribes with, and speaks to it without a network."""

    def __init__(self) -> None:
        self.types = WireTypes()
        self.now, self.offers = 100.0, ["reliable"]
        self.shown: list[tuple[FrameResult, Frame | None, Spatial | None]] = []
        self._callbacks: dict[str, Any] = {}
        topics = ViewTopics("front", "/image", IMAGE, "/poses", "/skeleton")
        self.view = CameraView(self, topics, self._show, lambda: self.now)  # type: ignore[arg-type]

    def subscribe(self, topic: str, type_name: str, callback: Any, *_: Any, **__: Any) -> Any:
        self._callbacks[topic] = callback
        return SimpleNamespace(topic=topic, offers=self.offers)

    def _show(self, *what: Any) -> None:
        self.shown.append(what)

    def hear(self, topic: str, *cdrs: bytes) -> None:
        self._callbacks[topic]([CdrSample(cdr) for cdr in cdrs])

    def image(self, stamp_ns: int) -> bytes:
        classes = MessageClasses(self.types)
        header = ros_header(Header("", "optical", stamp_ns, (4, 6)), classes)
        pixels = np.full((4, 6, 3), stamp_ns % 251, np.uint8)
        return self.types.serialize(image_message(pixels, classes, header))


def poses(stamp_ns: int, people: int = 1, skeleton: Skeleton = HALPE136) -> bytes:
    tracks = make_tracks(people, skeleton)
    return pose_array_cdr(FrameResult(Header("", "optical", stamp_ns, (4, 6)), tracks))


@pytest.fixture
def ears() -> Ears:
    return Ears()


def test_poses_are_shown_with_the_image_of_their_stamp(ears: Ears) -> None:
    ears.hear("/image", ears.image(1), ears.image(2), ears.image(3))
    assert ears.shown == []
    ears.hear("/poses", poses(2, people=2))
    ((result, frame, spatial),) = ears.shown
    assert (result.header.camera, result.header.stamp_ns, len(result.tracks)) == ("front", 2, 2)
    assert frame is not None
    assert (frame.stamp_ns, frame.image[0, 0, 0]) == (2, 2)
    assert spatial is None
    ears.hear("/poses", poses(1), poses(3, people=0))
    assert [f and f.stamp_ns for _, f, _ in ears.shown] == [2, None, 3]  # 1 was older: given up
    assert (ears.view.counts.images, ears.view.counts.poses, ears.view.counts.pairs) == (3, 3, 2)


def test_images_are_shown_alone_while_nobody_answers(ears: Ears) -> None:
    ears.hear("/image", ears.image(1))
    ears.now += 10
    ears.hear("/image", ears.image(2), ears.image(3))
    ((result, frame, _),) = ears.shown
    assert frame is not None
    assert (frame.stamp_ns, len(result.tracks)) == (3, 0)
    ears.hear("/poses", poses(3))  # it was only slow
    assert ears.shown[-1][1] is not None


def test_few_images_wait(ears: Ears) -> None:
    ears.hear("/image", *(ears.image(stamp) for stamp in range(1, 101)))
    ears.hear("/poses", poses(60), poses(71))
    assert [f and f.stamp_ns for _, f, _ in ears.shown] == [None, 71]


def test_a_skeleton_of_ones_own_is_learned(ears: Ears, caplog: pytest.LogCaptureFixture) -> None:
    arm = Skeleton("arm", ("a", "b"), {"body": slice(0, 2)}, ((0, 1),), (), np.ones(2, "f4"))
    ears.hear("/poses", poses(1, skeleton=arm))
    assert ears.shown == []
    assert "expected the skeleton 'arm' on /skeleton first" in caplog.text
    message = skeleton_message(arm, MessageClasses(ears.types))
    assert message.__msgtype__ == SKELETON
    ears.hear("/skeleton", ears.types.serialize(message))
    ears.hear("/poses", poses(2, skeleton=arm))
    ((result, _, _),) = ears.shown
    assert result.tracks.poses.skeleton.keypoint_names == ("a", "b")


def test_a_skeleton_that_grew_is_learned_anew(ears: Ears) -> None:
    """A node was started again with a network of more joints, under the old name."""

    def told(name: str, *joints: str) -> Skeleton:
        parts, sigmas = {"body": slice(0, len(joints))}, np.ones(len(joints), "f4")
        skeleton = Skeleton(name, joints, parts, (), (), sigmas)
        message = skeleton_message(skeleton, MessageClasses(ears.types))
        ears.hear("/skeleton", ears.types.serialize(message))
        return skeleton

    for stamp, names in ((1, "ab"), (2, "abc")):
        ears.hear("/poses", poses(stamp, skeleton=told("arm", *names)))
        assert ears.shown[-1][0].tracks.poses.skeleton.keypoint_names == tuple(names)
    told("coco17", "a")  # known sets stay what they are
    ears.hear("/poses", poses(3, skeleton=COCO17))
    assert len(ears.shown) == 3


def test_broken_messages_cost_a_line_each(ears: Ears, caplog: pytest.LogCaptureFixture) -> None:
    ragged = ears.types.deserialize(poses(1, people=2), POSES)
    ragged.poses[0].keypoints = np.zeros(5, np.float32)
    for topic in ("/image", "/poses", "/skeleton"):
        ears.hear(topic, b"\0\1\0\0\7")
    ears.hear("/poses", ears.types.serialize(ragged))
    assert ears.shown == []
    assert [line.split(": ")[0] for line in caplog.messages] == ["/image", "/poses", "/skeleton"]


@pytest.mark.parametrize(
    ("offers", "why"), [([], "no publisher"), (["reliable"], "its publishers are silent")]
)
def test_silence_is_explained(
    offers: list[str], why: str, caplog: pytest.LogCaptureFixture
) -> None:
    ears = Ears()
    ears.offers[:] = offers
    ears.view.tell_silence()
    assert not caplog.messages
    ears.now += 10
    ears.view.tell_silence()
    assert [line.split(": ")[0] for line in caplog.messages] == ["/poses", "/image"]
    assert all(why in line for line in caplog.messages)


def test_the_topics_are_the_nodes() -> None:
    config = NodeConfig(
        cameras=(CameraTopics("front", "/f/image"), CameraTopics("rear", "/r/image")),
        image_transport="compressed",
    )
    names = NodeNames(remaps={"front/poses": "/people"})
    found = [ViewTopics.of(config, camera, names) for camera in config.cameras]
    assert [(t.image, t.poses, t.skeleton) for t in found] == [
        ("/f/image/compressed", "/people", "/front/skeleton"),
        ("/r/image/compressed", "/rear/poses", "/rear/skeleton"),
    ]


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Images on /image, ten a second."""
    monkeypatch.setenv("ROS_DOMAIN_ID", str(DOMAIN))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    stop = threading.Event()
    with FarEnd(DOMAIN) as far:
        publisher = far.publisher("/image", IMAGE)

        def send() -> None:
            for number in range(1, 10**6):
                if stop.wait(0.1):
                    return
                publisher.publish(far.image(number * 10**8, number % 256))

        far.start()
        thread = threading.Thread(target=send)
        thread.start()
        yield
        stop.set()
        thread.join()


def test_view_records_what_a_node_sees(
    camera: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rerun", reason="VIEW IS NOT CHECKED: rerun-sdk is absent")
    from viewer_recordings import read_recording

    path = tmp_path / "seen.rrd"
    with node_process(DOMAIN) as node:
        wait_for(lambda: any("-> /poses" in line for line in node.lines), "the node")
        argv = ["view", "--rrd", str(path), "--no-view", "--seconds", "8"]
        assert cli.main(argv) == 0
    read = read_recording(path)
    assert str(path) in capsys.readouterr().out
    images = {stamp for _, stamp, _ in read.rows["/camera/image"]}
    answered = {
        stamp: values["Points2D:positions"]
        for _, stamp, values in read.rows["/camera/image/joints"]
        if values.get("Points2D:positions")
    }
    both = images & answered.keys()
    assert len(both) >= 5
    for stamp in both:  # the stand-in's nose is as far right as the image's first pixel is red
        assert answered[stamp][0][0] == (stamp // 10**8) % 256


def test_a_full_disk_ends_the_view(camera: None, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rerun", reason="VIEW IS NOT CHECKED: rerun-sdk is absent")
    if not Path("/dev/full").exists():
        pytest.skip("NO /dev/full HERE")
    with node_process(DOMAIN):
        assert cli.main(["view", "--rrd", "/dev/full", "--no-view", "--seconds", "60"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "alphapose-ros: /dev/full: No space left on device"
    )
