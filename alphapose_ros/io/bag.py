# SPDX-License-Identifier: Apache-2.0
"""Bags: images read from rosbag2 folders, MCAP and SQLite files; results written as such."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from alphapose_ros.base.errors import InputError, SourceError
from alphapose_ros.base.records import Frame
from alphapose_ros.io.bag_reader import BagReader
from alphapose_ros.io.bag_topics import LATCHED, BagContent, BagTopic, bag_metadata
from alphapose_ros.io.closing import Closing
from alphapose_ros.io.mcap import McapStorage
from alphapose_ros.io.part import new_part_file, new_part_folder, publish, write_text
from alphapose_ros.io.sinks import check_folder
from alphapose_ros.io.source_base import Source
from alphapose_ros.io.sqlite_bag import SqliteStorage
from alphapose_ros.io.typestore import message_typestore

_IMAGE = "sensor_msgs/msg/Image"
_COMPRESSED = "sensor_msgs/msg/CompressedImage"
_SUFFIXES = {"mcap": ".mcap", "sqlite3": ".db3"}
STORAGES = tuple(_SUFFIXES)


class BagSource(Source):
    """The images of a bag in the order they were recorded, each topic a camera of that name.

    Stamps are the messages' headers; a zero stamp becomes the time of recording. Without
    ``topic`` every camera in the bag is read: depth is left out, and so is the compressed twin of
    a raw topic. An image whose stamp does not lie after those of its camera's images before is
    left out and counted. A bag whose recorder was killed gives what is whole in it, and then
    raises. ``fps`` is the fastest camera's.

    Raises:
        SourceError: not a bag, damaged, without images or without ``topic``.
    """

    def __init__(self, path: Path, *, topic: str | None = None) -> None:
        self._path = path
        self._reader = BagReader(path)
        self._topics = self._choose(topic)
        count = sum(number for name, _, number in self._reader.topics if name in self._topics)
        self._rates = self._measured()
        fps = max(self._rates.values(), default=30.0)
        super().__init__(path.stem, fps=fps, frame_count=count)

    def _measured(self) -> dict[str, float]:
        """Frames per second of each camera, from its own first image to its last."""
        rates: dict[str, float] = {}
        for name, _, count in self._reader.topics:
            if name in self._topics and count > 1:
                first_ns, last_ns = self._reader.span_ns(name)
                seconds = max((last_ns - first_ns) / 1e9, 1e-9)
                rates[name.strip("/")] = min(max((count - 1) / seconds, 0.1), 1000.0)
        return rates

    def fps_of(self, camera: str) -> float:
        """Frames per second of one camera; of one without two images those of the fastest."""
        return self._rates.get(camera, self.fps)

    def _choose(self, topic: str | None) -> set[str]:
        names = {n for n, kind, _ in self._reader.topics if kind in (_IMAGE, _COMPRESSED)}
        if topic is not None:
            chosen = {name for name in names if name.lstrip("/") == topic.lstrip("/")}
        else:
            chosen = {
                name for name in names if "depth" not in name.lower() and not _is_twin(name, names)
            }
        if not chosen:
            self._reader.close()
            has = f"image topics: {', '.join(sorted(names))}" if names else "no image topic"
            wanted = f"image topic {topic}" if topic else "a colour image topic"
            raise SourceError(f"{self._path}: expected {wanted}, the bag has {has}")
        return chosen

    def __iter__(self) -> Iterator[Frame]:
        from alphapose_ros.io.image_messages import decode_image

        read, late, refused = 0, 0, []
        newest_ns: dict[str, int] = {}
        for raw in self._reader.messages(self._topics):
            if raw.msgtype not in (_IMAGE, _COMPRESSED):
                continue
            read += 1
            message = self._reader.deserialize(raw)
            try:
                image = decode_image(message)
            except InputError as error:
                refused.append(f"{raw.topic}: {error}")
                continue
            header = message.header
            stamp_ns = int(header.stamp.sec) * 10**9 + int(header.stamp.nanosec) or raw.stamp_ns
            camera = raw.topic.strip("/")
            if stamp_ns <= newest_ns.get(camera, -1):
                late += 1
                continue
            newest_ns[camera] = stamp_ns
            yield Frame(image, stamp_ns, camera, header.frame_id)
        if late:
            self.problems.append(f"{late} of {read} images skipped: their stamps do not advance")
        if refused and len(refused) == read:
            raise SourceError(f"{self._path}: no image could be decoded; {refused[0]}")
        if refused:
            self.problems.append(
                f"{len(refused)} of {read} images skipped; the first: {refused[0]}"
            )
        if self._reader.cut:
            raise SourceError(
                f"{self._path}: cut off after {read} images; the recording was never closed"
            )

    def close(self) -> None:
        """Close the file."""
        self._reader.close()


def _is_twin(topic: str, names: set[str]) -> bool:
    return topic.rpartition("/")[0] in names and topic.endswith(("/compressed", "/zstd"))


class BagWriter(Closing):
    """A bag of CDR messages, for ``ros2 bag`` and Foxglove.

    ``out.mcap`` and ``out.db3`` become that one file, replaced when complete; any other name
    becomes a rosbag2 folder, which must not exist. Until then it grows as ``out.mcap.part``,
    which holds every message written so far, whatever becomes of the process; see
    :mod:`alphapose_ros.io.part` and :class:`~alphapose_ros.io.bag_reader.BagReader`.

    Args:
        path: of the bag.
        storage: ``mcap`` or ``sqlite3``, of a folder; a file's name says it.

    Attributes:
        path: where the bag lies after closing; its ``.part`` when the disk was full.
    """

    def __init__(self, path: str | Path, *, storage: str = "mcap") -> None:
        self.path = self._final = Path(path)
        self.typestore: Any = message_typestore()
        kinds = {suffix: kind for kind, suffix in _SUFFIXES.items()}
        kind = kinds.get(self.path.suffix.lower())
        self._single = kind is not None
        if self.path.exists() and not self._single:
            raise InputError(f"{self.path}: exists already; a bag folder is never overwritten")
        if storage not in STORAGES:
            raise InputError(f"storage: expected {' or '.join(STORAGES)}, got {storage!r}")
        check_folder(self.path)
        kind = kind or storage
        if self._single:
            self._file = self._part = new_part_file(self.path)
        else:
            self._part = new_part_folder(self.path)
            self._file = self._part / f"{self.path.name}_0{_SUFFIXES[kind]}"  # as ros2 bag says
        self._topics: dict[str, BagTopic] = {}
        self._counts: dict[int, int] = {}
        self._stamps: list[int] = []
        self._failed = self._closed = False
        make = McapStorage if kind == "mcap" else SqliteStorage
        try:
            self._storage: McapStorage | SqliteStorage = make(self._file, self.path)
        except OSError:
            self._remove()
            raise

    def write(
        self,
        topic: str,
        msgtype: str,
        cdr: bytes | memoryview,
        stamp_ns: int,
        *,
        latched: bool = False,
    ) -> None:
        """Append one serialised message (CDR with its header); ``topic`` in its full form.

        A ``latched`` topic is played to late subscribers too; its first message says so.

        Raises:
            InputError: the topic came with another type before.
            OSError: the disk is full; what was written before is readable.
        """
        known = self._topics.get(topic)
        if known is not None and known.msgtype != msgtype:
            raise InputError(f"{topic}: expected {known.msgtype}, got {msgtype}")
        try:
            if known is None:
                known = self._add_topic(topic, msgtype, LATCHED if latched else "")
            self._storage.write(known, stamp_ns, cdr)
        except OSError:
            self._failed, self.path = True, self._part
            raise
        self._counts[known.number] += 1
        self._stamps = [min([*self._stamps, stamp_ns]), max([*self._stamps, stamp_ns])]

    def _add_topic(self, name: str, msgtype: str, qos: str) -> BagTopic:
        definition, _ = self.typestore.generate_msgdef(msgtype, ros_version=2)
        digest = self.typestore.hash_rihs01(msgtype)
        topic = BagTopic(len(self._topics) + 1, name, msgtype, definition, digest, qos)
        self._storage.add_topic(topic)
        self._topics[name], self._counts[topic.number] = topic, 0
        return topic

    def write_message(self, topic: str, message: Any, stamp_ns: int) -> None:
        """Serialise and append a ``rosbags`` message made with this writer's ``typestore``."""
        msgtype: str = message.__msgtype__
        self.write(topic, msgtype, self.typestore.serialize_cdr(message, msgtype), stamp_ns)

    def close(self) -> None:
        """Write the index and move the bag to its name; an empty bag is a valid bag.

        Raises:
            OSError: the disk is full; what was written before is readable in ``path``.
        """
        if self._closed:
            return
        self._closed = True
        if self._failed:
            self._storage.abandon()
            return
        self.path = self._part  # in case that this does not go well
        start, end = self._stamps or (0, 0)
        content = BagContent(
            self._file.name if not self._single else self._final.name,
            self._storage.identifier, list(self._topics.values()), self._counts, start, end,
        )  # fmt: skip
        metadata, inner = bag_metadata(content)
        try:
            self._storage.finish(inner)
        finally:
            self._storage.abandon()
        if not self._single:
            write_text(self._part / "metadata.yaml", metadata)
        publish(self._part, self._final)
        self.path = self._final

    def discard(self) -> None:
        """Close without keeping anything, as if there had been no bag."""
        if not self._closed:
            self._closed = True
            self._storage.abandon()
            self._remove()

    def _remove(self) -> None:
        if self._single:
            self._part.unlink()
        else:
            shutil.rmtree(self._part)
