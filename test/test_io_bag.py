# SPDX-License-Identifier: Apache-2.0
"""Bags out and in again, by rosbags' own reader and by ours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rosbags")
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import Reader, StoragePlugin, Writer

from alphapose_ros.base.errors import InputError, SourceError
from alphapose_ros.io.bag import BagSource, BagWriter
from alphapose_ros.io.sources import open_source
from alphapose_ros.io.typestore import message_directory, message_typestore

STORE = message_typestore()
S = 10**9


def message(name: str, **fields: Any) -> Any:
    return STORE.types[name](**fields)


def header(stamp_ns: int, frame_id: str = "optical") -> Any:
    time = message("builtin_interfaces/msg/Time", sec=stamp_ns // S, nanosec=stamp_ns % S)
    return message("std_msgs/msg/Header", stamp=time, frame_id=frame_id)


def raw_image(stamp_ns: int, value: int = 7, **changes: Any) -> Any:
    fields = {
        "header": header(stamp_ns), "height": 4, "width": 6, "encoding": "rgb8",
        "is_bigendian": 0, "step": 18, "data": np.full(72, value, np.uint8),
    }  # fmt: skip
    return message("sensor_msgs/msg/Image", **{**fields, **changes})


def jpeg(stamp_ns: int) -> Any:
    _, data = cv2.imencode(".jpg", np.full((8, 8, 3), 90, np.uint8))
    return message(
        "sensor_msgs/msg/CompressedImage", header=header(stamp_ns), format="jpeg", data=data
    )


def write(path: Path, messages: list[tuple[str, Any, int]]) -> None:
    with BagWriter(path) as bag:
        for topic, item, stamp_ns in messages:
            bag.write_message(topic, item, stamp_ns)


def test_a_single_file_is_read_back_by_rosbags(tmp_path: Path) -> None:
    path = tmp_path / "out.mcap"
    write(path, [("/cam/image_raw", raw_image(S + k), S + k) for k in range(3)])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.mcap"]
    with AnyReader([path]) as reader:
        found = [
            (c.topic, stamp, reader.deserialize(raw, c.msgtype).data.tolist())
            for c, stamp, raw in reader.messages()
        ]
    assert found == [("/cam/image_raw", S + k, [7] * 72) for k in range(3)]


def test_our_own_messages_carry_their_definition_and_hash(tmp_path: Path) -> None:
    path = tmp_path / "people.mcap"
    empty = message(
        "alphapose_ros/msg/PoseArray", header=header(S), spatial_frame="optical",
        skeleton="halpe136", image_width=640, image_height=480, poses=[],
    )  # fmt: skip
    write(path, [("/poses", empty, S)])
    digest = STORE.hash_rihs01("alphapose_ros/msg/PoseArray")
    assert digest.encode() in path.read_bytes()
    write(tmp_path / "folder", [("/poses", empty, S)])
    with Reader(tmp_path / "folder") as reader:
        (connection,) = reader.connections
        assert connection.digest == digest
        assert "MSG: alphapose_ros/PersonPose" in connection.msgdef.data
    with AnyReader([path]) as reader:  # without our files: the bag explains itself
        ((_, _, raw),) = reader.messages()
        assert reader.deserialize(raw, "alphapose_ros/msg/PoseArray").skeleton == "halpe136"


def test_a_folder_bag_has_metadata_and_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "recording"
    write(path, [("/image", raw_image(S), S)])
    assert sorted(p.name for p in path.iterdir()) == ["metadata.yaml", "recording_0.mcap"]
    assert [frame.stamp_ns for frame in open_source(str(path))] == [S]
    with pytest.raises(InputError, match="exists already"):
        BagWriter(path)


def test_a_file_is_replaced_only_when_the_new_one_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "out.mcap"
    write(path, [("/image", raw_image(S), S)])
    before = path.read_bytes()
    bag = BagWriter(path)
    bag.write_message("/image", raw_image(2 * S), 2 * S)
    assert path.read_bytes() == before
    bag.close()
    bag.close()
    assert path.read_bytes() != before
    assert list(tmp_path.iterdir()) == [path]


def test_an_empty_bag_is_a_bag(tmp_path: Path) -> None:
    write(tmp_path / "none.mcap", [])
    with Reader(tmp_path / "none.mcap") as reader:
        assert reader.message_count == 0


def test_one_topic_has_one_type(tmp_path: Path) -> None:
    with BagWriter(tmp_path / "a.mcap") as bag:
        bag.write_message("/image", raw_image(S), S)
        with pytest.raises(InputError, match=r"expected sensor_msgs/msg/Image, got"):
            bag.write_message("/image", jpeg(S), S)


def test_cameras_raw_and_compressed_are_read_and_twins_and_depth_left_out(tmp_path: Path) -> None:
    path = tmp_path / "robot.mcap"
    write(
        path,
        [
            ("/front/image_raw", raw_image(10 * S), S),
            ("/front/image_raw/compressed", jpeg(10 * S), S),
            ("/rear/image/compressed", jpeg(11 * S), 2 * S),
            ("/depth/image_raw", raw_image(11 * S, encoding="16UC1"), 3 * S),
            ("/front/image_raw", raw_image(0), 12 * S),
        ],
    )
    with BagSource(path) as source:
        assert source.frame_count == 3
        frames = list(source)
    assert [(f.camera, f.stamp_ns, f.size_hw) for f in frames] == [
        ("front/image_raw", 10 * S, (4, 6)),
        ("rear/image/compressed", 11 * S, (8, 8)),
        ("front/image_raw", 12 * S, (4, 6)),  # a zero stamp becomes the time of recording
    ]
    assert frames[0].frame_id == "optical"
    with BagSource(path, topic="front/image_raw/compressed") as source:
        assert [frame.size_hw for frame in source] == [(8, 8)]
    with pytest.raises(SourceError, match="expected image topic /side, the bag has image topics"):
        BagSource(path, topic="/side")


def several_rates() -> list[tuple[str, Any, int]]:
    """A camera that came late, a slow one that ended early, one image of a third; 60 s in all."""
    starts = {"/late": (50, 30, 300), "/slow": (0, 5, 50), "/single": (20, 1, 1)}
    images = [
        (topic, raw_image(stamp), stamp)
        for topic, (begin, rate, count) in starts.items()
        for stamp in (S + begin * S + k * S // rate for k in range(count))
    ]
    images += [("/tick", header(S + k * S), S + k * S) for k in range(60)]
    return sorted(images, key=lambda each: each[2])


@pytest.mark.parametrize("name", ["a.mcap", "a.db3", "cut.mcap", "cut.db3.part", "folder"])
def test_each_camera_has_the_rate_of_its_own_images(tmp_path: Path, name: str) -> None:
    whole = tmp_path / name.replace("cut", "a").replace(".part", "")
    write(whole, several_rates())
    path = tmp_path / name
    if name == "cut.mcap":
        path.write_bytes(whole.read_bytes()[:-20])
    elif path != whole:
        whole.rename(path)
    with BagSource(path) as source:
        assert source.fps == pytest.approx(30, rel=1e-6)
        assert source.fps_of("late") == source.fps
        assert source.fps_of("slow") == pytest.approx(5, rel=1e-6)
        assert source.fps_of("single") == source.fps  # nothing says otherwise
        assert source.frame_count == 351
    with BagSource(path, topic="/slow") as source:
        assert source.fps == pytest.approx(5, rel=1e-6)


def test_a_bag_without_an_index_is_not_read_for_its_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The camera is taken to last as long as the bag."""
    write(tmp_path / "a.mcap", several_rates())
    monkeypatch.setattr("alphapose_ros.io.bag_reader._WholeReader._has_index", lambda self: False)
    with BagSource(tmp_path / "a.mcap") as source:
        assert source.fps_of("late") == pytest.approx(30, rel=0.01)
        assert source.fps_of("slow") == pytest.approx(49 / 59.97, rel=0.01)


