# SPDX-License-Identifier: Apache-2.0
"""Complete bags on a bad disk, and cut ones that claim more than they hold."""

from __future__ import annotations

import random
import struct
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from recording_scenes import STORE, S, finish, raw_image, read
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from alphapose_ros.base.errors import SourceError
from alphapose_ros.io.bag_reader import BagReader
from alphapose_ros.io.mcap import CHUNK, CHUNK_HEAD, HEADER, MAGIC, PREFIX, record, text

SECTOR = 1024
KINDS = {
    "sqlite": (StoragePlugin.SQLITE3, CompressionMode.NONE),
    "mcap": (StoragePlugin.MCAP, CompressionMode.STORAGE),
    "file": (StoragePlugin.SQLITE3, CompressionMode.FILE),
    "message": (StoragePlugin.SQLITE3, CompressionMode.MESSAGE),
}


def whole_bag(path: Path, kind: str, count: int = 8) -> tuple[Path, bytes]:
    """The file of a bag of rosbags' own, and its bytes."""
    plugin, mode = KINDS[kind]
    chance = np.random.default_rng(0)
    bag = Writer(path, version=9, storage_plugin=plugin)
    if mode != CompressionMode.NONE:
        bag.set_compression(mode, CompressionFormat.ZSTD)
    with bag:
        image = raw_image(S)
        connection = bag.add_connection("/cam", image.__msgtype__, typestore=STORE)
        for number in range(count):
            stamp_ns = S + number * S // 30
            image = raw_image(stamp_ns, data=chance.integers(0, 9, 24 * 96, np.uint8))
            cdr = STORE.serialize_cdr(image, image.__msgtype__)
            bag.write(connection, stamp_ns, cdr)
    (file,) = (each for each in path.iterdir() if each.name != "metadata.yaml")
    return file, file.read_bytes()


def damaged(file: Path, whole: bytes) -> Iterator[int]:
    """The file with one sector of zeros after another."""
    for at in range(0, len(whole), SECTOR):
        size = len(whole[at : at + SECTOR])
        file.write_bytes(whole[:at] + bytes(size) + whole[at + size :])
        yield at


def messages_of(folder: Path) -> tuple[int, str]:
    """How many messages can be read, and the error behind them, if any."""
    count = 0
    try:
        with BagReader(folder) as bag:
            first, last = bag.span_ns("/cam")
            assert first <= last
            for each in bag.messages():
                bag.deserialize(each)
                count += 1
    except SourceError as error:
        return count, str(error)
    return count, ""


@pytest.mark.parametrize("kind", KINDS)
def test_a_bad_sector_anywhere_is_one_kind_of_error(tmp_path: Path, kind: str) -> None:
    file, whole = whole_bag(tmp_path / "bag", kind)
    found = [messages_of(file.parent) for _ in damaged(file, whole)]
    errors = [error for _, error in found if error]
    assert len(errors) > 1
    assert all(error.startswith(f"{file.parent}: ") for error in errors)


def test_run_keeps_the_frames_before_the_damage(tmp_path: Path) -> None:
    file, whole = whole_bag(tmp_path / "bag", "sqlite")
    found = {at: messages_of(file.parent) for at in damaged(file, whole)}
    (count, _), at = max((each, at) for at, each in found.items() if each[1])
    assert count > 2
    file.write_bytes(whole[:at] + bytes(SECTOR) + whole[at + SECTOR :])
    lines = tmp_path / "o.jsonl"
    code, _, err = finish(["run", file.parent, "--json", lines])
    assert code == 2
    assert f"{file.parent}: damaged " in err
    assert "Traceback" not in err
    (kept,) = tmp_path.glob("o.jsonl*")
    assert len(kept.read_text().splitlines()) == count


def test_a_tower_in_the_metadata_is_one_error(tmp_path: Path) -> None:
    file, _ = whole_bag(tmp_path / "bag", "mcap", 1)
    (file.parent / "metadata.yaml").write_text("a: " + "[" * 20_000)
    with pytest.raises(SourceError, match="not a readable bag"):
        BagReader(file.parent)


# ---- MCAPs without their end

HEAD = MAGIC + record(HEADER, text("ros2"), text("x"))


def chunk(data: bytes, kind: str, size: int) -> bytes:
    body = CHUNK_HEAD.pack(0, 0, size, 0, len(kind)) + kind.encode()
    body += struct.pack("<Q", len(data)) + data
    return PREFIX.pack(CHUNK, len(body)) + body


def test_chunks_in_chunks_are_no_chunks(tmp_path: Path) -> None:
    inner = record(HEADER, text("ros2"), text("x"))
    for _ in range(1500):
        inner = chunk(inner, "", len(inner))
    (tmp_path / "o.mcap").write_bytes(HEAD + inner)
    assert read(tmp_path / "o.mcap") == []


def compressed(kind: str, data: bytes) -> bytes:
    if kind == "lz4":
        return bytes(pytest.importorskip("lz4.frame").compress(data))
    return bytes(pytest.importorskip("backports.zstd").compress(data))


@pytest.mark.parametrize("kind", ["lz4", "zstd"])
def test_a_chunk_is_unpacked_up_to_the_size_that_it_claims(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "o.mcap"
    path.write_bytes(HEAD + chunk(compressed(kind, bytes(64 << 20)), kind, 100))
    tracemalloc.start()
    try:
        assert read(path) == []
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 8 << 20


@pytest.mark.parametrize("kind", ["lz4", "zstd"])
def test_all_of_an_honest_chunk_is_unpacked(kind: str) -> None:
    from alphapose_ros.io.mcap_cut import _decompressed

    data = random.Random(0).randbytes(30_000) * 4
    packed = compressed(kind, data)
    assert _decompressed(kind, packed, len(data)) == data
    for size in (0, len(data) - 1, len(data) + 1, 1 << 60):
        assert _decompressed(kind, packed, size) is None
    for bad in (packed[: len(packed) // 2], bytes(40) + packed[40:], b""):
        assert _decompressed(kind, bad, len(data)) is None
    assert _decompressed("tape", packed, len(data)) is None
