# SPDX-License-Identifier: Apache-2.0
"""Recordings in: order, stamps, and one clear line for everything that is broken."""

from __future__ import annotations

import errno
import os
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from alphapose_ros.base.errors import SourceError
from alphapose_ros.io.camera import CameraSource
from alphapose_ros.io.sources import (
    ImageSource,
    VideoSource,
    find_images,
    natural_key,
    open_source,
    read_image,
)


def write_image(path: Path, rgb: tuple[int, int, int] = (200, 100, 50)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((24, 32, 3), rgb, np.uint8)
    assert cv2.imwrite(str(path), image[:, :, ::-1])


def write_video(path: Path, frames: int, fps: float = 10.0, codec: str = "MJPG") -> None:
    rng = np.random.default_rng(0)  # noise: no codec shrinks it to nothing
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), fps, (64, 48))
    assert writer.isOpened()
    for _ in range(frames):
        writer.write(rng.integers(0, 255, (48, 64, 3), np.uint8))
    writer.release()


def test_natural_order() -> None:
    names = ["b.png", "frame10.png", "frame2.png", "2.png", "10.png", "Frame3.png"]
    assert sorted(names, key=natural_key) == [
        "2.png", "10.png", "b.png", "frame2.png", "Frame3.png", "frame10.png"
    ]  # fmt: skip


