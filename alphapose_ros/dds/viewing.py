# SPDX-License-Identifier: Apache-2.0
"""What a node says and the images that it saw, heard together: for viewers on another machine.

Works beside either front, whose topics and messages are the same. Needs no networks.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.records import Frame, FrameResult, Header, Spatial, Tracks
from alphapose_ros.base.skeletons import HALPE136, SKELETONS, Skeleton
from alphapose_ros.dds.camera_io import COMPRESSED, IMAGE
from alphapose_ros.dds.names import NodeNames
from alphapose_ros.dds.participant import Participant
from alphapose_ros.dds.types import CdrSample
from alphapose_ros.front.config import CameraTopics, NodeConfig
from alphapose_ros.front.throttle import Throttle
from alphapose_ros.front.topics import image_topic, output_name
from alphapose_ros.io.image_messages import decode_image
from alphapose_ros.output.messages import result_of, stamp_of
from alphapose_ros.output.reading import skeleton_of, spatial_of

logger = logging.getLogger("alphapose_ros.view")

# Takes what belongs together; the image or the places in space may be missing.
Show = Callable[[FrameResult, "Frame | None", "Spatial | None"], None]
POSES = "alphapose_ros/msg/PoseArray"
SKELETON = "alphapose_ros/msg/Skeleton"
_WAITING = 30  # images that wait for their poses: a second of a usual camera
_ALONE_S = 3.0  # without poses for so long, images are shown by themselves
_SILENT_S = 5.0
_SANE_MS = 60_000.0  # a recording's stamps say nothing of latency


@dataclass(frozen=True)
class ViewTopics:
    """The absolute topics of one camera."""

    camera: str
    image: str
    image_type: str
    poses: str
    skeleton: str

    @classmethod
    def of(cls, config: NodeConfig, camera: CameraTopics, names: NodeNames) -> ViewTopics:
        """Those of a node with this configuration and these names."""
        return cls(
            camera.name,
            image_topic(config, camera, names),
            IMAGE if config.image_transport == "raw" else COMPRESSED,
            names.resolve(output_name(config, camera, "poses")),
            names.resolve(output_name(config, camera, "skeleton")),
        )


@dataclass
class ViewCounts:
    """What came: messages of each kind, and images that were shown with their poses."""

    images: int = 0
    poses: int = 0
    pairs: int = 0


class CameraView:
    """One camera: images wait for the poses of the same stamp, and are decoded only then.

    All callbacks run on the participant's thread.

    Args:
        participant: listens.
        topics: where.
        show: called for every ``PoseArray``, and for images while no poses come.
        clock: seconds, for the tests.
    """

    def __init__(
        self,
        participant: Participant,
        topics: ViewTopics,
        show: Show,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.topics, self.counts = topics, ViewCounts()
        self._types, self._show, self._clock = participant.types, show, clock
        self._images: OrderedDict[int, bytes] = OrderedDict()
        self._skeletons: dict[str, Skeleton] = dict(SKELETONS)
        self._skeleton: Skeleton = HALPE136
        self._began = self._heard_poses = clock()
        self._throttle = Throttle()
        self._images_from = participant.subscribe(topics.image, topics.image_type, self._on_images)
        self._poses_from = participant.subscribe(topics.poses, POSES, self._on_poses, depth=50)
        participant.subscribe(
            topics.skeleton, SKELETON, self._on_skeleton, "reliable", latched=True, depth=1
        )

    def tell_silence(self) -> None:
        """Say what is missing, now and then."""
        if self._clock() - self._began < _SILENT_S:
            return
        for count, heard in (
            (self.counts.poses, self._poses_from),
            (self.counts.images, self._images_from),
        ):
            if not count:
                why = (
                    "its publishers are silent"
                    if heard.offers
                    else "no publisher; check the topic's name, ROS_DOMAIN_ID and the network"
                )
                self._complain(heard.topic, f"{heard.topic}: nothing has come: {why}")

    def _on_images(self, samples: list[CdrSample]) -> None:
        for sample in samples:
            self.counts.images += 1
            try:
                stamp = stamp_of(self._types.deserialize(sample.cdr, self.topics.image_type))
            except InputError as error:
                self._complain("image", f"{self.topics.image}: refused: {error}")
                continue
            self._images[stamp] = sample.cdr
            while len(self._images) > _WAITING:
                self._images.popitem(last=False)
        if self._images and self._clock() - self._heard_poses > _ALONE_S:
            stamp, cdr = next(reversed(self._images.items()))  # its poses may still come
            frame = self._decoded(stamp, cdr)
            if frame is not None:
                header = Header(self.topics.camera, frame.frame_id, stamp, frame.size_hw)
                self._show(FrameResult(header, Tracks.empty(self._skeleton)), frame, None)

    def _on_poses(self, samples: list[CdrSample]) -> None:
        self._heard_poses = self._clock()
        for sample in samples:
            self.counts.poses += 1
            try:
                self._show_poses(self._types.deserialize(sample.cdr, POSES))
            except ValueError as error:  # people with different numbers of joints, too
                self._complain("poses", f"{self.topics.poses}: refused: {error}")

    def _show_poses(self, message: Any) -> None:
        if message.skeleton not in self._skeletons:
            raise InputError(
                f"expected the skeleton {message.skeleton!r} on {self.topics.skeleton} first"
            )
        self._skeleton = self._skeletons[message.skeleton]
        result = result_of(message, self._skeletons, camera=self.topics.camera)
        stamp = result.header.stamp_ns
        late_ms = (time.time_ns() - stamp) / 1e6
        if 0 <= late_ms < _SANE_MS:
            result = replace(result, timings_ms={"from the image's stamp": late_ms})
        cdr = self._images.pop(stamp, None)
        for older in [s for s in self._images if s < stamp]:
            del self._images[older]
        frame = self._decoded(stamp, cdr) if cdr is not None else None
        self.counts.pairs += frame is not None
        self._show(result, frame, spatial_of(message))

    def _decoded(self, stamp_ns: int, cdr: bytes) -> Frame | None:
        try:
            message = self._types.deserialize(cdr, self.topics.image_type)
            image, frame_id = decode_image(message), message.header.frame_id
        except InputError as error:
            self._complain("image", f"{self.topics.image}: refused: {error}")
            return None
        return Frame(image, stamp_ns, self.topics.camera, frame_id)

    def _on_skeleton(self, samples: list[CdrSample]) -> None:
        try:
            skeleton = skeleton_of(self._types.deserialize(samples[-1].cdr, SKELETON))
        except InputError as error:
            self._complain("skeleton", f"{self.topics.skeleton}: refused: {error}")
            return
        if skeleton.name not in SKELETONS:  # a node started anew may have learned more joints
            self._skeletons[skeleton.name] = skeleton

    def _complain(self, topic: str, line: str) -> None:
        if self._throttle(topic):
            logger.warning("%s", line)