def test_an_unchunked_mcap_has_no_index(tmp_path: Path) -> None:
    from alphapose_ros.io.bag_reader import BagReader

    write(tmp_path / "a.mcap", [("/image", raw_image(S + k * S), S + k * S) for k in range(3)])
    with BagReader(tmp_path / "a.mcap") as bag:
        assert bag._reader._has_index()
        bag._reader._reader.readers[0].storage.chunks.clear()
        assert not bag._reader._has_index()


def test_a_sqlite_bag_is_read_too(tmp_path: Path) -> None:
    path = tmp_path / "old"
    with Writer(path, version=8, storage_plugin=StoragePlugin.SQLITE3) as bag:
        image = raw_image(S)
        connection = bag.add_connection("/image", image.__msgtype__, typestore=STORE)
        bag.write(connection, S, STORE.serialize_cdr(image, image.__msgtype__))
    assert len(list(open_source(str(path)))) == 1
    assert len(list(open_source(str(path / "old.db3")))) == 1


def test_undecodable_images_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.mcap"
    bad = raw_image(2 * S, data=np.zeros(5, np.uint8))
    write(path, [("/image", raw_image(S), S), ("/image", bad, 2 * S)])
    with BagSource(path) as source:
        assert [frame.stamp_ns for frame in source] == [S]
    (problem,) = source.problems
    assert "1 of 2 images" in problem
    write(path, [("/image", raw_image(S, encoding="yuv17"), S)])
    with pytest.raises(SourceError, match="no image could be decoded"):
        list(BagSource(path))


