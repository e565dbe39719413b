# SPDX-License-Identifier: Apache-2.0
"""A camera with faults on order, an ear that keeps the order, and what a node's process uses."""

from __future__ import annotations

import random
import struct
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from _scenes import scenes

from alphapose_ros.base.errors import TransportError
from alphapose_ros.dds.environment import RosEnvironment
from alphapose_ros.dds.participant import Participant
from alphapose_ros.dds.types import CdrSample
from alphapose_ros.io.image_messages import image_message

IMAGE, POSES = "sensor_msgs/msg/Image", "alphapose_ros/msg/PoseArray"
DIAGNOSTICS = "diagnostic_msgs/msg/DiagnosticArray"
_STAMP = struct.Struct("<iI")  # the header's first field, behind the four bytes of CDR
_COUNTS = 24  # bytes of CDR in which the header's fixed part lies; behind it damage is done
_REMEMBERED = 5000  # images; an answer is never so late
SIZES = ((240, 320), (360, 640), (480, 640))
ENCODINGS = ("rgb8", "bgr8")


class FaultyCamera:
    """One camera as a node of its own.

    Args:
        name: its topic is ``/NAME/image``.
        environment: where on the network.
        messages: serialized images by (size, encoding), shared by all cameras.

    Attributes:
        sent: good images; damaged: the others.
        shift_ns: of its clock; zero_stamps: it gives none.
    """

    def __init__(
        self,
        name: str,
        environment: RosEnvironment,
        messages: dict[tuple[tuple[int, int], str], list[bytearray]],
    ) -> None:
        self.name, self._messages = name, messages
        self.sent = self.damaged = self.refused_here = 0
        self.shift_ns, self.zero_stamps = 0, False
        self.numbers: dict[int, int] = {}  # stamp -> which image it was, of the last ones
        self.kind = SIZES[0], ENCODINGS[0]
        self._participant = Participant(f"camera_{name}", "/", environment)
        self._participant.start()
        self._publisher: Any = None
        self.connect()

    @property
    def alive(self) -> bool:
        """Whether it publishes."""
        return self._publisher is not None

    def connect(self) -> None:
        """Offer images."""
        self._publisher = self._participant.publisher(f"/{self.name}/image", IMAGE, depth=2)

    def die(self) -> None:
        """Be gone from the topic."""
        if self._publisher is not None:
            writer = self._publisher.writer
            writer._delete(writer._ref)
        self._publisher = None

    def close(self) -> None:
        """Leave the network."""
        self._participant.close()

    def send(self, number: int) -> None:
        """One good image."""
        if self._publisher is None:
            return
        pool = self._messages[self.kind]
        message = pool[number % len(pool)]
        self._stamp(message)
        self._write(bytes(message))
        self.sent += 1

    def send_damaged(self, chance: random.Random) -> None:
        """One image that is cut off, or of which bytes were changed."""
        if self._publisher is None:
            return
        data = bytearray(self._messages[self.kind][0])
        self._stamp(data)
        if chance.random() < 0.5:
            data = data[: chance.randrange(_COUNTS, len(data))]
        for _ in range(chance.randrange(1, 5)):
            at = chance.randrange(_COUNTS, min(len(data), 80))
            data[at] = chance.randrange(256)
        self._write(bytes(data))
        self.damaged += 1

    def _stamp(self, data: bytearray) -> None:
        stamp = 0 if self.zero_stamps else time.time_ns() + self.shift_ns
        _STAMP.pack_into(data, 4, *divmod(stamp, 10**9))
        if stamp:
            self.numbers[stamp] = self.sent + self.damaged
        while len(self.numbers) > _REMEMBERED:
            del self.numbers[next(iter(self.numbers))]

    def _write(self, data: bytes) -> None:
        try:
            self._publisher.publish_cdr(data)
        except TransportError:  # the library looks at the bytes at either end
            self.refused_here += 1


