# SPDX-License-Identifier: Apache-2.0
"""MCAP files whose writer was killed: what is whole in them, read from the beginning."""

from __future__ import annotations

import importlib
import io
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from alphapose_ros.base.errors import SourceError
from alphapose_ros.io.bag_topics import BagTopic
from alphapose_ros.io.mcap import (
    CHANNEL,
    CHUNK,
    CHUNK_HEAD,
    DATA_END,
    HEADER,
    MAGIC,
    MESSAGE,
    MESSAGE_HEAD,
    PREFIX,
    SCHEMA,
)

Message = tuple[BagTopic, int, bytes]

_MOST_BYTES = 1 << 30  # of one chunk; a damaged size asks for more
# By kind, the modules that can read it; rosbags brings one of each.
_MODULES = {"lz4": ("lz4.frame",), "zstd": ("compression.zstd", "backports.zstd", "zstandard")}


def is_cut(path: Path) -> bool:
    """Whether it begins as an MCAP and does not end as one."""
    try:
        with path.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                return False
            file.seek(0, io.SEEK_END)
            file.seek(max(file.tell() - len(MAGIC), len(MAGIC)))
            return file.read() != MAGIC
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror or error})") from error


class CutMcapReader:
    """An MCAP without its end, from ``alphapose-ros``, ``ros2 bag record`` or anybody else.

    Attributes:
        topics: of the bag. counts: messages by the topic's number.
        spans: first and last stamp in ns, by the topic's number.

    Raises:
        SourceError: it cannot be read at all.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.topics: list[BagTopic] = []
        self.counts: dict[int, int] = {}
        self._file = path.open("rb")
        if self._file.read(len(MAGIC)) != MAGIC:
            raise SourceError(f"{path}: not a readable bag (it does not begin as an MCAP)")
        self.spans: dict[int, tuple[int, int]] = {}
        for topic, stamp_ns, _ in self.messages():
            self.counts[topic.number] = self.counts.get(topic.number, 0) + 1
            first, last = self.spans.get(topic.number, (stamp_ns, stamp_ns))
            self.spans[topic.number] = min(first, stamp_ns), max(last, stamp_ns)

    def messages(self) -> Iterator[Message]:
        """Topic, stamp in ns and CDR of each, in the order in which they were written."""
        with suppress(struct.error, UnicodeDecodeError):  # a damaged record is the end, too
            yield from self._whole()

    def _whole(self) -> Iterator[Message]:
        self.topics = []
        schemas: dict[int, str] = {}
        topics: dict[int, BagTopic] = {}
        self._file.seek(len(MAGIC))
        for opcode, body in _opened(self._file):
            if opcode == HEADER and _text(io.BytesIO(body)) != "ros2":
                raise SourceError(
                    f"{self._path}: expected an MCAP of ROS 2, it is of another kind"
                )
            if opcode == SCHEMA:
                schemas[_number(body)] = _text(io.BytesIO(body[2:]))
            elif opcode == CHANNEL and _number(body) not in topics:
                topic = _topic(body, schemas)
                topics[topic.number] = topic
                self.topics.append(topic)
            elif opcode == MESSAGE and len(body) >= MESSAGE_HEAD.size:
                number, _, stamp_ns, _ = MESSAGE_HEAD.unpack_from(body)
                if number in topics:
                    yield topics[number], stamp_ns, body[MESSAGE_HEAD.size :]

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _opened(file: IO[bytes]) -> Iterator[tuple[int, bytes]]:
    """Opcode and body of each whole record, inside chunks too, up to the first broken one."""
    for opcode, body, whole in _records(file):
        if opcode == CHUNK:
            inside = _inside(body, whole=whole)
            if inside is None:
                return
            yield from ((o, b) for o, b, complete in _records(io.BytesIO(inside)) if complete)
        elif whole:
            yield opcode, body


def _records(file: IO[bytes]) -> Iterator[tuple[int, bytes, bool]]:
    """Opcode and body of each record, and whether the body is whole; the last may be cut off."""
    while len(prefix := file.read(PREFIX.size)) == PREFIX.size:
        opcode, length = PREFIX.unpack(prefix)
        if opcode == DATA_END or length > _MOST_BYTES:
            return
        body = file.read(length)
        yield opcode, body, len(body) == length
        if len(body) < length:
            return


def _inside(chunk: bytes, *, whole: bool) -> bytes | None:
    """The records of a chunk; of one that is cut off those before the cut. None: damaged."""
    try:
        _, _, size, crc, length = CHUNK_HEAD.unpack_from(chunk)
        begin = CHUNK_HEAD.size + length + 8
        kind = chunk[CHUNK_HEAD.size : CHUNK_HEAD.size + length].decode()
    except (struct.error, UnicodeDecodeError):
        return None
    data = chunk[begin:]
    if not whole:
        return None if kind else data
    if kind:
        decompressed = _decompressed(kind, data, size)
        if decompressed is None:
            return None
        data = decompressed
    return data if not crc or zlib.crc32(data) == crc else None


def _decompressed(kind: str, data: bytes, size: int) -> bytes | None:
    """Bytes of this ``size``, or None: damaged, of another size, or nothing here can read them."""
    if size > _MOST_BYTES:
        return None
    for name in _MODULES.get(kind, ()):
        try:
            module: Any = importlib.import_module(name)
        except ImportError:
            continue
        error = getattr(module, "ZstdError", RuntimeError)  # lz4's own
        try:
            found = _unpacked(module, data, size + 1)
        except error:
            return None
        return found if len(found) == size else None
    return None


def _unpacked(module: Any, data: bytes, most: int) -> bytes:
    """At most ``most`` bytes, whatever the data would become."""
    if module.__name__ == "zstandard":
        return bytes(module.ZstdDecompressor().stream_reader(data).read(most))
    make = getattr(module, "ZstdDecompressor", None) or module.LZ4FrameDecompressor
    return bytes(make().decompress(data, max_length=most))


def _topic(body: bytes, schemas: dict[int, str]) -> BagTopic:
    number, schema = struct.unpack_from("<HH", body)
    return BagTopic(number, _text(io.BytesIO(body[4:])), schemas.get(schema, ""))


def _number(body: bytes) -> int:
    (number,) = struct.unpack_from("<H", body)
    return int(number)


def _text(stream: IO[bytes]) -> str:
    (length,) = struct.unpack("<I", stream.read(4))
    return stream.read(length).decode()
