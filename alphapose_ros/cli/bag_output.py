# SPDX-License-Identifier: Apache-2.0
"""The bag of ``run``: what the live node would have published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alphapose_ros.base.channels import red_blue_swapped
from alphapose_ros.base.errors import require
from alphapose_ros.base.records import Frame, FrameResult, ImageArray
from alphapose_ros.base.skeletons import Skeleton
from alphapose_ros.dds.types import MessageClasses, WireTypes
from alphapose_ros.io.bag import BagWriter
from alphapose_ros.io.source_base import INSTALL_OPENCV
from alphapose_ros.output.messages import pose_array_cdr, ros_header, skeleton_message

_JPEG_QUALITY = 90
_POSES = "alphapose_ros/msg/PoseArray"


class BagOutput:
    """Poses, the skeleton once, and unless ``images`` is False the annotated image (JPEG) of
    every frame, as MCAP or SQLite.

    Topics are ``/poses``, ``/skeleton`` and ``/pose_image/compressed``; from the second camera on
    its name stands before ``poses`` and ``pose_image``. Messages are stamped with the frames'
    time, so that a recording played later stands beside its poses. Without any frame there is
    no bag.
    """

    def __init__(
        self, path: Path, skeleton: Skeleton, images: bool = True, *, storage: str = "mcap"
    ) -> None:
        self._cv2: Any = (
            require("cv2", needed_for="images in bags", install=INSTALL_OPENCV) if images else None
        )
        self._types = WireTypes()
        self._classes: Any = MessageClasses(self._types)
        self._skeleton = skeleton
        self._prefixes: dict[str, str] = {}
        self._writer = BagWriter(path, storage=storage)

    def write(self, frame: Frame, result: FrameResult, drawn: ImageArray | None) -> bool:
        """Append the messages of one frame."""
        stamp_ns = frame.stamp_ns
        if not self._prefixes:
            skeleton = skeleton_message(self._skeleton, self._classes)
            self._append("/skeleton", skeleton, stamp_ns, latched=True)
        if frame.camera not in self._prefixes:
            later = f"/{frame.camera.strip('/')}" if self._prefixes else ""
            self._prefixes[frame.camera] = later
        prefix = self._prefixes[frame.camera]
        self._writer.write(f"{prefix}/poses", _POSES, pose_array_cdr(result), stamp_ns)
        if self._cv2 is not None:
            assert drawn is not None
            image = self._compressed(drawn, result)
            self._append(f"{prefix}/pose_image/compressed", image, stamp_ns)
        return True

    def _compressed(self, drawn: ImageArray, result: FrameResult) -> Any:
        bgr = red_blue_swapped(drawn)
        _, data = self._cv2.imencode(".jpg", bgr, [self._cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        return self._classes.CompressedImage(
            header=ros_header(result.header, self._classes),
            format="rgb8; jpeg compressed bgr8",
            data=self._classes.sequence(data),
        )

    def _append(self, topic: str, message: Any, stamp_ns: int, *, latched: bool = False) -> None:
        cdr = self._types.serialize(message)
        self._writer.write(topic, message.__msgtype__, cdr, stamp_ns, latched=latched)

    def close(self) -> None:
        """Finish the bag."""
        if self._prefixes:
            self._writer.close()
        else:
            self._writer.discard()

    def summary(self) -> list[str]:
        """The file."""
        return [f"bag        {self._writer.path}"]