def camera_messages(
    environment: RosEnvironment,
) -> dict[tuple[tuple[int, int], str], list[bytearray]]:
    """Serialized pictures of 0, 1 and 3 people by size and encoding."""
    out: dict[tuple[tuple[int, int], str], list[bytearray]] = {}
    with Participant("painter", "/", environment) as painter:
        classes = painter.messages
        header = classes.Header(stamp=classes.Time(sec=0, nanosec=0), frame_id="camera")
        for size in SIZES:
            images = [scenes(people, size, 2)[k].image for people in (3, 1, 0) for k in (0, 1)]
            for encoding in ENCODINGS:
                made = [image_message(image, classes, header, encoding) for image in images]
                out[size, encoding] = [bytearray(painter.types.serialize(each)) for each in made]
    return out


@dataclass
class Heard:
    """Answers of one camera.

    Attributes:
        answers: how many.
        disorder: to an image that was sent before, or was, the one answered last.
        unknown: to no image that was sent.
        people: in all of them.
    """

    answers: int = 0
    disorder: int = 0
    unknown: int = 0
    people: int = 0


class FaultyEar:
    """Hears all answers; may sleep over each, and may leave at any time.

    Args:
        cameras: whose answers it hears: by name, which image had which stamp.
        environment: where on the network.
        delay_s: how long it sleeps over a batch of answers.
        drawn: whether it takes the annotated images too.
    """

    def __init__(
        self,
        cameras: Mapping[str, dict[int, int]],
        environment: RosEnvironment,
        *,
        delay_s: float = 0.0,
        drawn: bool = False,
    ) -> None:
        self.heard = {name: Heard() for name in cameras}
        self.reports: dict[str, dict[str, str]] = {}
        self._delay_s = delay_s
        self._numbers, self._last = cameras, dict.fromkeys(cameras, -1)
        self._participant = Participant("ear", "/", environment)
        self._types = self._participant.types
        subscribe = self._participant.subscribe
        for name in cameras:
            subscribe(
                f"/{name}/poses",
                POSES,
                lambda samples, name=name: self._on_poses(name, samples),
                "reliable",
                depth=1000,
            )
            if drawn:
                subscribe(f"/{name}/pose_image", IMAGE, self._on_drawn, "reliable", depth=2)
        subscribe("/diagnostics", DIAGNOSTICS, self._on_health, "reliable")
        self._participant.start()

    def close(self) -> None:
        """Leave."""
        self._participant.close()

    def _on_poses(self, name: str, samples: Sequence[CdrSample]) -> None:
        heard = self.heard[name]
        for sample in samples:
            seconds, nanoseconds = _STAMP.unpack_from(sample.cdr, 4)
            stamp = seconds * 10**9 + nanoseconds
            heard.answers += 1
            heard.people += len(self._types.deserialize(sample.cdr, POSES).poses)
            number = self._numbers[name].get(stamp)
            if number is not None:
                heard.disorder += number <= self._last[name]
                self._last[name] = number
            elif stamp:  # an image without stamp is answered without
                heard.unknown += 1
        time.sleep(self._delay_s)

    def _on_drawn(self, samples: Sequence[CdrSample]) -> None:
        time.sleep(self._delay_s)

    def _on_health(self, samples: Sequence[CdrSample]) -> None:
        with suppress(IndexError):
            for status in self._types.deserialize(samples[-1].cdr, DIAGNOSTICS).status:
                camera = status.name.rpartition(": ")[2]
                if camera in self.heard:
                    self.reports[camera] = {v.key: v.value for v in status.values}


def file_count(pid: int) -> int:
    """Open file descriptors of a process; 0 where the system does not tell."""
    try:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except OSError:
        return 0


def flatness(values: Sequence[float]) -> float:
    """The last quarter's median over the second quarter's, minus 1; NaN for fewer than 8."""
    if len(values) < 8:
        return float("nan")
    quarter = len(values) // 4
    second, last = values[quarter : 2 * quarter], values[-quarter:]
    return float(np.median(last) / np.median(second) - 1)
