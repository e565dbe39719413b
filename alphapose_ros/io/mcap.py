# SPDX-License-Identifier: Apache-2.0
"""MCAP files that can be read at every moment while they grow.

A chunk's header is brought up to date after each message, so that at any instant the file is a
valid MCAP without its index: whoever reads records in order finds every message written so far.
Which message goes into which chunk depends on sizes alone, so that the same messages make the
same bytes. Format: https://mcap.dev/spec
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from alphapose_ros.io.bag_topics import BagTopic
from alphapose_ros.io.part import GrowingFile

MAGIC = b"\x89MCAP0\r\n"
HEADER, FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, MESSAGE_INDEX, CHUNK_INDEX = range(1, 9)
STATISTICS, METADATA, METADATA_INDEX, SUMMARY_OFFSET, DATA_END = 0x0B, 0x0C, 0x0D, 0x0E, 0x0F
PREFIX = struct.Struct("<BQ")  # opcode, length
CHUNK_HEAD = struct.Struct("<QQQII")  # start, end, uncompressed size, CRC, length of compression
MESSAGE_HEAD = struct.Struct("<HIQQ")  # channel, sequence, log time, publish time

_CHUNK_BYTES = 1 << 20
_CHUNK_DATA = PREFIX.size + CHUNK_HEAD.size + 8  # where an uncompressed chunk's records begin
_LIBRARY = "alphapose_ros"


def record(opcode: int, *parts: bytes) -> bytes:
    """One record."""
    return PREFIX.pack(opcode, sum(map(len, parts))) + b"".join(parts)


def text(value: str) -> bytes:
    """A string with its length."""
    data = value.encode()
    return struct.pack("<I", len(data)) + data


@dataclass
class _Chunk:
    offset: int
    start: int = 0
    end: int = 0
    size: int = 0
    crc: int = 0
    index: dict[int, list[tuple[int, int]]] = field(default_factory=dict)

    def head(self) -> bytes:
        body = CHUNK_HEAD.pack(self.start, self.end, self.size, self.crc, 0)
        size = struct.pack("<Q", self.size)
        return PREFIX.pack(CHUNK, len(body) + len(size) + self.size) + body + size


class McapStorage:
    """A bag's messages as MCAP; :meth:`finish` writes the index without which few tools open it.

    Args:
        path: an empty file.
        name: of the bag, for errors.
    """

    identifier = "mcap"

    def __init__(self, path: Path, name: Path) -> None:
        self._file = GrowingFile(path, name)
        self._schemas: dict[str, bytes] = {}
        self._channels: list[bytes] = []
        self._counts: dict[int, int] = {}
        self._chunk: _Chunk | None = None
        self._chunk_indices: list[bytes] = []
        self._span: tuple[int, int] | None = None
        self._file.append(MAGIC + record(HEADER, text("ros2"), text(_LIBRARY)))

    def add_topic(self, topic: BagTopic) -> None:
        """Tell of a topic before its first message."""
        if topic.msgtype not in self._schemas:
            number = struct.pack("<H", len(self._schemas) + 1)
            definition = text(topic.msgtype) + text("ros2msg") + text(topic.definition)
            self._schemas[topic.msgtype] = record(SCHEMA, number, definition)
            self._append(self._schemas[topic.msgtype])
        schema = list(self._schemas).index(topic.msgtype) + 1
        qos = text("offered_qos_profiles") + text(topic.qos)
        names = text(topic.name) + text("cdr") + struct.pack("<I", len(qos)) + qos
        self._channels.append(record(CHANNEL, struct.pack("<HH", topic.number, schema), names))
        self._counts[topic.number] = 0
        self._append(self._channels[-1])

    def write(self, topic: BagTopic, stamp_ns: int, cdr: bytes | memoryview) -> None:
        """Append a message."""
        head = MESSAGE_HEAD.pack(topic.number, 0, stamp_ns, stamp_ns)
        chunk = self._append(record(MESSAGE, head, bytes(cdr)), (topic.number, stamp_ns))
        self._counts[topic.number] += 1
        start, end = self._span or (stamp_ns, stamp_ns)
        self._span = min(start, stamp_ns), max(end, stamp_ns)
        if chunk.size > _CHUNK_BYTES:
            self._end_chunk()

    def _append(self, data: bytes, message: tuple[int, int] | None = None) -> _Chunk:
        """Into the chunk: first the bytes, then the header that says so.

        Between the two the record stands behind the chunk, where records are allowed too.
        """
        if self._chunk is None:
            chunk = _Chunk(self._file.size)
            self._file.append(chunk.head())
            self._chunk = chunk
        chunk = self._chunk
        self._file.append(data)
        if message is not None:
            number, stamp_ns = message
            first = not chunk.index
            chunk.index.setdefault(number, []).append((stamp_ns, chunk.size))
            chunk.start = stamp_ns if first else min(chunk.start, stamp_ns)
            chunk.end = max(chunk.end, stamp_ns)
        chunk.size += len(data)
        chunk.crc = zlib.crc32(data, chunk.crc)
        self._file.patch(chunk.offset, chunk.head())
        return chunk

    def _end_chunk(self) -> None:
        chunk, self._chunk = self._chunk, None
        if chunk is None:
            return
        indices, offsets, begin = b"", b"", self._file.size
        for number, entries in chunk.index.items():
            offsets += struct.pack("<HQ", number, begin + len(indices))
            rows = b"".join(struct.pack("<QQ", *entry) for entry in entries)
            indices += record(MESSAGE_INDEX, struct.pack("<HI", number, len(rows)), rows)
        self._file.append(indices)
        self._chunk_indices.append(
            record(
                CHUNK_INDEX,
                struct.pack("<QQQQ", chunk.start, chunk.end, chunk.offset, begin - chunk.offset),
                struct.pack("<I", len(offsets)) + offsets,
                struct.pack("<Q", self._file.size - begin) + text(""),
                struct.pack("<QQ", chunk.size, chunk.size),
            )
        )

    def finish(self, metadata: str) -> None:
        """Write rosbag2's metadata and the index, and close.

        Raises:
            OSError: the disk is full; what was written before stays readable.
        """
        self._end_chunk()
        told = text("serialized_metadata") + text(metadata)
        note = record(METADATA, text("rosbag2"), struct.pack("<I", len(told)), told)
        at = self._file.size
        note_index = record(METADATA_INDEX, struct.pack("<QQ", at, len(note)), text("rosbag2"))
        data_end = record(DATA_END, bytes(4))
        begin = at + len(note) + len(data_end)
        summary, offsets = b"", b""
        for group in (
            list(self._schemas.values()), self._channels, self._chunk_indices,
            [note_index], [self._statistics()],
        ):  # fmt: skip
            rows = b"".join(group)
            if rows:
                place = struct.pack("<BQQ", rows[0], begin + len(summary), len(rows))
                offsets += record(SUMMARY_OFFSET, place)
                summary += rows
        places = struct.pack("<QQ", begin, begin + len(summary))
        footer = PREFIX.pack(FOOTER, 20) + places
        crc = struct.pack("<I", zlib.crc32(summary + offsets + footer))
        self._file.append(note + data_end + summary + offsets + footer + crc + MAGIC)
        self._file.close()

    def _statistics(self) -> bytes:
        counts = b"".join(struct.pack("<HQ", *entry) for entry in self._counts.items())
        return record(
            STATISTICS,
            struct.pack("<QHI", sum(self._counts.values()), len(self._schemas), len(self._counts)),
            struct.pack("<III", 0, 1, len(self._chunk_indices)),
            struct.pack("<QQ", *(self._span or (0, 0))),
            struct.pack("<I", len(counts)) + counts,
        )

    def abandon(self) -> None:
        """Close without an index; closing twice is allowed."""
        self._file.close()
