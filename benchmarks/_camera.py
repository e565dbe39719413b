# SPDX-License-Identifier: Apache-2.0
"""The far end of the node: a process that sends images, an ear for answers, and their matching."""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from _node import NodeSettings
from _scenes import scenes

from alphapose_ros.dds.environment import RosEnvironment
from alphapose_ros.dds.participant import Participant
from alphapose_ros.dds.types import CdrSample
from alphapose_ros.io.image_messages import compressed_message, image_message

IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
POSES, DIAGNOSTICS = "alphapose_ros/msg/PoseArray", "diagnostic_msgs/msg/DiagnosticArray"
_STAMP = struct.Struct("<iI")  # the header's first field, behind the four bytes of CDR
_BIG = 8 << 20  # bytes of an image of which fewer are kept


@dataclass(frozen=True)
class Play:
    """An order to the camera process: images of all cameras at a rate.

    Attributes:
        images: how many of each camera.
        rate_hz: per camera.
        people, size_hw: what is in the pictures.
    """

    images: int
    rate_hz: float
    people: int
    size_hw: tuple[int, int]


@dataclass(frozen=True)
class Answer:
    """A PoseArray: its stamp, when it was received, ns."""

    stamp_ns: int
    received_ns: int


@dataclass(frozen=True)
class Matching:
    """Which images were answered.

    Attributes:
        latencies_ms: from publishing to the first receipt, in the answers' order.
        sent, answered, skipped: images.
        repeated: answers beyond the first of an image.
        unknown: answers to no image of this round.
        disorder: answers older than one before.
    """

    latencies_ms: list[float]
    sent: int
    answered: int
    skipped: int
    repeated: int
    unknown: int
    disorder: int


def match(sent_ns: Sequence[int], answers: Sequence[Answer]) -> Matching:
    """Answers to the images that were stamped so."""
    open_stamps, known = set(sent_ns), set(sent_ns)
    latencies, repeated, unknown, disorder, newest = [], 0, 0, 0, -1
    for answer in answers:
        if answer.stamp_ns not in known:
            unknown += 1
            continue
        if answer.stamp_ns not in open_stamps:
            repeated += 1
            continue
        open_stamps.remove(answer.stamp_ns)
        disorder += answer.stamp_ns < newest
        newest = max(newest, answer.stamp_ns)
        latencies.append((answer.received_ns - answer.stamp_ns) / 1e6)
    answered = len(latencies)
    return Matching(latencies, len(known), answered, len(open_stamps), repeated, unknown, disorder)


def camera_main(
    connection: Connection, settings: NodeSettings, environment: RosEnvironment, reliability: str
) -> None:
    """The camera process: for every :class:`Play` the stamps (ns) that each camera sent."""
    with Participant("camera_process", "/", environment) as participant:
        kind = COMPRESSED if settings.compressed else IMAGE
        writers = [
            participant.publisher(settings.image_topic(name), kind, reliability, depth=2)
            for name in settings.names
        ]
        participant.start()
        made: dict[tuple[int, tuple[int, int]], list[bytearray]] = {}
        while True:
            order: Play = connection.recv()
            key = order.people, order.size_hw
            if key not in made:
                made = {key: _messages(participant, order, compressed=settings.compressed)}
            connection.send(_play(connection, order, writers, made[key]))


def _messages(participant: Participant, order: Play, *, compressed: bool) -> list[bytearray]:
    """Serialized images whose stamps are still to be written."""
    size = order.size_hw[0] * order.size_hw[1] * 3
    classes = participant.messages
    header = classes.Header(stamp=classes.Time(sec=0, nanosec=0), frame_id="camera")
    make = compressed_message if compressed else image_message
    return [
        bytearray(participant.types.serialize(make(scene.image, classes, header)))
        for scene in scenes(order.people, order.size_hw, 2 if size > _BIG else 8)
    ]


def _play(
    connection: Connection, order: Play, writers: Sequence[Any], messages: Sequence[bytearray]
) -> list[list[int]]:
    """Send when it is due; who is late sends at once and does not catch up."""
    stamps: list[list[int]] = [[] for _ in writers]
    due = time.monotonic()
    for number in range(order.images):
        time.sleep(max(due - time.monotonic(), 0))
        due = max(due + 1 / order.rate_hz, time.monotonic())
        if connection.poll():  # nobody waits for the answer any more
            break
        message = messages[number % len(messages)]
        for writer, sent in zip(writers, stamps, strict=True):
            stamp = time.time_ns()
            _STAMP.pack_into(message, 4, *divmod(stamp, 10**9))
            writer.publish_cdr(bytes(message))
            sent.append(stamp)
    return stamps


class Ear:
    """Hears each camera's answers and the node's word on its own time.

    Attributes:
        answers: per camera.
        people: in the last answer.
        reports: (monotonic time, camera, numbers as text) of the diagnostics.
    """

    def __init__(self, settings: NodeSettings, environment: RosEnvironment) -> None:
        self.answers: dict[str, list[Answer]] = {name: [] for name in settings.names}
        self.reports: list[tuple[float, str, dict[str, str]]] = []
        self._last: bytes = b""
        self._participant = Participant("ear", "/", environment)
        self._types = self._participant.types
        for name in settings.names:
            self._participant.subscribe(
                settings.poses_topic(name),
                POSES,
                lambda samples, name=name: self._on_poses(name, samples),
                "reliable",
                depth=1000,
            )
        self._participant.subscribe("/diagnostics", DIAGNOSTICS, self._on_health, "reliable")
        self._participant.start()

    def __enter__(self) -> Ear:
        return self

    def __exit__(self, *_error: object) -> None:
        self._participant.close()

    @property
    def people(self) -> int:
        """In the last answer of any camera."""
        return len(self._types.deserialize(self._last, POSES).poses) if self._last else 0

    def clear(self) -> None:
        """Forget what was heard."""
        for heard in self.answers.values():
            heard.clear()
        self.reports.clear()

    def _on_poses(self, camera: str, samples: Sequence[CdrSample]) -> None:
        received = time.time_ns()
        for sample in samples:
            seconds, nanoseconds = _STAMP.unpack_from(sample.cdr, 4)
            stamp = seconds * 10**9 + nanoseconds
            self.answers[camera].append(Answer(stamp, received))
            self._last = sample.cdr

    def _on_health(self, samples: Sequence[CdrSample]) -> None:
        now = time.monotonic()
        for sample in samples:
            for status in self._types.deserialize(sample.cdr, DIAGNOSTICS).status:
                camera = status.name.rpartition(": ")[2]
                self.reports.append((now, camera, {v.key: v.value for v in status.values}))