def test_a_folder_is_read_in_natural_order_with_its_sub_folders(tmp_path: Path) -> None:
    for name in ("10.png", "9.png", "sub/1.png", ".hidden/0.png", ".cover.png"):
        write_image(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no image")
    found = [path.relative_to(tmp_path).as_posix() for path in find_images(tmp_path)]
    assert found == ["9.png", "10.png", "sub/1.png"]
    with open_source(str(tmp_path)) as source:
        frames = list(source)
    assert source.frame_count == len(frames) == 3
    assert [frame.stamp_ns for frame in frames] == [0, 33333333, 66666667]
    assert {frame.camera for frame in frames} == {tmp_path.name}
    assert not source.problems


def test_images_are_rgb(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", (200, 100, 50))
    image = read_image(tmp_path / "a.png")
    assert image.shape == (24, 32, 3)
    assert image.flags.c_contiguous
    assert tuple(image[0, 0]) == (200, 100, 50)


def test_broken_images_in_a_folder_are_counted(tmp_path: Path) -> None:
    write_image(tmp_path / "1.png")
    (tmp_path / "2.png").write_bytes(b"")
    (tmp_path / "3.png").write_bytes((tmp_path / "1.png").read_bytes()[:40])
    write_image(tmp_path / "4.png")
    source = open_source(tmp_path.as_posix())
    stamps = [frame.stamp_ns for frame in source]
    assert stamps == [0, 100000000]  # the others keep their place in time
    (problem,) = source.problems
    assert "2 of 4 images" in problem
    assert "2.png" in problem


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n" + b"\xff" * 60])
def test_a_single_broken_image_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.png"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"bad\.png: not a readable image"):
        list(open_source(str(path)))


def test_a_folder_of_broken_images_is_an_error(tmp_path: Path) -> None:
    for name in ("1.jpg", "2.jpg"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(SourceError, match="and 1 more"):
        list(open_source(str(tmp_path)))


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="found none"):
        open_source(str(tmp_path))


@pytest.mark.parametrize("uri", ["nowhere.mp4", "nowhere", "nowhere.mcap", "a/b/c.png"])
def test_a_missing_file_is_an_error(uri: str) -> None:
    with pytest.raises(SourceError, match=f"{uri}: no such"):
        open_source(uri)


def test_a_video_is_read_frame_by_frame(tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    write_video(path, 7)
    with open_source(str(path)) as source:
        assert isinstance(source, VideoSource)
        assert (source.fps, source.frame_count, source.name) == (10.0, 7, "clip")
        first = list(source)
        again = list(source)
    assert [frame.stamp_ns for frame in first] == [k * 10**8 for k in range(7)]
    assert all((a.image == b.image).all() for a, b in zip(first, again, strict=True))
    assert [frame.stamp_ns for frame in again] == [frame.stamp_ns for frame in first]


def test_a_truncated_video_gives_its_frames_and_then_an_error(tmp_path: Path) -> None:
    path = tmp_path / "cut.avi"
    write_video(path, 60)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    frames = []
    source = open_source(str(path))
    with pytest.raises(SourceError, match=r"ends after \d+ of 60 frames"):
        frames.extend(source)
    with pytest.raises(SourceError):  # noqa: PT012 - the frames before the break were given
        for frame in source:
            frames.append(frame)
    assert len(frames) > 20


@pytest.mark.parametrize("content", [b"", b"not a video" * 1000, b"\x00" * 5000])
def test_what_is_no_video_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.mp4"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"bad\.mp4: not a readable video"):
        open_source(str(path))


def test_stamps_increase_where_the_file_does_not_say(monkeypatch: pytest.MonkeyPatch,
                                                     tmp_path: Path) -> None:  # fmt: skip
    path = tmp_path / "clip.avi"
    write_video(path, 4)
    source = VideoSource(path)

    class Silent:
        def __init__(self, capture: cv2.VideoCapture) -> None:
            self.read, self.release = capture.read, capture.release

        def get(self, what: int) -> float:
            return 0.0

    monkeypatch.setattr(source, "_capture", Silent(source._capture))
    assert [frame.stamp_ns for frame in source] == [0, 10**8, 2 * 10**8, 3 * 10**8]


def test_a_camera_that_is_not_there_is_an_error() -> None:
    with pytest.raises(SourceError, match="camera 77"):
        open_source("77")


def test_a_number_is_a_camera_only_where_nothing_has_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_image(tmp_path / "000" / "1.png")
    for uri in ("000", "./000"):
        with open_source(uri) as source:
            assert isinstance(source, ImageSource)
    for uri in ("20240501123000", "\N{SUPERSCRIPT TWO}", "\N{ARABIC-INDIC DIGIT TWO}", "-1"):
        with pytest.raises(SourceError, match=f"{uri}: no such file, folder or camera"):
            open_source(uri)


def refused(*_: object, **__: object) -> None:
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "here")


def test_a_video_that_may_not_be_read_is_not_called_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_video(tmp_path / "clip.avi", 3)
    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(SourceError, match=r"clip\.avi: cannot be read \(Permission denied\)"):
        open_source(str(tmp_path / "clip.avi"))


@pytest.mark.parametrize("closed", ["", "sub"])
def test_a_folder_that_may_not_be_read_is_not_called_empty(
    closed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image(tmp_path / "1.png")
    write_image(tmp_path / "sub" / "2.png")
    real, secret = os.scandir, tmp_path / closed

    def scandir(path: str | Path) -> object:
        if Path(path) == secret:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(SourceError, match=f"{secret}: cannot be read .Permission denied"):
        find_images(tmp_path)


def test_a_hidden_folder_need_not_be_readable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_image(tmp_path / "1.png")
    write_image(tmp_path / ".trash" / "2.png")
    real = os.scandir
    monkeypatch.setattr(
        os, "scandir", lambda path: refused() if ".trash" in str(path) else real(path)
    )
    assert find_images(tmp_path) == [tmp_path / "1.png"]


class FakeCapture:
    """A camera that gives ``frames`` images, each when it is allowed to, and then ends."""

    def __init__(self, frames: int) -> None:
        self.left, self.turn, self.released = frames, threading.Semaphore(0), False

    def isOpened(self) -> bool:
        return True

    def get(self, what: int) -> float:
        return 25.0

    def read(self) -> tuple[bool, np.ndarray | None]:
        self.turn.acquire()
        self.left -= 1
        if self.left < 0:
            return False, None
        return True, np.full((4, 6, 3), self.left, np.uint8)

    def release(self) -> None:
        self.released = True


def test_a_live_camera_gives_its_newest_image(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeCapture(5)
    monkeypatch.setattr(cv2, "VideoCapture", lambda device: fake)
    with CameraSource(3) as source:
        assert source.live
        assert source.frame_count is None
        frames = iter(source)
        fake.turn.release()
        assert next(frames).image[0, 0, 0] == 4
        fake.turn.release(4)  # four more while nobody looks: only the last one is worth a look
        while fake.left > 0:
            threading.Event().wait(0.001)
        last = next(frames).image[0, 0, 0]
        while last > 0:  # the reader may have woken between two of them
            last = next(frames).image[0, 0, 0]
        fake.turn.release()
        with pytest.raises(SourceError, match="stopped giving images"):
            next(frames)
    assert fake.released


def test_stamps_advance_when_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    fake, now, hour_ns = FakeCapture(9), time.time_ns(), 3600 * 10**9
    monkeypatch.setattr(cv2, "VideoCapture", lambda device: fake)
    stamps = []
    with CameraSource(0) as source:
        for set_back_ns in (0, hour_ns, -hour_ns):
            monkeypatch.setattr(time, "time_ns", lambda back=set_back_ns: now - back)
            fake.turn.release()
            stamps.append(next(iter(source)).stamp_ns)
        fake.turn.release(9)
    assert (np.diff(stamps) > 0).all()
    assert stamps[-1] - now < 60 * 10**9


def test_a_silent_camera_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeCapture(1)
    monkeypatch.setattr(cv2, "VideoCapture", lambda device: fake)
    source = CameraSource(0, timeout_s=0.05)
    with pytest.raises(SourceError, match="no image for"):
        next(iter(source))
    fake.turn.release(2)
    source.close()


def test_the_shared_clips_open(shared: Path) -> None:
    clips = shared / "data" / "clips"
    if not clips.is_dir():
        pytest.skip(f"REFERENCE DATA IS ABSENT: {clips}")
    with open_source(str(clips / "asl" / "walk.mkv")) as source:
        stamps = [frame.stamp_ns for frame in source]
    assert len(stamps) == source.frame_count == 89
    assert (np.diff(stamps) > 0).all()


def test_an_image_source_needs_no_file_to_be_named(tmp_path: Path) -> None:
    write_image(tmp_path / "x.png")
    source = ImageSource([tmp_path / "x.png"] * 3, name="still", fps=5)
    assert [frame.stamp_ns for frame in source] == [0, 200000000, 400000000]
