# SPDX-License-Identifier: Apache-2.0
"""Cameras, videos, image folders, single images and bags as one thing: a :class:`Source`."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from alphapose_ros.base.channels import red_blue_swapped
from alphapose_ros.base.errors import SourceError, require
from alphapose_ros.base.paths import expanded
from alphapose_ros.base.records import Frame, ImageArray
from alphapose_ros.io.camera import CameraSource
from alphapose_ros.io.source_base import INSTALL_OPENCV, Source
from alphapose_ros.io.video_file import is_incomplete, opencv_name

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}
BAG_SUFFIXES = {".mcap", ".db3", ".bag"}
ASSUMED_FPS = 30.0  # of image folders, and of videos that do not say


def open_source(uri: str | int, *, topic: str | None = None) -> Source:
    """Open whatever ``uri`` names.

    Args:
        uri: camera index (``0``, or ``"0"`` where nothing has that name), ``/dev/video*``, a
            stream's URL, a video file, an image, a folder of images (sub-folders too, natural
            order), or a bag (a rosbag2 folder, ``.mcap``, ``.db3`` or a ROS 1 ``.bag``).
        topic: image topic of a bag; all image topics, each as a camera, when not given.

    Raises:
        SourceError: it does not exist, cannot be read or has no image in it.
    """
    text = str(uri)
    if isinstance(uri, int) or (is_camera_index(text) and not Path(text).exists()):
        return CameraSource(int(uri))
    if "://" in text or text.startswith("/dev/"):
        return CameraSource(text)
    path = expanded(text)
    if not path.exists():
        raise SourceError(f"{text}: no such file, folder or camera")
    from alphapose_ros.io.bag_reader import is_bag

    if is_bag(path):
        from alphapose_ros.io.bag import BagSource

        return BagSource(path, topic=topic)
    if path.is_dir():
        return ImageSource(find_images(path), name=path.resolve().name)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return ImageSource([path], name=path.stem)
    return VideoSource(path)


def is_camera_index(text: str) -> bool:
    """Whether it is a number that OpenCV takes for a camera: digits, of 31 bits."""
    return text.isascii() and text.isdigit() and len(text) <= 10 and int(text) < 1 << 31


def find_images(folder: Path) -> list[Path]:
    """All images under ``folder`` in natural order (2 before 10), hidden files left out.

    Raises:
        SourceError: there is none, or a folder cannot be read.
    """

    def refused(error: OSError) -> None:
        raise _unreadable(error.filename, error) from error

    found: list[Path] = []
    for parent, folders, files in os.walk(folder, onerror=refused):
        folders[:] = [name for name in folders if not name.startswith(".")]
        visible = (Path(parent, name) for name in files if not name.startswith("."))
        found += (path for path in visible if path.suffix.lower() in IMAGE_SUFFIXES)
    if not found:
        kinds = ", ".join(sorted(suffix[1:] for suffix in IMAGE_SUFFIXES))
        raise SourceError(f"{folder}: expected images ({kinds}), found none in it or below it")
    return sorted(found, key=lambda path: natural_key(str(path.relative_to(folder))))


def _unreadable(path: str | Path, error: OSError) -> SourceError:
    return SourceError(f"{path}: cannot be read ({error.strerror or error})")


def natural_key(text: str) -> tuple[tuple[bool, int, str], ...]:
    """Sort key by which ``frame2`` comes before ``frame10``."""
    return tuple(
        (not part.isdecimal(), int(part) if part.isdecimal() else 0, part.lower())
        for part in re.split(r"(\d+)", text)
        if part
    )


def read_image(path: Path) -> ImageArray:
    """An image file as (H, W, 3) uint8 RGB, turned upright as its EXIF tag says.

    Raises:
        SourceError: it is missing, empty, damaged or no image.
    """
    cv2 = require("cv2", needed_for="reading images", install=INSTALL_OPENCV)
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except cv2.error as error:  # a header that promises an impossible size
        raise SourceError(f"{path}: not a readable image ({error.err})") from error
    if image is None:
        raise SourceError(f"{path}: not a readable image ({data.size} bytes, damaged or unknown)")
    return red_blue_swapped(image)


class ImageSource(Source):
    """Image files as the frames of a recording at ``fps``; broken ones are skipped and counted."""

    def __init__(self, paths: Sequence[Path], *, name: str, fps: float = ASSUMED_FPS) -> None:
        super().__init__(name, fps=fps, frame_count=len(paths))
        self.paths = list(paths)

    def __iter__(self) -> Iterator[Frame]:
        broken: list[SourceError] = []
        for position, path in enumerate(self.paths):
            try:
                image = read_image(path)
            except SourceError as error:
                broken.append(error)
                continue
            yield Frame(image, round(position / self.fps * 1e9), self.name, self.name)
        if not broken:
            return
        if len(broken) == len(self.paths):
            more = f" (and {len(broken) - 1} more like it)" if len(broken) > 1 else ""
            raise SourceError(f"{broken[0]}{more}")
        self.problems.append(
            f"{len(broken)} of {len(self.paths)} images skipped; the first: {broken[0]}"
        )


class VideoSource(Source):
    """A video file. Stamps are the file's own, from 0; they increase even where the file's do not.

    A file that is cut off gives what it has and then raises: a result that silently covers half a
    recording is worse than an error. A complete file with fewer frames than it announces is a
    problem only: an MP4's edit list hides frames, and others announce the sound's length.
    """

    def __init__(self, path: Path) -> None:
        cv2 = require("cv2", needed_for="reading videos", install=INSTALL_OPENCV)
        self._cv2 = cv2
        self._path = path
        self._started = False
        try:
            if path.is_file():  # a pipe could be opened only once
                path.open("rb").close()  # OpenCV does not say why it cannot
        except OSError as error:
            raise _unreadable(path, error) from error
        with opencv_name(path) as name:
            self._capture: Any = cv2.VideoCapture(name)
        if not self._capture.isOpened():
            self.close()
            raise SourceError(f"{path}: not a readable video (damaged, or no decoder for it)")
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        super().__init__(
            path.stem,
            fps=fps if math.isfinite(fps) and 0 < fps <= 1000 else ASSUMED_FPS,
            frame_count=int(count) if math.isfinite(count) and count > 0 else None,
        )

    def __iter__(self) -> Iterator[Frame]:
        if self._started:  # read once more from the beginning
            with opencv_name(self._path) as name:
                self._capture.open(name)
        self._started = True
        position, stamp_ns = 0, -1
        while True:
            found, image = self._capture.read()
            if not found:
                break
            read_ns = round(self._capture.get(self._cv2.CAP_PROP_POS_MSEC) * 1e6)
            expected_ns = stamp_ns + round(1e9 / self.fps) if position else 0
            stamp_ns = read_ns if read_ns > stamp_ns else expected_ns
            yield Frame(red_blue_swapped(image), stamp_ns, self.name, self.name)
            position += 1
        self._check_end(position, stamp_ns)

    def _check_end(self, frames: int, last_ns: int) -> None:
        if frames == 0:
            raise SourceError(f"{self._path}: no frame could be decoded, the video is damaged")
        if self.frame_count is None:
            return
        # The announced count may be an estimate (duration x rate): the time must fall short too.
        missing_s = self.frame_count / self.fps - last_ns / 1e9
        if frames < 0.98 * self.frame_count - 2 and missing_s > 0.02 * last_ns / 1e9 + 0.5:
            found = f"ends after {frames} of {self.frame_count} frames"
            if is_incomplete(self._path):
                raise SourceError(f"{self._path}: {found}, the video is truncated there")
            self.problems.append(
                f"{found}; the file is complete: it announces too many, or it is damaged there"
            )

    def close(self) -> None:
        """Close the file."""
        self._capture.release()
