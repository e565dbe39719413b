# SPDX-License-Identifier: Apache-2.0
"""The embedded node over a real middleware: two processes on loopback, no networks inside."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dds_helpers import IMAGE, POSES, FarEnd, node_process, wait_for
from domains import new_domain

from alphapose_ros.base.skeletons import HALPE136
from alphapose_ros.dds.camera_io import CAMERA_INFO
from alphapose_ros.output.messages import result_of, stamp_of


@pytest.fixture
def domain() -> int:
    return new_domain()


@pytest.fixture
def far(domain: int) -> Iterator[FarEnd]:
    with FarEnd(domain) as end:
        yield end


def nose_x(message: object) -> float:
    return float(message.poses[0].keypoints[0])


def sent(publisher: Any, message: Any) -> None:
    """One more try: what comes before the node knows the publisher is lost."""
    publisher.publish(message)
    time.sleep(0.02)


def test_an_image_comes_back_as_people(domain: int, far: FarEnd) -> None:
    poses = far.collect("/poses", POSES)
    images = far.publisher("/image", IMAGE)
    far.start()
    with node_process(domain):
        wait_for(lambda: images.matched, "the node's subscription")
        stamp = 5 * 10**9 + 7
        wait_for(lambda: sent(images, far.image(stamp, 42)) or poses, "poses")
    message = poses[0]
    assert stamp_of(message) == stamp
    assert message.header.frame_id == message.spatial_frame == "optical"
    assert (message.image_width, message.image_height) == (16, 8)
    assert nose_x(message) == 42
    result = result_of(message, {"halpe136": HALPE136})
    assert result.tracks.poses.keypoints.shape == (1, 136, 2)


def test_what_only_the_ros_front_does_is_told(domain: int, far: FarEnd) -> None:
    images = far.publisher("/image", IMAGE)
    far.start()
    with node_process(domain, "config = NodeConfig(target='nearest', humans=True)") as node:
        wait_for(lambda: images.matched, "the node's subscription")
    told = [line for line in node.lines if "--front ros" in line]
    assert len(told) == 1
    assert "humans, target: only" in told[0]


def test_two_cameras_keep_apart_and_one_may_stop(domain: int, far: FarEnd) -> None:
    found = {name: far.collect(f"/{name}/poses", POSES) for name in ("front", "rear")}
    images = {name: far.publisher(f"/{name}_cam/image", IMAGE) for name in found}
    far.start()
    config = (
        "config = NodeConfig(cameras=(CameraTopics('front', 'front_cam/image'),"
        " CameraTopics('rear', 'rear_cam/image')), reliability='reliable')"
    )

    def heard(name: str) -> list[float]:
        return [x for x in map(nose_x, found[name]) if x]

    with node_process(domain, config):
        for stamp_ns in range(1, 600):  # until both ends know each other
            for publisher in images.values():
                publisher.publish(far.image(stamp_ns, 0))
            if all(found.values()):
                break
            time.sleep(0.05)
        for i in range(1, 6):
            images["front"].publish(far.image(i * 10**9, 10))
            images["rear"].publish(far.image(i * 10**9, 20))
            wait_for(lambda i=i: all(len(heard(name)) >= i for name in found), "both cameras")
        for i in range(6, 11):  # the rear camera has stopped
            images["front"].publish(far.image(i * 10**9, 10))
            wait_for(lambda i=i: len(heard("front")) >= i, "the front camera alone")
    assert heard("front") == [10] * 10
    assert heard("rear") == [20] * 5


def test_a_camera_may_leave_and_another_come(domain: int, far: FarEnd) -> None:
    poses = far.collect("/poses", POSES)
    far.start()
    with node_process(domain) as node:
        for i in range(1, 4):
            with FarEnd(domain) as camera:
                images = camera.publisher("/image", IMAGE)
                camera.start()
                image = camera.image(i * 10**9, i)  # again and again is one answer
                wait_for(
                    lambda i=i, image=image, images=images: sent(images, image) or len(poses) >= i,
                    f"poses of camera {i}",
                )
        time.sleep(0.5)  # the last one's farewell
        assert node.poll() is None
    assert [nose_x(m) for m in poses] == [1, 2, 3]
    assert "Traceback" not in "".join(node.lines)


def test_a_flood_keeps_the_newest(domain: int, far: FarEnd) -> None:
    poses = far.collect("/poses", POSES)
    images = far.publisher("/image", IMAGE)
    far.start()
    with node_process(domain, delay_s=0.05):
        numbers, behind = count(1), list[int]()
        send = lambda: sent(images, far.image(next(numbers) * 10**6))  # noqa: E731
        wait_for(lambda: send() or len(poses) > 2, "the first answers")
        for _ in range(40):  # ten come while one is in work, however slow the machine is
            heard = len(poses)
            for i in islice(numbers, 10):
                images.publish(far.image(i * 10**6))
            wait_for(lambda heard=heard: len(poses) > heard, "an answer")
            behind.append(i - stamp_of(poses[-1]) // 10**6)
        wait_for(lambda: stamp_of(poses[-1]) == i * 10**6, "the last image")
    stamps = [stamp_of(m) // 10**6 for m in poses]
    assert stamps == sorted(set(stamps))
    assert len(stamps) < i / 2  # most were dropped
    # A queue would fall behind ever more: 9 of 10 images wait. The newest wins instead.
    half = len(behind) // 2
    assert np.median(behind[half:]) < 2 * max(np.median(behind[:half]), 20)


def test_who_comes_late_gets_the_skeleton(domain: int) -> None:
    with node_process(domain) as node:
        wait_for(lambda: any("-> /poses" in line for line in node.lines), "the node")
        with FarEnd(domain) as far:
            found = far.collect("/skeleton", "alphapose_ros/msg/Skeleton", latched=True)
            far.start()
            wait_for(lambda: found, "the latched skeleton")
    (message,) = found
    assert message.name == "halpe136"
    assert message.keypoint_names == list(HALPE136.keypoint_names)
    assert message.edges.reshape(-1, 2).tolist() == [list(edge) for edge in HALPE136.edges]
    assert {p.name: (p.first, p.count) for p in message.parts}["face"] == (26, 68)


def test_bad_images_give_one_line_each_and_the_node_goes_on(domain: int, far: FarEnd) -> None:
    poses = far.collect("/poses", POSES)
    images = far.publisher("/image", IMAGE)
    far.start()
    bad = {
        "unknown encoding": far.image(1, encoding="yuv9"),
        "truncated image": far.image(1, data=np.zeros(5, np.uint8)),
        "got 0x0": far.image(1, height=0, width=0),
        "got 4000000000x8": far.image(1, width=4_000_000_000),
        "expected a step of": far.image(1, step=3),
    }
    with node_process(domain) as node:
        wait_for(lambda: images.matched, "the node's subscription")

        def told(text: str) -> bool:
            images.publish(bad[text])
            time.sleep(0.02)
            return any(text in line for line in node.lines)

        for text in bad:  # of images that come together the node judges the last
            wait_for(lambda text=text: told(text), text)
        for message in list(bad.values()) * 2:
            images.publish(message)
            time.sleep(0.02)
        wait_for(lambda: sent(images, far.image(10**9, 7)) or poses, "poses after bad images")
    errors = [line for line in node.lines if "ERROR" in line]
    for text in bad:
        assert sum(text in line for line in errors) == 1, (text, node.lines)
    assert len(errors) == len(bad)
    assert all("/image:" in line for line in errors)
    assert "Traceback" not in "".join(node.lines)
    assert nose_x(poses[0]) == 7


def test_stamps_late_zero_and_a_new_clock(domain: int, far: FarEnd) -> None:
    poses = far.collect("/poses", POSES)
    images = far.publisher("/image", IMAGE)
    far.start()
    with node_process(domain) as node:
        wait_for(lambda: images.matched, "the node's subscription")

        def send(stamp_ns: int, value: int, *, heard: bool) -> None:
            images.publish(far.image(stamp_ns, value))
            if heard:
                wait_for(lambda: poses and nose_x(poses[-1]) == value, f"image {value}")
            else:
                time.sleep(0.1)

        send(10 * 10**9, 1, heard=True)
        send(10 * 10**9, 2, heard=False)  # repeated
        send(10 * 10**9 - 1000, 3, heard=False)  # late
        send(2 * 10**9, 4, heard=True)  # a clock set back by eight seconds
        send(0, 5, heard=True)  # no stamp
    assert [nose_x(m) for m in poses] == [1, 4, 5]
    assert stamp_of(poses[-1]) == 0
    warnings = [line for line in node.lines if "WARNING" in line]
    assert sum("clock was set back" in line for line in warnings) == 1
    assert sum("without stamp" in line for line in warnings) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_two_signals_end_it_cleanly(domain: int, far: FarEnd, number: signal.Signals) -> None:
    images = far.publisher("/image", IMAGE)
    far.start()
    with node_process(domain, delay_s=0.3) as node:
        wait_for(lambda: images.matched, "the node's subscription")
        images.publish(far.image(10**9))
        time.sleep(0.1)  # a frame is in work
        node.send_signal(number)
        time.sleep(0.05)
        if node.poll() is None:
            node.send_signal(number)
        assert node.wait(20) == 0
        assert not _children_of(node.pid)
    assert "Traceback" not in "".join(node.lines)
    wait_for(lambda: not images.matched, "the node's farewell")


def _children_of(pid: int) -> list[str]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return path.read_text().split() if path.exists() else []


def test_ros_tools_would_see_the_node(domain: int, far: FarEnd) -> None:
    name = "rmw_dds_common/msg/ParticipantEntitiesInfo"
    nodes: list[object] = []

    def keep(samples: list) -> None:
        nodes.extend(far.types.deserialize(s.cdr, name).node_entities_info_seq for s in samples)

    images = far.publisher("/ns/cam/image_raw", IMAGE)
    far.subscribe("ros_discovery_info", name, keep, "reliable", latched=True)
    far.start()
    config = (
        "names = NodeNames(namespace='/ns', node_name='watcher',"
        " remaps={'image': 'cam/image_raw'})"
    )
    with node_process(domain, config):
        wait_for(lambda: images.matched, "the remapped subscription")

        def others() -> list:
            return [n for seq in nodes for n in seq if n.node_name == "watcher"]

        wait_for(others, "the node's announcement")
        node = others()[-1]
        assert node.node_namespace == "/ns"
        assert len(node.reader_gid_seq) == 2  # image, camera_info
        assert len(node.writer_gid_seq) == 5  # poses, markers, pose_image, skeleton, diagnostics
        (handle,) = images.writer.get_matched_subscriptions()
        reader = images.writer.get_matched_subscription_data(handle)
        gids = {bytes(g.data[:16]) for g in node.reader_gid_seq}
        assert reader.key.bytes in gids
        assert far.types.hash(IMAGE).encode() in str(reader.qos).encode()


def test_auto_reliability_follows_the_publishers(domain: int, far: FarEnd) -> None:
    images = far.publisher("/image", IMAGE, "reliable")
    far.start()

    def asked() -> str:
        data = [
            images.writer.get_matched_subscription_data(h)
            for h in images.writer.get_matched_subscriptions()
        ]
        return " ".join(str(d.qos) for d in data if d)

    poses = far.collect("/poses", POSES)
    with node_process(domain):
        wait_for(lambda: "Reliability.Reliable" in asked(), "a reliable subscription")
        with FarEnd(domain) as second:
            other = second.publisher("/image", IMAGE, "best_effort")
            second.start()
            wait_for(lambda: other.matched, "best effort again")
            wait_for(lambda: "BestEffort" in asked(), "best effort for both")
            wait_for(
                lambda: sent(other, far.image(10**9, 9)) or poses,
                "poses from the best effort camera",
            )
        wait_for(lambda: "Reliability.Reliable" in asked(), "reliable when that one has left")


def test_markers_and_the_annotated_image_for_those_who_listen(domain: int, far: FarEnd) -> None:
    markers = far.collect("/markers", "visualization_msgs/msg/MarkerArray")
    drawn = far.collect("/pose_image", IMAGE)
    images = far.publisher("/image", IMAGE)
    infos = far.publisher("/camera_info", CAMERA_INFO)
    far.start()
    with node_process(domain) as node:
        wait_for(lambda: images.matched and infos.matched, "the node's subscriptions")
        k, numbers = np.array([20.0, 0, 8, 0, 20, 4, 0, 0, 1]), count(1)

        def show(height: int = 0, width: int = 0) -> None:
            if height:
                infos.publish(far.types.new(CAMERA_INFO, height=height, width=width, k=k))
            sent(images, far.image(next(numbers) * 10**9))

        def told() -> list[str]:
            why = "expected the images' size 16x8, got 640x480"
            return [line for line in node.lines if why in line]

        wait_for(lambda: show() or (drawn and markers), "an image without calibration")
        wait_for(lambda: show(480, 640) or told(), "a calibration of another size")
        assert not any(m.markers for m in markers)
        wait_for(lambda: show(8, 16) or markers[-1].markers, "an image with calibration")
        assert len(told()) == 1
    (*_, last) = (m for m in markers if m.markers)
    assert {m.ns for m in last.markers} == set(HALPE136.parts)
    assert {p.z for m in last.markers for p in m.points} == {2.0}
    assert (drawn[0].width, drawn[0].height, drawn[0].encoding) == (16, 8, "rgb8")
    assert stamp_of(drawn[0]) in range(10**9, next(numbers) * 10**9, 10**9)


def test_diagnostics_say_what_is_wrong(domain: int, far: FarEnd) -> None:
    found = far.collect("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray")
    images = far.publisher("/image", IMAGE)
    far.start()
    with node_process(domain, "config = NodeConfig(silence_warning_s=0.5)") as node:
        wait_for(lambda: images.matched, "the node's subscription")
        wait_for(
            lambda: any(m.status[0].message.startswith("no images for ") for m in found),
            "silence",
        )
        wait_for(lambda: any("no images for" in line for line in node.lines), "a line in the log")

        def running() -> list[Any]:
            sent(images, far.image(time.time_ns()))
            return [m for m in found if m.status[0].message == "running"]

        wait_for(running, "images")
    values = {v.key: v.value for v in running()[-1].status[0].values}
    assert int(values["processed"]) > 0
    assert float(values["latency_ms"]) > 0
    assert found[-1].status[0].name == "alphapose_ros: camera"


def test_diagnostics_tell_old_images_and_other_clocks(domain: int, far: FarEnd) -> None:
    found = far.collect("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray")
    images = far.publisher("/image", IMAGE)
    far.start()

    def said(text: str, shift_s: int) -> bool:
        images.publish(far.image(time.time_ns() + shift_s * 10**9))
        time.sleep(0.05)
        return any(text in m.status[0].message for m in found)

    with node_process(domain):
        wait_for(lambda: images.matched, "the node's subscription")
        wait_for(lambda: said("old when they come", -30), "old images")
        wait_for(lambda: said("ahead of the clock: the clocks differ", 30), "a fast clock")


def test_diagnostics_and_one_line_say_that_every_image_is_refused(
    domain: int, far: FarEnd
) -> None:
    found = far.collect("/diagnostics", "diagnostic_msgs/msg/DiagnosticArray")
    images = far.publisher("/image", IMAGE)
    far.start()

    numbers, begin = count(1), time.monotonic()

    def refused() -> bool:
        i = next(numbers)
        bad = far.image(i * 10**9)
        bad.data = bad.data[: len(bad.data) // 2 - i % 100]  # another length in every image
        sent(images, bad)
        last = found[-1].status[0] if found else None
        if last is None or "images are refused: truncated" not in last.message:
            return False
        return int({v.key: v.value for v in last.values}["input.refused"]) > 50

    with node_process(domain, "config = NodeConfig()") as node:
        wait_for(lambda: images.matched, "the node's subscription")
        wait_for(refused, "the reason in the diagnostics")
    lines = sum("truncated" in line for line in node.lines)
    assert 1 <= lines <= 1 + (time.monotonic() - begin) // 10  # one in ten seconds