def test_images_whose_stamp_does_not_advance_are_counted(tmp_path: Path) -> None:
    """Repeated, late, and recorded a second time; each camera has a clock of its own."""
    path = tmp_path / "a.mcap"
    stamps = [5, 6, 6, 4, 7, 5, 6, 7, 8]
    images = [("/front", raw_image(s * S), k * S) for k, s in enumerate(stamps, start=1)]
    write(path, [*images, ("/rear", raw_image(2 * S), 10 * S)])
    with BagSource(path) as source:
        found = [(frame.camera, frame.stamp_ns // S) for frame in source]
    assert found == [*(("front", s) for s in (5, 6, 7, 8)), ("rear", 2)]
    assert source.problems == ["5 of 10 images skipped: their stamps do not advance"]


def test_a_bag_without_images_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.mcap"
    write(path, [("/header", header(S), S)])
    with pytest.raises(SourceError, match="has no image topic"):
        open_source(str(path))


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: b"not a bag" * 50,
        lambda data: data[: len(data) // 2],
        lambda data: data[:300] + b"\xff" * 400 + data[700:],
        lambda data: data[:-20],
    ],
    ids=["empty", "foreign", "half", "overwritten", "no end"],
)
def test_a_damaged_bag_is_one_error(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "bad.mcap"
    write(path, [("/image", raw_image(S + k), S + k) for k in range(20)])
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(SourceError, match=r"bad\.mcap: "):
        list(open_source(str(path)))


def test_message_definitions_are_found_in_a_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert {"PoseArray.msg", "PersonPose.msg"} <= {p.name for p in message_directory().iterdir()}
    place = tmp_path / "share" / "alphapose_ros" / "msg"
    place.mkdir(parents=True)
    (place / "PoseArray.msg").write_text("std_msgs/Header header\n")
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(tmp_path))
    monkeypatch.setattr("alphapose_ros.io.typestore.__file__", str(tmp_path / "a" / "b" / "c.py"))
    assert message_directory() == place
    monkeypatch.delenv("AMENT_PREFIX_PATH")
    with pytest.raises(SourceError, match=r"PoseArray\.msg"):
        message_directory()
