# SPDX-License-Identifier: Apache-2.0
"""Bags while they grow: readable after every message, wherever the file is cut off."""

from __future__ import annotations

import errno
import random
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recording_scenes import STORE, S, cdr_of, header, image_bag, raw_image, read
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from alphapose_ros.base.errors import InputError, SourceError
from alphapose_ros.io import part
from alphapose_ros.io.bag import BagSource, BagWriter
from alphapose_ros.io.bag_reader import BagMessage, BagReader, is_bag
from alphapose_ros.io.mcap import CHUNK, CHUNK_HEAD, PREFIX

HEADER_TYPE = "std_msgs/msg/Header"
BAGS = ["o.mcap", "o.db3", "o"]


def headers(count: int) -> list[BagMessage]:
    return [
        BagMessage("/front" if k % 3 else "/rear", HEADER_TYPE, S + k, cdr_of(header(k)))
        for k in range(count)
    ]


def write_all(bag: BagWriter, messages: list[BagMessage]) -> None:
    for each in messages:
        bag.write(each.topic, each.msgtype, each.cdr, each.stamp_ns)


def write_and_close(bag: BagWriter, messages: list[BagMessage]) -> None:
    write_all(bag, messages)
    bag.close()


def part_of(path: Path) -> Path:
    return path.with_name(path.name + ".part")


@pytest.mark.parametrize("name", BAGS)
def test_every_message_is_readable_as_soon_as_it_is_written(tmp_path: Path, name: str) -> None:
    path, messages = tmp_path / name, headers(12)
    bag = BagWriter(path)
    for count, each in enumerate(messages, start=1):
        write_all(bag, [each])
        with BagReader(part_of(path)) as reader:
            assert reader.cut
            assert list(reader.messages()) == messages[:count]
            assert list(reader.messages()) == messages[:count]  # and once more
            assert sum(number for _, _, number in reader.topics) == count
            assert reader.duration_ns == count - 1
        assert not path.exists()
    bag.close()
    assert [p.name for p in tmp_path.iterdir()] == [name]
    assert read(path) == messages
    with BagReader(path) as reader:
        assert not reader.cut
        assert reader.deserialize(messages[5]).stamp.nanosec == 5


@pytest.mark.parametrize("name", BAGS)
def test_what_another_process_left_stays_and_so_does_the_file_of_before(
    tmp_path: Path, name: str
) -> None:
    path, single = tmp_path / name, name != "o"
    if single:
        with BagWriter(path) as bag:
            write_all(bag, headers(2))
    for count in (3, 4):
        left = BagWriter(path)
        write_all(left, headers(count))
        left._storage.abandon()  # as if killed
    assert not single or len(read(path)) == 2
    with BagWriter(path) as bag:
        write_all(bag, headers(5))
    assert [len(read(tmp_path / n)) for n in (name, f"{name}.part", f"{name}.2.part")] == [5, 3, 4]
    with pytest.raises(SourceError, match="no image topic"):
        list(BagSource(part_of(path)))


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes, list[BagMessage]]:
    """An MCAP of three chunks as it was before it was closed, as it was after, its messages."""
    path = tmp_path_factory.mktemp("grown") / "o.mcap"
    large = cdr_of(
        raw_image(S, height=480, width=640, step=1920, data=np.full(921600, 7, np.uint8))
    )
    pieces = [BagMessage("/image", "sensor_msgs/msg/Image", S + k, large) for k in range(5)]
    messages = [each for pair in zip(headers(5), pieces, strict=True) for each in pair]
    with BagWriter(path) as bag:
        write_all(bag, messages)
        before = part_of(path).read_bytes()
    return before, path.read_bytes(), messages


@settings(max_examples=40)
@given(share=st.floats(0, 1), of_end=st.booleans())
def test_a_file_cut_anywhere_gives_all_whole_messages(
    grown: tuple[bytes, bytes, list[BagMessage]], tmp_path_factory: pytest.TempPathFactory,
    share: float, of_end: bool,
) -> None:  # fmt: skip
    before, after, messages = grown
    data = after if of_end else before
    cut = data[: max(round(share * (len(data) - 1)), 40)]
    path = tmp_path_factory.getbasetemp() / "cut.mcap"
    path.write_bytes(cut)
    found = read(path)
    assert found == messages[: len(found)]
    whole = sum(cut.count(each.cdr) for each in {each.cdr: each for each in messages}.values())
    assert len(found) == whole


@settings(max_examples=40)
@given(place=st.floats(0, 1), value=st.integers(0, 255))
def test_a_changed_byte_gives_true_messages_or_one_error(
    grown: tuple[bytes, bytes, list[BagMessage]], tmp_path_factory: pytest.TempPathFactory,
    place: float, value: int,
) -> None:  # fmt: skip
    before, _, messages = grown
    data = bytearray(before)
    data[round(place * (len(data) - 1))] = value
    path = tmp_path_factory.getbasetemp() / "changed.mcap"
    path.write_bytes(data)
    try:
        found = read(path)
    except SourceError as error:
        assert "changed.mcap" in str(error)  # noqa: PT017 (most changes are no error)
        return
    true = {each.cdr for each in messages}
    assert all(each.cdr in true for each in found)  # the chunks' sums see to that


def test_the_same_messages_make_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        with BagWriter(tmp_path / name / "o.mcap") as bag:
            write_all(bag, headers(300))
    one, other = ((tmp_path / name / "o.mcap").read_bytes() for name in ("a", "b"))
    assert one == other


