# SPDX-License-Identifier: Apache-2.0
"""rosbag2's SQLite files: written message by message, and read where the writer was killed."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, TypeVar

from alphapose_ros.base.errors import SourceError
from alphapose_ros.io.bag_topics import VERSION, BagTopic

T = TypeVar("T")
Message = tuple[BagTopic, int, bytes]

# rosbag2's fourth form of its tables, since Iron.
_TABLES = """
CREATE TABLE schema(schema_version INTEGER PRIMARY KEY, ros_distro TEXT NOT NULL);
CREATE TABLE metadata(
    id INTEGER PRIMARY KEY, metadata_version INTEGER NOT NULL, metadata TEXT NOT NULL);
CREATE TABLE topics(
    id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL,
    serialization_format TEXT NOT NULL, offered_qos_profiles TEXT NOT NULL,
    type_description_hash TEXT NOT NULL);
CREATE TABLE message_definitions(
    id INTEGER PRIMARY KEY, topic_type TEXT NOT NULL, encoding TEXT NOT NULL,
    encoded_message_definition TEXT NOT NULL, type_description_hash TEXT NOT NULL);
CREATE TABLE messages(
    id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL, timestamp INTEGER NOT NULL,
    data BLOB NOT NULL);
CREATE INDEX timestamp_idx ON messages (timestamp ASC);
INSERT INTO schema(schema_version, ros_distro) VALUES (4, 'alphapose_ros');
"""


class SqliteStorage:
    """A bag's messages in SQLite; each is whole, or taken back by whoever opens the file next.

    Args:
        path: an empty file.
        name: of the bag, for errors.
    """

    identifier = "sqlite3"

    def __init__(self, path: Path, name: Path) -> None:
        self._name = str(name)
        self._types: set[str] = set()
        self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        # The system keeps what a killed process has written; waiting for the disk after every
        # message would take longer than the networks.
        self._do(lambda: self._database.execute("PRAGMA synchronous = OFF"))
        self._do(lambda: self._database.executescript(_TABLES))

    def add_topic(self, topic: BagTopic) -> None:
        """Tell of a topic before its first message."""
        if topic.msgtype not in self._types:
            self._types.add(topic.msgtype)
            self._insert(
                "message_definitions(topic_type, encoding, encoded_message_definition,"
                " type_description_hash)",
                (topic.msgtype, "ros2msg", topic.definition, topic.digest),
            )
        row = (topic.number, topic.name, topic.msgtype, "cdr", topic.qos, topic.digest)
        self._insert("topics", row)

    def write(self, topic: BagTopic, stamp_ns: int, cdr: bytes | memoryview) -> None:
        """Append a message."""
        self._insert("messages(topic_id, timestamp, data)", (topic.number, stamp_ns, cdr))

    def finish(self, metadata: str) -> None:
        """Write rosbag2's metadata, and close.

        Raises:
            OSError: the disk is full; what was written before stays readable.
        """
        self._insert("metadata(metadata_version, metadata)", (VERSION, metadata))
        self.abandon()

    def abandon(self) -> None:
        """Close; closing twice is allowed."""
        self._database.close()

    def _insert(self, into: str, row: tuple[object, ...]) -> None:
        places = ", ".join("?" for _ in row)
        statement = f"INSERT INTO {into} VALUES({places})"
        self._do(lambda: self._database.execute(statement, row))

    def _do(self, action: Callable[[], object]) -> None:
        try:
            action()
        except sqlite3.OperationalError as error:
            with suppress(sqlite3.Error):  # where there is something to take back
                self._database.execute("ROLLBACK")
            full = "full" in str(error)
            number = errno.ENOSPC if full else errno.EIO
            raise OSError(number, f"cannot be written ({error})", self._name) from error


class SqliteReader:
    """A SQLite bag that was never closed: half a message is taken back, the others are given.

    Attributes:
        topics: of the bag. counts: messages by the topic's number.
        spans: first and last stamp in ns, by the topic's number.
        closed: it was closed after all.

    Raises:
        SourceError: not such a file, or it cannot be mended because it may not be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        # Opened for writing, because SQLite takes a torn message back where it is.
        uri = f"{path.absolute().as_uri()}?mode=rw"
        self._database = self._do(lambda: sqlite3.connect(uri, uri=True))
        names = dict[int, str]()
        self.topics: list[BagTopic] = []
        for number, name, msgtype in self._rows("SELECT id, name, type FROM topics ORDER BY id"):
            names[number] = name
            self.topics.append(BagTopic(number, name, msgtype))
        found = self._rows(
            "SELECT topic_id, count(*), min(timestamp), max(timestamp) FROM messages"
            " GROUP BY topic_id"
        )
        self.counts = {number: count for number, count, _, _ in found}
        self.spans = {number: (first, last) for number, _, first, last in found}
        self.closed = self._has("metadata") and bool(self._rows("SELECT id FROM metadata"))

    def messages(self) -> Iterator[Message]:
        """Topic, stamp in ns and CDR of each, in the order of their stamps."""
        topics = {topic.number: topic for topic in self.topics}
        query = "SELECT topic_id, timestamp, data FROM messages ORDER BY timestamp, id"
        cursor = self._do(lambda: self._database.execute(query))
        with closing(cursor):
            while row := self._do(cursor.fetchone):
                number, stamp_ns, data = row
                if number in topics:
                    yield topics[number], stamp_ns, bytes(data)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _has(self, table: str) -> bool:
        return (table,) in self._rows("SELECT name FROM sqlite_master")

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        return self._do(lambda: self._database.execute(query).fetchall())

    def _do(self, action: Callable[[], T]) -> T:
        try:
            return action()
        except sqlite3.Error as error:
            raise SourceError(f"{self._path}: not a readable bag ({error})") from error
