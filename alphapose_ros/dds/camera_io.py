# SPDX-License-Identifier: Apache-2.0
"""One camera of the embedded node: its messages in, its results out."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.records import Frame, FrameResult, Intrinsics
from alphapose_ros.base.skeletons import Skeleton
from alphapose_ros.dds.node_config import CameraTopics, NodeConfig
from alphapose_ros.dds.participant import Participant
from alphapose_ros.dds.types import CdrSample
from alphapose_ros.io.image_messages import decode_image, image_message, intrinsics_of
from alphapose_ros.io.stamps import StampGuard
from alphapose_ros.output.draw import draw_result
from alphapose_ros.output.markers import MarkerWriter
from alphapose_ros.output.messages import pose_array, ros_header, skeleton_message, stamp_of

logger = logging.getLogger("alphapose_ros.node")

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
_IMAGE_DEPTH = 8  # images the reader holds; all but the newest are skipped and counted


@dataclass(frozen=True)
class LiveFrame(Frame):
    """A frame from a live camera; ``header_stamp_ns`` is 0 where the camera gave no stamp."""

    header_stamp_ns: int = 0


@dataclass
class InputCounts:
    """What became of a camera's images before the session saw them."""

    received: int = 0
    superseded: int = 0
    refused: int = 0
    out_of_order: int = 0
    clock_changes: int = 0


class Throttle:
    """Lets one line per key through in ``period_s``: a camera sends 30 bad images a second."""

    def __init__(self, period_s: float = 10.0) -> None:
        self._period_s = period_s
        self._last: dict[str, float] = {}

    def __call__(self, key: str) -> bool:
        """True where the line may be written now."""
        now = time.monotonic()
        if key in self._last and now - self._last[key] < self._period_s:
            return False
        self._last[key] = now
        return True


class CameraInput:
    """Images of one camera -> frames; called on the participant's thread.

    Args:
        participant, config, camera: where to listen.
        submit: takes a frame; never blocks.
        reset: called with the camera's name when its clock was set back.
    """

    def __init__(
        self,
        participant: Participant,
        config: NodeConfig,
        camera: CameraTopics,
        submit: Callable[[LiveFrame], None],
        reset: Callable[[str], None],
    ) -> None:
        self.camera, self.counts = camera, InputCounts()
        self.refusal = ""  # why the last refused image was refused
        self.mixed_publishers = False  # one of them once offered best effort only
        self._types, self._config = participant.types, config
        self._submit, self._reset = submit, reset
        self._guard, self._throttle = StampGuard(), Throttle()
        self._intrinsics: Intrinsics | None = None
        self.topic = config.image_topic(camera)
        self._type = IMAGE if config.image_transport == "raw" else COMPRESSED
        self.subscription = participant.subscribe(
            self.topic,
            self._type,
            self._on_images,
            "reliable" if config.reliability == "reliable" else "best_effort",
            depth=_IMAGE_DEPTH,
        )
        self._info_topic = config.camera_info_topic(camera)
        participant.subscribe(self._info_topic, CAMERA_INFO, self._on_camera_info, depth=1)

    def _on_images(self, samples: list[CdrSample]) -> None:
        received_ns = time.time_ns()
        self.counts.received += len(samples)
        self.counts.superseded += len(samples) - 1
        try:
            message = self._types.deserialize(samples[-1].cdr, self._type)
            image = decode_image(message)
        except InputError as error:
            self.counts.refused += 1
            self.refusal = str(error)
            # The kind of fault is the key: its numbers differ from image to image.
            self._complain(str(error).partition(":")[0], f"{self.topic}: image refused: {error}")
            return
        verdict = self._guard.judge(stamp_of(message), received_ns)
        if verdict.missing and self._throttle("zero stamp"):
            logger.warning("%s: images without stamp; the time of receipt is used", self.topic)
        if not verdict.accepted:
            self.counts.out_of_order += 1
            return
        if verdict.new_clock:
            self.counts.clock_changes += 1
            logger.warning("%s: the camera's clock was set back; tracks start over", self.topic)
            self._reset(self.camera.name)
        self._submit(
            LiveFrame(
                image,
                verdict.stamp_ns,
                self.camera.name,
                message.header.frame_id,
                intrinsics=self._matching_intrinsics(image.shape[:2]),
                header_stamp_ns=0 if verdict.missing else verdict.stamp_ns,
            )
        )

    def _on_camera_info(self, samples: list[CdrSample]) -> None:
        try:
            message = self._types.deserialize(samples[-1].cdr, CAMERA_INFO)
            self._intrinsics = intrinsics_of(message, rectified=self._config.image_is_rectified)
        except InputError as error:
            self._complain("camera_info", f"{self._info_topic}: refused: {error}")

    def _matching_intrinsics(self, size_hw: tuple[int, ...]) -> Intrinsics | None:
        known = self._intrinsics
        if known is not None and known.size_hw != size_hw:
            expected, got = (f"{w}x{h}" for h, w in (size_hw, known.size_hw))
            text = f"{self._info_topic}: expected the images' size {expected}, got {got}"
            self._complain("camera_info size", text)
            return None
        return known

    def _complain(self, kind: str, text: str) -> None:
        if self._throttle(kind):
            logger.error("%s", text)


class CameraOutput:
    """Results of one camera -> messages; called on the session's thread."""

    def __init__(
        self,
        participant: Participant,
        config: NodeConfig,
        camera: CameraTopics,
        skeleton: Skeleton,
    ) -> None:
        self._classes, self._config = participant.messages, config

        def publisher(name: str, kind: str, **options: Any) -> Any:
            return participant.publisher(config.output_topic(camera, name), kind, **options)

        self.poses = publisher("poses", "alphapose_ros/msg/PoseArray")
        self._markers = publisher("markers", "visualization_msgs/msg/MarkerArray")
        self._image = publisher("pose_image", IMAGE, depth=1)
        latched = publisher("skeleton", "alphapose_ros/msg/Skeleton", latched=True, depth=1)
        latched.publish(skeleton_message(skeleton, self._classes))
        self._marker_writer = MarkerWriter(
            depth_m=config.marker_depth, lifetime_s=config.marker_lifetime_s
        )

    def publish(self, frame: LiveFrame, result: FrameResult) -> None:
        """Poses first; markers and the annotated image only where somebody listens."""
        result = replace(result, header=replace(result.header, stamp_ns=frame.header_stamp_ns))
        classes = self._classes
        self.poses.publish(pose_array(result, classes))
        if self._markers.matched:
            markers = self._marker_writer.write(result, frame.intrinsics, classes)
            self._markers.publish(markers)
        if self._image.matched:
            drawn = draw_result(frame.image, result)
            self._image.publish(image_message(drawn, classes, ros_header(result.header, classes)))
