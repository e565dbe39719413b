# SPDX-License-Identifier: Apache-2.0
"""Bags: images read from rosbag2 folders, MCAP and SQLite files; results written as MCAP."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from alphapose_ros.base.errors import InputError, SourceError, require
from alphapose_ros.base.records import Frame
from alphapose_ros.io.closing import Closing
from alphapose_ros.io.sinks import check_folder
from alphapose_ros.io.source_base import Source
from alphapose_ros.io.typestore import message_typestore

_INSTALL = "install it with: pip install rosbags"
_IMAGE = "sensor_msgs/msg/Image"
_COMPRESSED = "sensor_msgs/msg/CompressedImage"
_BAG_VERSION = (
    8  # of rosbag2's metadata: written by Iron, read by Humble's successors and Foxglove
)


class BagSource(Source):
    """The images of a bag in the order they were recorded, each topic a camera of that name.

    Stamps are the messages' headers; a zero stamp becomes the time of recording. Without
    ``topic`` every camera in the bag is read: depth is left out, and so is the compressed twin of
    a raw topic.

    Raises:
        SourceError: not a bag, damaged, without images or without ``topic``.
    """

    def __init__(self, path: Path, *, topic: str | None = None) -> None:
        highlevel = require("rosbags.highlevel", needed_for="reading bags", install=_INSTALL)
        self._path = path
        # Libraries below report a damaged file in many ways; these are all of them.
        self._broken: tuple[type[Exception], ...] = (
            highlevel.AnyReaderError, OSError, ValueError, KeyError, IndexError, AssertionError,
            EOFError, OverflowError, TypeError, *_decoding_errors(),
        )  # fmt: skip
        try:
            self._reader: Any = highlevel.AnyReader([path], default_typestore=message_typestore())
            self._reader.open()
        except self._broken as error:
            raise SourceError(f"{path}: not a readable bag ({_reason(error)})") from error
        self._connections = self._choose(topic)
        count = sum(connection.msgcount for connection in self._connections)
        cameras = {connection.topic for connection in self._connections}
        seconds = max(self._reader.duration / 1e9, 1e-9)
        fps = (count / len(cameras) - 1) / seconds if count > len(cameras) else 30.0
        super().__init__(path.stem, fps=min(max(fps, 0.1), 1000.0), frame_count=count)

    def _choose(self, topic: str | None) -> list[Any]:
        images = [c for c in self._reader.connections if c.msgtype in (_IMAGE, _COMPRESSED)]
        names = {c.topic for c in images}
        if topic is not None:
            chosen = [c for c in images if c.topic.lstrip("/") == topic.lstrip("/")]
        else:
            chosen = [
                c
                for c in images
                if "depth" not in c.topic.lower() and not _is_twin(c.topic, names)
            ]
        if not chosen:
            self._reader.close()
            has = f"image topics: {', '.join(sorted(names))}" if names else "no image topic"
            wanted = f"image topic {topic}" if topic else "a colour image topic"
            raise SourceError(f"{self._path}: expected {wanted}, the bag has {has}")
        return chosen

    def __iter__(self) -> Iterator[Frame]:
        from alphapose_ros.io.image_messages import decode_image

        read, refused = 0, []
        try:
            for connection, recorded_ns, raw in self._reader.messages(self._connections):
                read += 1
                message = self._reader.deserialize(raw, connection.msgtype)
                try:
                    image = decode_image(message)
                except InputError as error:
                    refused.append(f"{connection.topic}: {error}")
                    continue
                header = message.header
                stamp_ns = int(header.stamp.sec) * 10**9 + int(header.stamp.nanosec)
                camera = connection.topic.strip("/")
                yield Frame(image, stamp_ns or recorded_ns, camera, header.frame_id)
        except self._broken as error:
            raise SourceError(
                f"{self._path}: damaged after {read} images ({_reason(error)})"
            ) from error
        if refused and len(refused) == read:
            raise SourceError(f"{self._path}: no image could be decoded; {refused[0]}")
        if refused:
            self.problems.append(
                f"{len(refused)} of {read} images skipped; the first: {refused[0]}"
            )

    def close(self) -> None:
        """Close the file."""
        if self._reader.stack is not None:
            self._reader.close()


def _decoding_errors() -> tuple[type[Exception], ...]:
    import struct

    from rosbags.rosbag2 import ReaderError
    from rosbags.serde import SerdeError

    return (ReaderError, SerdeError, struct.error)


def _is_twin(topic: str, names: set[str]) -> bool:
    return topic.rpartition("/")[0] in names and topic.endswith(("/compressed", "/zstd"))


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text or type(error).__name__


class BagWriter(Closing):
    """A bag of CDR messages in MCAP, for ``ros2 bag`` and Foxglove.

    ``out.mcap`` becomes that one file, replaced when complete; any other name becomes a rosbag2
    folder, which must not exist.

    Attributes:
        path: where the bag lies after closing.
    """

    def __init__(self, path: str | Path) -> None:
        rosbag2 = require("rosbags.rosbag2", needed_for="writing bags", install=_INSTALL)
        self.path = Path(path)
        self.typestore: Any = message_typestore()
        self._single = self.path.suffix.lower() == ".mcap"
        if self.path.exists() and not self._single:
            raise InputError(f"{self.path}: exists already; a bag folder is never overwritten")
        check_folder(self.path)
        self._folder = Path(tempfile.mkdtemp(prefix=".bag-", dir=self.path.parent))
        self._connections: dict[str, Any] = {}
        self._writer: Any = rosbag2.Writer(
            self._folder / self.path.stem,
            version=_BAG_VERSION,
            storage_plugin=rosbag2.StoragePlugin.MCAP,
        )
        self._writer.open()

    def write(self, topic: str, msgtype: str, cdr: bytes | memoryview, stamp_ns: int) -> None:
        """Append one serialised message (CDR with its header); ``topic`` in its full form.

        Raises:
            InputError: the topic came with another type before.
        """
        connection = self._connections.get(topic)
        if connection is None:
            connection = self._writer.add_connection(topic, msgtype, typestore=self.typestore)
            self._connections[topic] = connection
        elif connection.msgtype != msgtype:
            raise InputError(f"{topic}: expected {connection.msgtype}, got {msgtype}")
        self._writer.write(connection, stamp_ns, cdr)

    def write_message(self, topic: str, message: Any, stamp_ns: int) -> None:
        """Serialise and append a ``rosbags`` message made with this writer's ``typestore``."""
        msgtype: str = message.__msgtype__
        self.write(topic, msgtype, self.typestore.serialize_cdr(message, msgtype), stamp_ns)

    def close(self) -> None:
        """Write the index and move the bag to its name; an empty bag is a valid bag."""
        if self._writer is None:
            return
        writer, self._writer = self._writer, None
        writer.close()
        made = self._folder / self.path.stem
        if self._single:
            (made / f"{made.name}.mcap").replace(self.path)
        else:
            made.rename(self.path)
        shutil.rmtree(self._folder)
