# SPDX-License-Identifier: Apache-2.0
"""Hears what crosses the middleware: into a bag as it came, and into a video with people drawn."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from alphapose_ros.base.records import FrameResult, ImageArray
from alphapose_ros.base.skeletons import SKELETONS
from alphapose_ros.dds.camera_io import COMPRESSED
from alphapose_ros.dds.participant import Participant
from alphapose_ros.dds.types import CdrSample
from alphapose_ros.io.bag import BagWriter
from alphapose_ros.io.image_messages import decode_image
from alphapose_ros.io.sinks import VideoWriter
from alphapose_ros.output.draw import draw_result
from alphapose_ros.output.messages import result_of, stamp_of

POSES = "alphapose_ros/msg/PoseArray"
SKELETON = "alphapose_ros/msg/Skeleton"


@dataclass(frozen=True)
class Answer:
    """One ``PoseArray`` as it came."""

    received_ns: int
    result: FrameResult

    @property
    def latency_ms(self) -> float:
        """From the image's stamp to the message received."""
        return (self.received_ns - self.result.header.stamp_ns) / 1e6


class Recorder:
    """Subscribes to the camera's JPEG images and to what the node says.

    Args:
        participant: whose thread listens.
        bag: gets every message as the bytes that crossed.
        image_topic: of the raw images; its ``/compressed`` sibling is recorded.
    """

    def __init__(self, participant: Participant, bag: BagWriter, image_topic: str) -> None:
        self._types, self._bag = participant.types, bag
        self._lock = threading.Lock()
        self._images: dict[int, bytes] = {}
        self._answers: list[Answer] = []
        images = f"{image_topic}/compressed"
        self.poses = participant.subscribe("/poses", POSES, self._on_poses, "reliable", depth=50)
        participant.subscribe(
            images, COMPRESSED, lambda s: self._on_images(images, s), "reliable", depth=50
        )
        participant.subscribe(
            "/skeleton", SKELETON, self._on_skeleton, "reliable", latched=True, depth=1
        )

    @property
    def answers(self) -> list[Answer]:
        """What has come so far, in the order of arrival."""
        with self._lock:
            return list(self._answers)

    def write_video(self, writer: VideoWriter, *, live: bool = False) -> None:
        """What a viewer of ``pose_image`` saw: each answered image with its people until the next.

        As many frames as images were sent, so that the video has the clip's own speed; of a
        ``live`` camera, whose rate nobody knows, by the images' stamps.
        """
        by_stamp = {answer.result.header.stamp_ns: answer.result for answer in self.answers}
        shown: ImageArray | None = None
        for stamp_ns, cdr in sorted(self._images.items()):
            result = by_stamp.get(stamp_ns)
            if result is not None or shown is None:
                shown = decode_image(self._types.deserialize(cdr, COMPRESSED))
            if result is not None:
                shown = draw_result(shown, result)
            if live:
                writer.write_at(shown, stamp_ns)
            else:
                writer.write(shown)

    def _on_poses(self, samples: list[CdrSample]) -> None:
        received_ns = time.time_ns()
        for sample in samples:
            self._bag.write("/poses", POSES, sample.cdr, received_ns)
            result = result_of(self._types.deserialize(sample.cdr, POSES), SKELETONS)
            with self._lock:
                self._answers.append(Answer(received_ns, result))

    def _on_images(self, topic: str, samples: list[CdrSample]) -> None:
        for sample in samples:
            self._bag.write(topic, COMPRESSED, sample.cdr, time.time_ns())
            message = self._types.deserialize(sample.cdr, COMPRESSED)
            self._images[stamp_of(message)] = sample.cdr

    def _on_skeleton(self, samples: list[CdrSample]) -> None:
        for sample in samples:
            self._bag.write("/skeleton", SKELETON, sample.cdr, time.time_ns())


def summary(answers: list[Answer], sent: int, seconds: float) -> list[tuple[str, str]]:
    """Rows of the table at the end."""
    people = [len(answer.result.tracks) for answer in answers]
    ids = {int(i) for answer in answers for i in answer.result.tracks.ids if i > 0}
    latencies: Any = [answer.latency_ms for answer in answers] or [float("nan")]
    p50, p95 = np.percentile(latencies, [50, 95])
    return [
        ("images sent", str(sent)),
        ("answered", str(len(answers))),
        ("dropped", str(sent - len(answers))),
        ("people per image", f"{np.mean(people or [0]):.1f} (at most {max(people, default=0)})"),
        ("identities", str(len(ids))),
        ("answers per second", f"{len(answers) / max(seconds, 1e-9):.1f}"),
        ("latency p50 / p95", f"{p50:.0f} / {p95:.0f} ms"),
    ]
