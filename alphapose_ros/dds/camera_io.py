# SPDX-License-Identifier: Apache-2.0
"""One camera of the embedded node: what it subscribes."""

from __future__ import annotations

from collections.abc import Callable

from alphapose_ros.base.errors import InputError
from alphapose_ros.dds.names import NodeNames
from alphapose_ros.dds.participant import Participant
from alphapose_ros.dds.types import CdrSample
from alphapose_ros.front.config import CameraTopics, NodeConfig
from alphapose_ros.front.intake import ImageIntake, LiveImage
from alphapose_ros.front.topics import camera_info_topic, image_topic

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
CALM = 5  # looks at reliable publishers alone before reliable is asked for again
_IMAGE_DEPTH = 8  # images the reader holds; all but the newest are skipped and counted


class CameraInput:
    """Images of one camera -> frames; called on the participant's thread.

    Args:
        participant, config, names, camera: where to listen.
        submit: takes an image; never blocks.
        reset: called with the camera's name when its clock was set back.
    """

    def __init__(
        self,
        participant: Participant,
        config: NodeConfig,
        names: NodeNames,
        camera: CameraTopics,
        submit: Callable[[LiveImage], None],
        reset: Callable[[str], None],
    ) -> None:
        self.calm = CALM  # looks since a publisher offered best effort only
        self._types = participant.types
        self.topic = image_topic(config, camera, names)
        self._info_topic = camera_info_topic(config, camera, names)
        self._type = IMAGE if config.image_transport == "raw" else COMPRESSED
        self.intake = ImageIntake(
            camera.name, self.topic, submit, reset, rectified=config.image_is_rectified
        )
        self.subscription = participant.subscribe(
            self.topic,
            self._type,
            self._on_images,
            "reliable" if config.reliability == "reliable" else "best_effort",
            depth=_IMAGE_DEPTH,
        )
        participant.subscribe(self._info_topic, CAMERA_INFO, self._on_camera_info, depth=1)

    @property
    def why_silent(self) -> str:
        """The reason, should no images come."""
        if offers := self.subscription.offers:
            return f"{len(offers)} publishers are connected, none sends"
        if self.subscription.offered_less:
            return "a publisher offers best effort only; set reliability to auto"
        return "no publisher; check the topic's name, ROS_DOMAIN_ID and the network"

    def _on_images(self, samples: list[CdrSample]) -> None:
        self.intake.arrived(len(samples))
        try:
            message = self._types.deserialize(samples[-1].cdr, self._type)
        except InputError as error:
            self.intake.refuse(error)
            return
        self.intake.take(message)

    def _on_camera_info(self, samples: list[CdrSample]) -> None:
        try:
            message = self._types.deserialize(samples[-1].cdr, CAMERA_INFO)
        except InputError as error:
            self.intake.complain("camera_info", f"{self._info_topic}: refused: {error}")
            return
        self.intake.camera_info(message, self._info_topic)
