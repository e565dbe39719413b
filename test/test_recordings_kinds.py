# SPDX-License-Identifier: Apache-2.0
"""Bags of every kind: compressed, in several files, SQLite, and of recorders that were killed."""

from __future__ import annotations

import random
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from recording_scenes import (
    HEADER_TYPE,
    STORE,
    S,
    cdr_of,
    header,
    headers,
    image_bag,
    part_of,
    raw_image,
    read,
    write_all,
)
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from alphapose_ros.base.errors import SourceError
from alphapose_ros.io.bag import BagSource, BagWriter
from alphapose_ros.io.bag_reader import is_bag


@pytest.mark.parametrize("kind", ["zstd", "lz4"])
def test_a_compressed_recording_without_its_end(tmp_path: Path, kind: str) -> None:
    """As ``ros2 bag record`` leaves it when it is killed."""
    path, chance = tmp_path / "o.mcap", random.Random(3)
    names = [chance.randbytes(40).hex() for _ in range(100)]
    messages = [
        m._replace(cdr=cdr_of(header(5, n))) for m, n in zip(headers(100), names, strict=True)
    ]
    mcap = pytest.importorskip("mcap.writer", reason="CHUNKS NOT CHECKED: no mcap")
    with path.open("wb") as file:
        writer = mcap.Writer(
            file, chunk_size=500, compression=getattr(mcap.CompressionType, kind.upper())
        )
        writer.start(profile="ros2")
        schema = writer.register_schema(HEADER_TYPE, "ros2msg", b"...")
        channels = {t: writer.register_channel(t, "cdr", schema) for t in ("/front", "/rear")}
        for each in messages:
            writer.add_message(channels[each.topic], each.stamp_ns, each.cdr, each.stamp_ns)
        writer.finish()
    data = path.read_bytes()
    for share in (0.2, 0.4, 0.6):
        path.write_bytes(data[: round(share * len(data))])
        found = read(path)
        assert 0 < len(found) < 100
        assert found == messages[: len(found)]


def test_a_folder_whose_recorder_was_killed(tmp_path: Path) -> None:
    folder = image_bag(tmp_path / "drive", 5)
    (folder / "metadata.yaml").unlink()
    assert is_bag(folder)
    assert len(list(BagSource(folder))) == 5  # its file is whole
    file = folder / "drive_0.mcap"
    file.write_bytes(file.read_bytes()[:-9])
    source = BagSource(folder)
    assert source.frame_count == 5
    frames = []
    with pytest.raises(SourceError, match=r"drive: cut off after 5 images; the recording was"):
        frames.extend(source)
    (folder / "drive_1.mcap").touch()
    assert not is_bag(folder)
    with pytest.raises(SourceError, match=r"drive: expected metadata\.yaml, or one"):
        BagSource(folder)


def test_a_sqlite_message_torn_by_a_kill_is_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "o.db3"
    script = f"""
import os, signal, sqlite3, sys
database = sqlite3.connect({str(part_of(path))!r}, isolation_level=None)
database.execute("PRAGMA cache_spill = 1")
database.execute("PRAGMA cache_size = 1")
database.execute("BEGIN")
insert = "INSERT INTO messages(topic_id, timestamp, data) VALUES(1, 5, ?)"
for _ in range(200):
    database.execute(insert, [b"x" * 5000])
os.kill(os.getpid(), signal.SIGKILL)
"""
    bag = BagWriter(path)
    write_all(bag, headers(3))
    bag._storage.abandon()
    subprocess.run([sys.executable, "-c", script], check=False)
    assert (tmp_path / "o.db3.part-journal").exists()
    assert part_of(path).stat().st_size > 100_000
    assert read(part_of(path)) == headers(3)
    assert not (tmp_path / "o.db3.part-journal").exists()


def test_a_sqlite_bag_is_one_to_rosbag2(tmp_path: Path) -> None:
    path = tmp_path / "o.db3"
    with BagWriter(path) as bag:
        write_all(bag, headers(3))
    database = sqlite3.connect(path)
    assert database.execute("SELECT schema_version FROM schema").fetchall() == [(4,)]
    ((note,),) = database.execute("SELECT metadata FROM metadata").fetchall()
    assert "storage_identifier: sqlite3" in note
    database.close()
    with AnyReader([path]) as reader:
        assert {c.digest for c in reader.connections} == {STORE.hash_rihs01(HEADER_TYPE)}
        assert len(list(reader.messages())) == 3


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_a_latched_topic_says_so(tmp_path: Path, storage: str) -> None:
    path = tmp_path / "o"
    cdr = cdr_of(header(S))
    with BagWriter(path, storage=storage) as bag:
        bag.write("/skeleton", HEADER_TYPE, cdr, S, latched=True)
        bag.write("/poses", HEADER_TYPE, cdr, S)
    with AnyReader([path]) as reader:
        qos = {c.topic: c.ext.offered_qos_profiles for c in reader.connections}
        assert {c.topic: c.msgcount for c in reader.connections} == {"/skeleton": 1, "/poses": 1}
        assert len(list(reader.messages())) == 2
    assert qos["/poses"] == []
    (offer,) = qos["/skeleton"]
    assert (offer.depth, offer.durability.name, offer.reliability.name) == (
        1, "TRANSIENT_LOCAL", "RELIABLE",
    )  # fmt: skip


@pytest.mark.parametrize("mode", [CompressionMode.FILE, CompressionMode.MESSAGE])
@pytest.mark.parametrize("plugin", list(StoragePlugin))
def test_compressed_bags_are_read(
    tmp_path: Path, mode: CompressionMode, plugin: StoragePlugin
) -> None:
    path = tmp_path / "zipped"
    bag = Writer(path, version=8, storage_plugin=plugin)
    bag.set_compression(mode, CompressionFormat.ZSTD)
    with bag:
        image = raw_image(S)
        connection = bag.add_connection("/image", image.__msgtype__, typestore=STORE)
        for number in range(4):
            bag.write(connection, S + number, cdr_of(raw_image(S + number, number)))
    with BagSource(path) as source:
        assert [int(frame.image[0, 0, 0]) for frame in source] == [0, 1, 2, 3]


def test_chunks_of_mcap_may_be_compressed(tmp_path: Path) -> None:
    bag = Writer(tmp_path / "z", version=9, storage_plugin=StoragePlugin.MCAP)
    bag.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    with bag:
        connection = bag.add_connection("/image", "sensor_msgs/msg/Image", typestore=STORE)
        bag.write(connection, S, cdr_of(raw_image(S)))
    assert len(list(BagSource(tmp_path / "z" / "z.mcap"))) == 1


def test_a_bag_in_several_files_is_one(tmp_path: Path) -> None:
    """As ``ros2 bag record --max-bag-size`` splits it."""
    import yaml

    folder, second = image_bag(tmp_path / "drive", 3), tmp_path / "drive_1.mcap"
    with BagWriter(second) as bag:
        bag.write_message("/cam/image", raw_image(9 * S, 99), 9 * S)
    shutil.move(second, folder / second.name)
    metadata = folder / "metadata.yaml"
    content = yaml.safe_load(metadata.read_text())
    information = content["rosbag2_bagfile_information"]
    information["relative_file_paths"].append(second.name)
    information["topics_with_message_count"][0]["message_count"] = 4
    metadata.write_text(yaml.safe_dump(content))
    with BagSource(folder) as source:
        assert source.frame_count == 4
        assert [int(frame.image[0, 0, 0]) for frame in source] == [0, 1, 2, 99]