def test_other_readers_agree(grown: tuple[bytes, bytes, list[BagMessage]], tmp_path: Path) -> None:
    """The index by rosbags and by mcap with all its sums; what is cut off by mcap's stream."""
    before, after, messages = grown
    path = tmp_path / "o.mcap"
    path.write_bytes(after)
    with AnyReader([path]) as reader:
        found = [(c.topic, t, bytes(raw)) for c, t, raw in reader.messages()]
        counts = {c.topic: c.msgcount for c in reader.connections}
    assert sorted(found) == sorted((m.topic, m.stamp_ns, m.cdr) for m in messages)
    assert counts == {"/front": 3, "/rear": 2, "/image": 5}
    mcap = pytest.importorskip("mcap.reader", reason="NOT CHECKED BY ANOTHER READER: no mcap")
    from mcap.exceptions import EndOfFile
    from mcap.records import Message
    from mcap.stream_reader import StreamReader

    with path.open("rb") as file:
        reader = mcap.make_reader(file, validate_crcs=True)
        summary = reader.get_summary()
        assert summary.statistics.message_count == 10
        assert summary.statistics.chunk_count == len(summary.chunk_indexes) == 3
        assert len(list(reader.iter_messages())) == 10
        assert [m.log_time for _, _, m in reader.iter_messages(topics=["/rear"])] == [S, S + 3]
        (note,) = reader.iter_metadata()
        assert note.name == "rosbag2"
    path.write_bytes(before)
    with path.open("rb") as file:
        stream = StreamReader(file, validate_crcs=True)
        whole: list[bytes] = []
        with pytest.raises(EndOfFile):
            whole.extend(r.data for r in stream.records if isinstance(r, Message))
    assert whole == [each.cdr for each in messages]


def test_a_message_between_bytes_and_header_counts(tmp_path: Path) -> None:
    """Killed after the message was appended, before the chunk's header said so."""
    path = tmp_path / "o.mcap"
    bag = BagWriter(path)
    write_all(bag, headers(3))
    old = part_of(path).read_bytes()
    write_all(bag, headers(4)[3:])
    data = bytearray(part_of(path).read_bytes())
    at = _chunk_at(old)
    size = PREFIX.size + CHUNK_HEAD.size + 8
    data[at : at + size] = old[at : at + size]
    torn = tmp_path / "torn.mcap"
    torn.write_bytes(data)
    assert read(torn) == headers(4)


def _chunk_at(data: bytes) -> int:
    position = 8
    while data[position] != CHUNK:
        position += PREFIX.size + PREFIX.unpack_from(data, position)[1]
    return position


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


def test_what_is_no_part_of_a_bag(tmp_path: Path) -> None:
    for name, data in (("a.mcap.part", b""), ("b.mcap.part", b"video"), ("c.db3.part", b"x" * 99)):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(SourceError, match=rf"{name}: not a readable bag"):
            BagReader(tmp_path / name)
    assert is_bag(tmp_path / "a.mcap.part")
    assert is_bag(tmp_path / "a.db3.12.part")
    assert not is_bag(tmp_path / "a.mp4.part")
    with pytest.raises(SourceError, match="nowhere"):
        BagReader(tmp_path / "nowhere.mcap")


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


def test_wrong_use_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected mcap or sqlite3, got 'tape'"):
        BagWriter(tmp_path / "o", storage="tape")
    assert not list(tmp_path.iterdir())
    bag = BagWriter(tmp_path / "o.mcap")
    bag.close()
    with pytest.raises(InputError, match="already closed"):
        write_all(bag, headers(1))


@pytest.mark.parametrize("name", BAGS)
def test_a_discarded_bag_leaves_nothing(tmp_path: Path, name: str) -> None:
    bag = BagWriter(tmp_path / name)
    write_all(bag, headers(2))
    bag.discard()
    bag.close()
    assert not list(tmp_path.iterdir())


def full_after(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk takes so many bytes more."""
    room = count

    def pwrite(descriptor: int, data: Any, offset: int) -> int:
        nonlocal room
        there = part.os.fstat(descriptor).st_size - offset
        if there + room <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = real(descriptor, bytes(data)[: there + room], offset)
        room -= max(written - there, 0)
        return int(written)

    real = part.os.pwrite
    monkeypatch.setattr(part.os, "pwrite", pwrite)


@pytest.mark.parametrize("room", [0, 10, 200, 3000, 3100, 3500])
def test_a_full_disk_leaves_whole_messages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    path, messages = tmp_path / "o.mcap", headers(40)
    with BagWriter(path) as bag:
        write_all(bag, messages[:2])
    bag = BagWriter(path)
    write_all(bag, messages[:10])
    full_after(room, monkeypatch)
    with pytest.raises(OSError, match="No space left") as caught:
        write_and_close(bag, messages[10:])
    written = sum(bag._counts.values())
    assert written >= 10
    assert caught.value.filename == str(path)
    assert caught.value.errno == errno.ENOSPC
    bag.close()  # once is enough
    assert bag.path == part_of(path)
    assert read(bag.path) == messages[:written]
    assert read(path) == messages[:2]


def test_texts_are_there_whole_or_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json"
    part.write_text(path, "before")
    full_after(3, monkeypatch)
    with pytest.raises(OSError, match="No space left") as caught:
        part.write_text(path, "after that")
    assert caught.value.filename == str(path)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.json", "before")]
