# SPDX-License-Identifier: Apache-2.0
"""Bags while they grow: readable after every message, wherever the file is cut off."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recording_scenes import S, cdr_of, headers, part_of, raw_image, read, write_all
from rosbags.highlevel import AnyReader

from alphapose_ros.base.errors import InputError, SourceError
from alphapose_ros.io import part
from alphapose_ros.io.bag import BagSource, BagWriter
from alphapose_ros.io.bag_reader import BagMessage, BagReader, is_bag
from alphapose_ros.io.mcap import CHUNK, CHUNK_HEAD, PREFIX

BAGS = ["o.mcap", "o.db3", "o"]


def write_and_close(bag: BagWriter, messages: list[BagMessage]) -> None:
    write_all(bag, messages)
    bag.close()


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
