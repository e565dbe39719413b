# SPDX-License-Identifier: Apache-2.0
"""Videos of odd names, cut off ones, and complete ones that announce more than they have."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from alphapose_ros.base.errors import SourceError
from alphapose_ros.io.sources import open_source
from alphapose_ros.io.video_file import is_incomplete


def write_video(path: Path, frames: int) -> None:
    """Noise, 10 frames per second."""
    rng = np.random.default_rng(0)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 10, (64, 48))
    assert writer.isOpened()
    for _ in range(frames):
        writer.write(rng.integers(0, 255, (48, 64, 3), np.uint8))
    writer.release()


def box(data: bytes, kind: bytes) -> slice:
    """Where a box of an MP4 lies."""
    begin = data.index(kind) - 4
    return slice(begin, begin + int.from_bytes(data[begin : begin + 4], "big"))


def hide_the_beginning(path: Path, hidden_s: int) -> None:
    """An edit list as of a cut without encoding anew: all frames are there, not all are shown."""
    data = bytearray(path.read_bytes())
    edits = box(data, b"elst").start
    (duration,) = struct.unpack_from(">I", data, edits + 16)
    (timescale,) = struct.unpack_from(">I", data, box(data, b"mdhd").start + 20)
    shown = duration - hidden_s * 1000
    struct.pack_into(">Ii", data, edits + 16, shown, hidden_s * timescale)
    path.write_bytes(data)


def lengthen(path: Path, seconds: float) -> None:
    """A Matroska whose sound is longer than its images."""
    data = bytearray(path.read_bytes())
    struct.pack_into(">d", data, data.index(b"\x44\x89") + 3, seconds * 1e3)
    path.write_bytes(data)


@pytest.mark.parametrize("name", ["edited.mp4", "sound.mkv"])
def test_a_complete_video_that_announces_too_many_frames_is_read(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    write_video(path, 60)
    if path.suffix == ".mp4":
        hide_the_beginning(path, 2)
    else:
        lengthen(path, 9)
    with open_source(str(path)) as source:
        count = len(list(source))
        assert count in ((38, 39, 40) if path.suffix == ".mp4" else (60,))
        assert len(source.problems) == 1
        assert f"ends after {count} of {source.frame_count} frames" in source.problems[0]


def index_first(path: Path) -> None:
    """An MP4 as for the web, which can be played from its beginning."""
    data = path.read_bytes()
    index, images = box(data, b"moov"), box(data, b"mdat")
    moov = bytearray(data[index])
    place = box(moov, b"stco").start + 12
    (count,) = struct.unpack_from(">I", moov, place)
    for offset in range(place + 4, place + 4 + 4 * count, 4):
        (before,) = struct.unpack_from(">I", moov, offset)
        struct.pack_into(">I", moov, offset, before + len(moov))
    path.write_bytes(data[: images.start] + moov + data[images])


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_a_truncated_video_is_an_error_in_each_format(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"cut{suffix}"
    write_video(path, 60)
    if suffix == ".mp4":
        index_first(path)
    with open_source(str(path)) as source:
        assert len(list(source)) == 60
        assert not source.problems
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with (
        open_source(str(path)) as source,
        pytest.raises(SourceError, match="the video is truncated"),
    ):
        list(source)


@pytest.mark.parametrize(
    ("content", "incomplete"),
    [
        (b"", True),
        (b"RIFF\x04\0\0\0AVI ", False),
        (b"RIFF\x05\0\0\0AVI xxRIFF\x04\0\0\0AVIX", False),
        (b"RIFF\x04\0\0\0AVI RIFF\x05\0\0\0AVIX", True),
        (b"RIFF\0\0\0\0AVI ", True),
        (b"\0\0\0\x08ftyp" + b"\0\0\0\x01mdat" + bytes(7) + b"\x18" + bytes(8), False),
        (b"\0\0\0\x08ftyp" + b"\0\0\0\x01mdat" + bytes(7) + b"\x19" + bytes(8), True),
        (b"\0\0\0\x08ftyp" + b"\0\0\0\0mdat" + bytes(8), False),
        (b"\0\0\0\x08ftyp" + b"\0\0\0\x01mdat", True),
        (b"\x1a\x45\xdf\xa3\x81x" + b"\x18\x53\x80\x67\x82xx", False),
        (b"\x1a\x45\xdf\xa3\x81x" + b"\x18\x53\x80\x67\x40\x03xx", True),
        (b"\x1a\x45\xdf\xa3\x81x" + b"\x18\x53\x80\x67\xffxx", False),
        (b"\x1a\x45\xdf\xa3\x81x" + b"\x18\x53\x80\x67", True),
        (b"G" + bytes(187), False),
    ],
    ids=[
        "empty",
        "riff",
        "riffs",
        "cut riffs",
        "unclosed riff",
        "mp4",
        "cut mp4",
        "open mp4",
        "mp4 head",
        "matroska",
        "cut matroska",
        "open matroska",
        "matroska head",
        "stream",
    ],
)
def test_parts_that_do_not_fit_in_the_file(
    tmp_path: Path, content: bytes, incomplete: bool
) -> None:
    path = tmp_path / "video"
    path.write_bytes(content)
    assert is_incomplete(path) == incomplete


def test_a_colon_in_a_name_is_no_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "12:30.mp4", 3)
    with open_source("12:30.mp4") as source:
        assert [len(list(source)) for _ in range(2)] == [3, 3]


def test_a_name_need_not_be_text(tmp_path: Path) -> None:
    """In a process of its own: OpenCV's way of refusing such a name is a crash."""
    write_video(tmp_path / "clip.mp4", 3)
    named = tmp_path / os.fsdecode(b"m\xfc.m\xe94")
    (tmp_path / "clip.mp4").rename(named)
    script = (
        "import sys\nfrom alphapose_ros.io.sources import open_source\n"
        "with open_source(sys.argv[1]) as source:\n"
        "    print(source.name, *(len(list(source)) for _ in range(2)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, named], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "m? 3 3\n"), done.stderr
