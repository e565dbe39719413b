# SPDX-License-Identifier: Apache-2.0
"""What every source of frames offers, whatever the images come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.records import Frame
from alphapose_ros.io.closing import Closing

INSTALL_OPENCV = "install it with: pip install opencv-python-headless"


class Source(Closing, ABC):
    """Frames in order; a context manager that gives its device or file back.

    Attributes:
        name: short name for messages and as the frames' camera.
        fps: frames per second, measured, written in the file, or assumed; > 0.
        frame_count: number of frames where it is known before reading; an estimate for videos.
        live: frames come from a clock of their own and those not taken in time are lost.
        problems: one line for each thing that was left out without stopping; grows while read.
    """

    def __init__(
        self, name: str, *, fps: float, frame_count: int | None = None, live: bool = False
    ) -> None:
        self.name = name.encode(errors="replace").decode()  # a file's name need not be text
        self.fps = fps
        self.frame_count = frame_count
        self.live = live
        self.problems: list[str] = []

    def fps_of(self, camera: str) -> float:
        """Frames per second of one of its cameras."""
        return self.fps

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """The frames, RGB, in the order of their stamps.

        Raises:
            SourceError: the file or device broke; frames before the break were given.
        """


def of_one_camera(frames: Iterable[Frame], remedy: str, option: str = "") -> Iterator[Frame]:
    """The frames, for what serves one camera alone.

    Raises:
        InputError: a frame is of another camera than the first; the message begins with
            ``option``, if any, and ends with ``remedy``.
    """
    camera = None
    for frame in frames:
        camera = camera or frame.camera
        if frame.camera != camera:
            raise InputError(
                f"{f'{option}: ' if option else ''}expected images of one camera, the recording "
                f"has /{camera} and /{frame.camera}; {remedy}"
            )
        yield frame
