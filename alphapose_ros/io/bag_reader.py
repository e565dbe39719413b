# SPDX-License-Identifier: Apache-2.0
"""Any bag's messages: rosbag2 folders, MCAP, SQLite, ROS 1; complete ones, and what is whole in
those whose writer was killed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from alphapose_ros.base.errors import AlphaPoseError, SourceError, require
from alphapose_ros.io.bag_topics import BagTopic
from alphapose_ros.io.closing import Closing
from alphapose_ros.io.mcap_cut import CutMcapReader, is_cut
from alphapose_ros.io.part import SUFFIX
from alphapose_ros.io.sqlite_bag import SqliteReader
from alphapose_ros.io.typestore import message_typestore

INSTALL_ROSBAGS = "install it with: pip install rosbags"
_KINDS = re.compile(rf"(\.mcap|\.db3)((?:\.\d+)?{re.escape(SUFFIX)})?$", re.IGNORECASE)
_METADATA = "metadata.yaml"
_FEW_NS = 10**9  # a topic's messages in so short a time are quickly read
_BESIDE = ("-journal", "-wal", "-shm")  # what SQLite puts beside its file


class BagMessage(NamedTuple):
    """One message as it was recorded.

    Attributes:
        topic, msgtype: as ``/poses``, ``alphapose_ros/msg/PoseArray``.
        stamp_ns: of the recording. cdr: the message's bytes.
    """

    topic: str
    msgtype: str
    stamp_ns: int
    cdr: bytes


def is_bag(path: Path) -> bool:
    """Whether it looks like a bag: by its name, or as a folder that holds one."""
    if path.is_dir():
        return (path / _METADATA).is_file() or _only_file(path) is not None
    return bool(_KINDS.search(path.name)) or path.suffix.lower() == ".bag"


class BagReader(Closing):
    """A bag's messages, in the order of their stamps; of a cut MCAP in the order of writing.

    Attributes:
        cut: its writer was killed: an MCAP without its end, a folder without ``metadata.yaml``,
            an SQLite ``.part``. What is whole in it is read.
        topics: name, type and count of each.
        duration_ns: from the first stamp to the last.

    Raises:
        SourceError: not a bag, or damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        with self.damage_is_one_error("not a readable bag"):
            self._reader, self.cut = _open(self.path)
        reader = self._reader
        self.topics = [(t.name, t.msgtype, reader.counts.get(t.number, 0)) for t in reader.topics]
        self.duration_ns = max(reader.end_ns - reader.start_ns, 0)

    def span_ns(self, topic: str) -> tuple[int, int]:
        """First and last stamp of a topic; without any message both are 0.

        Looks at few messages, whatever the bag's size; where it is damaged, or has no index to
        look into, the topic is taken to last as long as the bag does.
        """
        try:
            return self._reader.span_ns(topic)
        except Exception:  # noqa: BLE001 - whatever the code of others raises
            return self._reader.start_ns, self._reader.end_ns

    def messages(self, topics: Collection[str] = ()) -> Iterator[BagMessage]:
        """All messages, or those of the ``topics``.

        Raises:
            SourceError: the bag is damaged; messages before the damage were given.
        """
        found = self._reader.messages(topics)
        count = 0
        while True:
            with self.damage_is_one_error(f"damaged after {count} messages"):
                each = next(found, None)
            if each is None:
                return
            topic, stamp_ns, cdr = each
            count += 1
            yield BagMessage(topic.name, topic.msgtype, stamp_ns, cdr)

    def deserialize(self, message: BagMessage) -> Any:
        """The message as an object of ``rosbags``.

        Raises:
            SourceError: its bytes are damaged.
        """
        with self.damage_is_one_error(f"damaged message of {message.topic}"):
            return self._reader.deserialize(message.cdr, message.msgtype)

    def close(self) -> None:
        """Close the file."""
        self._reader.close()

    @contextmanager
    def damage_is_one_error(self, what: str) -> Iterator[None]:
        """Whatever a library raises on damage is a SourceError that says ``what``.

        Each has errors of its own (SQLite's, a compression's), and a damaged size may ask for
        more memory than there is.
        """
        try:
            yield
        except AlphaPoseError:
            raise
        except Exception as error:
            raise SourceError(f"{self.path}: {what} ({_reason(error)})") from error


class _Reader(Protocol):
    topics: list[BagTopic]
    counts: dict[int, int]
    start_ns: int
    end_ns: int

    def span_ns(self, name: str) -> tuple[int, int]: ...

    def messages(self, names: Collection[str]) -> Iterator[tuple[BagTopic, int, bytes]]: ...

    def deserialize(self, cdr: bytes, msgtype: str) -> Any: ...

    def close(self) -> None: ...


