# SPDX-License-Identifier: Apache-2.0
"""Where results go frame by frame: an annotated video, a file of JSON lines.

Both stand under their final name only when they are complete and readable. The lines grow as
``out.jsonl.part``, whole at every moment; the video as ``.out.part.mp4``, which cannot be played
before it is closed unless its format can (``.mkv``, ``.avi``).
"""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from alphapose_ros.base.boxes import xyxy_to_xywh
from alphapose_ros.base.channels import red_blue_swapped
from alphapose_ros.base.errors import InputError, SourceError, require
from alphapose_ros.base.records import FrameResult, ImageArray, TrackState
from alphapose_ros.io.closing import Closing
from alphapose_ros.io.part import (
    GrowingFile,
    growing_place,
    is_written_in_place,
    new_part_file,
    publish,
)
from alphapose_ros.io.source_base import INSTALL_OPENCV
from alphapose_ros.io.video_file import opencv_name

# H.264 plays everywhere but many OpenCV builds lack it; MPEG-4 part 2 is in all that have FFmpeg;
# Motion JPEG needs nothing but OpenCV itself, in an .avi.
_CODECS = (("avc1", ""), ("mp4v", ""), ("MJPG", ".avi"))


class VideoWriter(Closing):
    """An annotated video: RGB images in, H.264 or else MPEG-4 in ``path``, replaced when complete.

    The first image sets the size; later ones of another size are fitted into it. Without any
    codec for ``path`` the video becomes Motion JPEG beside it: ``out.webm.avi``, which nobody
    asked for and which therefore replaces nothing.

    Attributes:
        path: where the video lies after closing; its part where the disk was full.
        problems: one line when it became another file than asked for.
    """

    def __init__(self, path: str | Path, fps: float) -> None:
        self._cv2 = require("cv2", needed_for="writing videos", install=INSTALL_OPENCV)
        self.path = Path(path)
        self.problems: list[str] = []
        if not self.path.suffix:
            raise InputError(f"{path}: expected a video's name such as out.mp4")
        check_folder(self.path)
        if not fps > 0:
            raise InputError(f"{path}: expected a frame rate above 0, got {fps}")
        self._fps = _writable_rate(fps)
        self._writer: Any = None
        self._part = self.path
        self._frames = 0
        self._size_wh = (0, 0)
        self._newest: tuple[ImageArray, int] | None = None  # with the first one's stamp

    def write(self, image: ImageArray) -> None:
        """Append an (H, W, 3) uint8 RGB image."""
        if self._writer is None:
            height, width = image.shape[:2]
            self._size_wh = (max(width // 2 * 2, 2), max(height // 2 * 2, 2))  # codecs halve both
            self._open()
        self._writer.write(red_blue_swapped(self._fitted(image)))
        self._frames += 1

    def write_at(self, image: ImageArray, stamp_ns: int) -> None:
        """Append an image of a live camera; the video lasts as long as the recording did.

        Each image stays until the next one; one that is too early for a frame is left out.
        """
        before, first_ns = self._newest or (image, stamp_ns)
        place = round((stamp_ns - first_ns) / 1e9 * self._fps)
        while self._frames < place:
            self.write(before)
        if self._frames == place:
            self.write(image)
        self._newest = image, first_ns

    def _open(self) -> None:
        level = self._cv2.getLogLevel() if hasattr(self._cv2, "getLogLevel") else None
        if level is not None:
            self._cv2.setLogLevel(0)  # a codec that is missing is no error while others are left
        try:
            self._try_codecs()
        finally:
            if level is not None:
                self._cv2.setLogLevel(level)

    def _try_codecs(self) -> None:
        for codec, suffix in _CODECS:
            final = self._named(suffix)
            part = new_part_file(final, keep_suffix=True)
            code = self._cv2.VideoWriter_fourcc(*codec)
            with opencv_name(part) as name:
                writer = self._cv2.VideoWriter(name, code, self._fps, self._size_wh)
            if writer.isOpened():
                if final != self.path:
                    self.problems.append(
                        f"{self.path}: this OpenCV has no codec for it, wrote {final} instead"
                    )
                self.path, self._part, self._writer = final, part, writer
                return
            part.unlink(missing_ok=True)
        raise SourceError(f"{self.path}: OpenCV has no codec to write a video with")

    def _named(self, suffix: str) -> Path:
        """The video's name with a codec that needs ``suffix``."""
        if not suffix or self.path.suffix.lower() == suffix:
            return self.path
        other = self.path.with_name(self.path.name + suffix)
        if other.exists() or other.is_symlink():
            raise InputError(
                f"{self.path}: this OpenCV has no codec for it, and {other} exists already; "
                "choose another name, such as out.mp4"
            )
        return other

    def _fitted(self, image: ImageArray) -> ImageArray:
        width, height = self._size_wh
        if image.shape[0] // 2 * 2 == height and image.shape[1] // 2 * 2 == width:
            return image[:height, :width]
        scale = min(width / image.shape[1], height / image.shape[0])
        size = (
            min(max(round(image.shape[1] * scale), 1), width),
            min(max(round(image.shape[0] * scale), 1), height),
        )
        canvas = np.zeros((height, width, 3), np.uint8)
        top, left = (height - size[1]) // 2, (width - size[0]) // 2
        canvas[top : top + size[1], left : left + size[0]] = self._cv2.resize(image, size)
        return canvas

    def close(self) -> None:
        """Finish the video and move it to its name; without any frame there is no file.

        Raises:
            OSError: the video is not whole, because the disk was full.
        """
        if self._writer is None:
            return
        self._writer.release()
        self._writer = None
        final, self.path = self.path, self._part
        if not self._is_whole():  # OpenCV does not say what became of its writing
            reason = "the video cannot be read back whole; is the disk full?"
            raise OSError(errno.EIO, reason, str(final))
        publish(self._part, final)
        self.path = final

    def _is_whole(self) -> bool:
        with opencv_name(self._part) as name:
            capture = self._cv2.VideoCapture(name)
        try:
            count = capture.get(self._cv2.CAP_PROP_FRAME_COUNT) if capture.isOpened() else 0
            return bool(count + 2 >= 0.98 * self._frames and count)  # some formats estimate it
        finally:
            capture.release()


def _writable_rate(fps: float) -> float:
    """The nearest rate that MPEG-4 can hold: OpenCV writes thousandths, 16 bits of them."""
    return fps if fps < 65.5 else round(fps, 2 if fps < 655 else 1)


class JsonLinesWriter(Closing):
    """One JSON line per frame, also when nobody is there; complete lines at every moment.

    ``{"frame": n, "stamp": s, "camera": name, "people": [{"id", "state", "score", "box": [x, y,
    w, h], "keypoints": [x, y, s, ...]}]}``; pixels, seconds; ``frame`` counts each camera's
    frames from 0; ``state`` is "tentative" (id 0) or "tracked". Lost people are not in a line.
    With ``pose.keypoint_std`` people have ``"keypoint_std": [px, ...]`` too, null where unknown.

    The file grows as ``out.jsonl.part``; pipes, devices and links are written in place.

    Attributes:
        path: where the lines lie after closing; the part where the disk was full.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = self._final = Path(path)
        check_folder(self.path)
        self._part = growing_place(self.path)
        self._frames: dict[str, int] = {}
        self._file = GrowingFile(self._part, self.path)
        self._failed = self._closed = False

    def write(self, result: FrameResult) -> None:
        """Append the line of one frame.

        Raises:
            OSError: the disk is full; the lines before are complete.
        """
        camera = result.header.camera
        frame = self._frames.get(camera, -1) + 1
        line = {
            "frame": frame,
            "stamp": result.header.stamp_ns / 1e9,
            "camera": camera,
            "people": people_rows(result),
        }
        try:
            self._file.append(json.dumps(line, separators=(",", ":")).encode() + b"\n")
        except OSError:
            self._failed, self.path = True, self._part
            raise
        self._frames[camera] = frame

    def close(self) -> None:
        """Close the file and give it its name; without any frame there is none."""
        if self._closed:
            return
        self._closed = True
        self._file.close()
        if self._failed or self._part == self._final:
            return
        if not self._frames:
            self._part.unlink()
            return
        self.path = self._part  # in case that this does not go well
        publish(self._part, self._final)
        self.path = self._final


def people_rows(result: FrameResult) -> list[dict[str, Any]]:
    """The people of a JSON line, those who are seen in this frame."""
    tracks = result.tracks[result.tracks.states != TrackState.LOST]
    poses = tracks.poses
    boxes, scores = xyxy_to_xywh(poses.boxes), poses.person_scores
    joints = flat_keypoints(poses.keypoints, poses.scores)
    rows: list[dict[str, Any]] = [
        {
            "id": int(tracks.ids[row]),
            "state": TrackState(int(tracks.states[row])).name.lower(),
            "score": round(float(scores[row]), 4),
            "box": [round(float(value), 2) for value in boxes[row]],
            "keypoints": joints[row],
        }
        for row in range(len(tracks))
    ]
    if np.isfinite(poses.keypoint_std).any():
        for row, spreads in zip(rows, poses.keypoint_std.astype(np.float64), strict=True):
            known = np.isfinite(spreads).tolist()
            values = np.round(spreads, 2).tolist()
            row["keypoint_std"] = [v if k else None for v, k in zip(values, known, strict=True)]
    return rows


def flat_keypoints(
    keypoints: np.ndarray[Any, Any], scores: np.ndarray[Any, Any]
) -> list[list[float]]:
    """(N, K, 2) px and (N, K) -> N lists ``[x, y, score, ...]`` rounded to 0.01 px and 0.0001."""
    points = np.round(keypoints.astype(np.float64), 2)
    levels = np.round(scores.astype(np.float64), 4)[..., None]
    rows: list[list[float]] = (
        np.concatenate([points, levels], -1).reshape(len(points), keypoints.shape[1] * 3).tolist()
    )
    return rows


def check_folder(path: Path) -> None:
    """Refuse an output that cannot be written, before hours of work are done for it.

    Raises:
        InputError: there is no such folder, it takes nothing, or ``path`` itself is one.
    """
    if not path.parent.is_dir():
        raise InputError(f"{path}: the folder {path.parent} does not exist")
    if path.is_dir():
        raise InputError(f"{path}: expected a file to write, this is a folder")
    if not is_written_in_place(path):
        check_writable(path, path.parent)


def check_writable(path: Path, folder: Path) -> None:
    """Refuse the output ``path`` where nothing can be made in ``folder``, which has to take it.

    Raises:
        InputError: nothing can.
    """
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"{path}: cannot write to {folder} (no permission, or read-only)")