class _WholeReader:
    """A complete bag, by ``rosbags``."""

    def __init__(self, path: Path) -> None:
        highlevel = _rosbags()
        self._reader: Any = highlevel.AnyReader([path], default_typestore=message_typestore())
        self._reader.open()
        self._topics: dict[tuple[str, str], BagTopic] = {}
        self.counts = dict[int, int]()
        for each in self._reader.connections:
            key = each.topic, each.msgtype  # several publishers of one topic are one
            topic = self._topics.setdefault(key, BagTopic(len(self._topics) + 1, *key))
            self.counts[topic.number] = self.counts.get(topic.number, 0) + each.msgcount
        self.topics = list(self._topics.values())
        self.start_ns, self.end_ns = self._reader.start_time, self._reader.end_time

    def span_ns(self, name: str) -> tuple[int, int]:
        first = last = next(self._stamps(name, 0), None)
        if first is None or last is None:
            return 0, 0
        if not self._has_index():
            return first, max(self.end_ns - 1, first)
        beyond = self.end_ns  # no message of the topic is here or later
        while beyond - last > _FEW_NS:
            middle = (last + beyond) // 2
            found = next(self._stamps(name, middle), None)
            last, beyond = (last, middle) if found is None else (found, beyond)
        return first, max(self._stamps(name, last), default=last)

    def _stamps(self, name: str, start_ns: int) -> Iterator[int]:
        """A topic's stamps from ``start_ns`` on."""
        chosen = [c for c in self._reader.connections if c.topic == name]
        found = self._reader.messages(chosen, start=start_ns) if chosen else ()
        return (int(stamp_ns) for _, stamp_ns, _ in found)

    def _has_index(self) -> bool:
        """Whether messages are found without reading those before: not in MCAPs without chunks."""
        opened = [getattr(each, "storage", each) for each in self._reader.readers]
        files = [file for each in opened for file in getattr(each, "storages", [each])]
        return all(getattr(file, "chunks", True) for file in files)

    def messages(self, names: Collection[str]) -> Iterator[tuple[BagTopic, int, bytes]]:
        chosen = [c for c in self._reader.connections if not names or c.topic in names]
        for connection, stamp_ns, data in self._reader.messages(chosen) if chosen else ():
            yield self._topics[connection.topic, connection.msgtype], stamp_ns, data

    def deserialize(self, cdr: bytes, msgtype: str) -> Any:
        return self._reader.deserialize(cdr, msgtype)

    def close(self) -> None:
        if self._reader.stack is not None:
            self._reader.close()


class _CutReader:
    """What is left of a bag; its messages are those that this package knows."""

    def __init__(self, reader: CutMcapReader | SqliteReader) -> None:
        self._reader, self._store = reader, message_typestore()
        self.topics, self.counts = reader.topics, reader.counts
        spans = reader.spans.values()
        self.start_ns = min((first for first, _ in spans), default=0)
        self.end_ns = max((last for _, last in spans), default=0)

    def span_ns(self, name: str) -> tuple[int, int]:
        spans = [self._reader.spans.get(t.number) for t in self.topics if t.name == name]
        found = [span for span in spans if span is not None]
        first = min((first for first, _ in found), default=0)
        return first, max((last for _, last in found), default=0)

    def messages(self, names: Collection[str]) -> Iterator[tuple[BagTopic, int, bytes]]:
        return (m for m in self._reader.messages() if not names or m[0].name in names)

    def deserialize(self, cdr: bytes, msgtype: str) -> Any:
        return self._store.deserialize_cdr(cdr, msgtype)

    def close(self) -> None:
        self._reader.close()


def _open(path: Path) -> tuple[_Reader, bool]:
    """The reader of a bag, and whether it was cut off."""
    file, alone = path, True
    if path.is_dir():
        alone = not (path / _METADATA).is_file()
        found = _only_file(path) if alone else None
        if alone and found is None:
            raise SourceError(f"{path}: expected {_METADATA}, or one .mcap or .db3 file alone")
        file = found or path
    kind = _KINDS.search(file.name) if alone else None
    if kind is None:
        return _WholeReader(path), False
    part = bool(kind[2]) or path.is_dir()
    if kind[1].lower() == ".mcap":
        cut = is_cut(file)
        return (_CutReader(CutMcapReader(file)) if cut or part else _WholeReader(file)), cut
    if not part:
        return _WholeReader(file), False
    reader = SqliteReader(file)
    return _CutReader(reader), not reader.closed


def _only_file(folder: Path) -> Path | None:
    """The file of a rosbag2 folder without metadata, where nothing else is in it."""
    files = [path for path in folder.iterdir() if not path.name.endswith(_BESIDE)]
    alone = len(files) == 1 and files[0].suffix.lower() in (".mcap", ".db3")
    return files[0] if alone else None


def _rosbags() -> Any:
    return require("rosbags.highlevel", needed_for="reading bags", install=INSTALL_ROSBAGS)


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text or type(error).__name__
