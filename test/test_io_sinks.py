# SPDX-License-Identifier: Apache-2.0
"""Annotated video and JSON lines: complete at every moment, for nobody too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.records import FrameResult, Header, Poses, Tracks, TrackState
from alphapose_ros.base.skeletons import COCO17
from alphapose_ros.io.sinks import (
    JsonLinesWriter,
    VideoWriter,
    check_folder,
    flat_keypoints,
    people_rows,
)
from alphapose_ros.io.sources import open_source


def result(states: list[TrackState], stamp_ns: int = 0, camera: str = "front") -> FrameResult:
    count = len(states)
    rows = np.arange(count)
    boxes = np.stack([rows * 10.0, rows + 1.0, rows * 10 + 5.25, rows + 9.0], 1)
    poses = Poses(
        np.full((count, 17, 2), 3.14159), np.full((count, 17), 0.5), boxes,
        np.full(count, 0.8), rows, COCO17,
    )  # fmt: skip
    ids = [0 if state == TrackState.TENTATIVE else row + 5 for row, state in enumerate(states)]
    none = np.zeros(count)
    tracks = Tracks(ids, rows + 1, poses, states, np.zeros((count, 2)), none, none, none)
    return FrameResult(Header(camera, "optical", stamp_ns, (48, 64)), tracks)


def test_a_line_per_frame_also_when_nobody_is_there(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    seen = [TrackState.TRACKED, TrackState.LOST, TrackState.TENTATIVE]
    with JsonLinesWriter(path) as sink:
        sink.write(result([], 1_500_000_000))
        part = tmp_path / "out.jsonl.part"
        assert part.read_text().count("\n") == 1  # complete although it is still open
        assert not path.exists()
        sink.write(result(seen, 1_600_000_000))
        sink.write(result([], 0, camera="rear"))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[0] == {"frame": 0, "stamp": 1.5, "camera": "front", "people": []}
    assert [(line["camera"], line["frame"]) for line in lines] == [
        ("front", 0), ("front", 1), ("rear", 0)
    ]  # fmt: skip
    first, second = lines[1]["people"]
    assert first == {
        "id": 5, "state": "tracked", "score": 0.4, "box": [0.0, 1.0, 5.25, 8.0],
        "keypoints": [3.14, 3.14, 0.5] * 17,
    }  # fmt: skip
    assert (second["id"], second["state"], second["box"][0]) == (0, "tentative", 20.0)
    assert list(tmp_path.iterdir()) == [path]


def test_spreads_are_in_a_line_where_somebody_has_them() -> None:
    before = result([TrackState.TRACKED, TrackState.TENTATIVE], 0)
    spreads = np.full((2, 17), 2.345)
    spreads[0, 3], spreads[1] = np.nan, np.nan
    poses = replace(before.tracks.poses, keypoint_std=spreads)
    rows = people_rows(replace(before, tracks=replace(before.tracks, poses=poses)))
    assert rows[0]["keypoint_std"] == [*[2.35] * 3, None, *[2.35] * 13]
    assert rows[1]["keypoint_std"] == [None] * 17
    assert "NaN" not in json.dumps(rows)
    assert "keypoint_std" not in people_rows(before)[0]


def test_lines_of_before_are_replaced_by_complete_ones_only(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_text("before\n")
    JsonLinesWriter(path).close()  # no frame, no file
    assert [p.name for p in tmp_path.iterdir()] == ["out.jsonl"]
    left = JsonLinesWriter(path)  # of a killed process
    left.write(result([]))
    assert path.read_text() == "before\n"
    with JsonLinesWriter(path) as sink:
        sink.write(result([], 5))
    assert json.loads(path.read_text())["stamp"] == 5e-9
    assert json.loads((tmp_path / "out.jsonl.part").read_text())["stamp"] == 0
    left.close()


def test_a_pipe_and_a_link_are_written_in_place(tmp_path: Path) -> None:
    target, link = tmp_path / "real", tmp_path / "link.jsonl"
    link.symlink_to(target)
    target.write_text("of before\n" * 999)
    with JsonLinesWriter(link) as sink:
        sink.write(result([]))
        assert target.read_text().count("\n") == 1
    assert link.is_symlink()
    with JsonLinesWriter("/dev/null") as sink:
        sink.write(result([]))
    assert Path("/dev/null").is_char_device()


def test_keypoints_are_flat_for_nobody_too() -> None:
    assert flat_keypoints(np.zeros((0, 17, 2)), np.zeros((0, 17))) == []
    rows = flat_keypoints(np.array([[[1.239, 2], [3, 4]]]), np.array([[0.5, 0.25]]))
    assert rows == [[1.24, 2.0, 0.5, 3.0, 4.0, 0.25]]


def test_a_closed_file_takes_no_line(tmp_path: Path) -> None:
    sink = JsonLinesWriter(tmp_path / "out.jsonl")
    sink.close()
    with pytest.raises(InputError, match="already closed"):
        sink.write(result([]))


@pytest.mark.parametrize("writer", [JsonLinesWriter, lambda path: VideoWriter(path, 10)])
def test_a_missing_folder_is_refused_before_any_work(tmp_path: Path, writer: type) -> None:
    with pytest.raises(InputError, match="does not exist"):
        writer(tmp_path / "no" / "out.mp4")


def picture(color: tuple[int, int, int], height: int = 48, width: int = 64) -> np.ndarray:
    return np.full((height, width, 3), color, np.uint8)


def test_a_video_is_read_back_in_its_colours(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with VideoWriter(path, 12.5) as sink:
        for color in ((220, 30, 30), (30, 220, 30), (30, 30, 220)):
            sink.write(picture(color))
            assert not path.exists()  # never half a video under its name
    assert sorted(tmp_path.iterdir()) == [path]
    with open_source(str(path)) as source:
        images = [frame.image for frame in source]
    assert source.fps == 12.5
    strongest = [int(image.reshape(-1, 3).mean(0).argmax()) for image in images]
    assert strongest == [0, 1, 2]


def test_a_live_video_lasts_as_long_as_the_recording(tmp_path: Path) -> None:
    """Images stay until the next one comes; one too many is left out."""
    path = tmp_path / "out.mp4"
    stamps_ms = [1000, 1010, 1100, 1500, 1520, 2000]
    with VideoWriter(path, 10) as sink:
        for number, stamp_ms in enumerate(stamps_ms):
            sink.write_at(picture((number * 50,) * 3), stamp_ms * 10**6)
    with open_source(str(path)) as source:
        levels = [round(frame.image.mean() / 50) for frame in source]
    assert levels == [0, 2, 2, 2, 2, 3, 4, 4, 4, 4, 5]


def test_images_of_other_and_odd_sizes_fit_into_the_first(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with VideoWriter(path, 10) as sink:
        for height, width in ((49, 65), (480, 640), (10, 200), (49, 65)):
            sink.write(picture((200, 200, 200), height, width))
    with open_source(str(path)) as source:
        assert {frame.size_hw for frame in source} == {(48, 64)}


def test_no_frame_makes_no_video(tmp_path: Path) -> None:
    VideoWriter(tmp_path / "out.mp4", 10).close()
    assert not list(tmp_path.iterdir())


def test_a_video_of_before_is_replaced_by_a_complete_one_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"before")
    sink = VideoWriter(path, 10)
    sink.write(picture((1, 2, 3)))
    monkeypatch.setattr(VideoWriter, "_is_whole", lambda self: False)
    with pytest.raises(OSError, match="cannot be read back whole") as caught:
        sink.close()
    assert caught.value.filename == str(path)
    assert path.read_bytes() == b"before"
    assert sink.path == tmp_path / ".out.part.mp4"
    monkeypatch.undo()
    with VideoWriter(path, 10) as sink:
        sink.write(picture((1, 2, 3)))
    assert path.stat().st_size > 100
    assert (tmp_path / ".out.part.mp4").is_file()  # of the one before: still there


@pytest.fixture
def only_motion_jpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    """An OpenCV without FFmpeg."""
    real = cv2.VideoWriter

    def poor(path: str, code: int, *rest: object) -> cv2.VideoWriter:
        known = code == cv2.VideoWriter_fourcc(*"MJPG") and path.endswith(".avi")
        return real(path, code, *rest) if known else real()

    poor.fourcc = real.fourcc  # type: ignore[attr-defined]
    monkeypatch.setattr(cv2, "VideoWriter", poor)


@pytest.mark.usefixtures("only_motion_jpeg")
@pytest.mark.parametrize(
    ("asked", "written"), [("out.mp4", "out.mp4.avi"), ("out.avi", "out.avi")]
)
def test_without_a_codec_the_video_becomes_motion_jpeg_and_says_so(
    tmp_path: Path, asked: str, written: str
) -> None:
    with VideoWriter(tmp_path / asked, 10) as sink:
        sink.write(picture((1, 2, 3)))
    assert sink.path == tmp_path / written
    assert [path.name for path in tmp_path.iterdir()] == [written]
    assert ["no codec" in problem for problem in sink.problems] == [True] * (asked != written)


@pytest.mark.usefixtures("only_motion_jpeg")
def test_motion_jpeg_replaces_nothing_that_was_not_asked_for(tmp_path: Path) -> None:
    for name in ("out.avi", "out.mp4.avi"):
        (tmp_path / name).write_text("kept")
    sink = VideoWriter(tmp_path / "out.mp4", 10)
    with pytest.raises(InputError, match=r"no codec for it, and .*out\.mp4\.avi exists already"):
        sink.write(picture((1, 2, 3)))
    sink.close()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "out.avi": "kept", "out.mp4.avi": "kept"
    }  # fmt: skip


@pytest.mark.parametrize("fps", [200 / 3, 8.3333, 29.97, 119.8765, 239.76024, 655.347, 999.4567])
def test_a_rate_that_mpeg_4_cannot_hold_is_rounded(tmp_path: Path, fps: float) -> None:
    path = tmp_path / "out.mp4"
    with VideoWriter(path, fps) as sink:
        sink.write(picture((1, 2, 3)))
    assert sink.path == path
    assert not sink.problems
    with open_source(str(path)) as source:
        assert source.fps == pytest.approx(fps, rel=1e-4)


@pytest.mark.parametrize(("name", "fps"), [("out", 10), ("out.mp4", 0), ("out.mp4", float("nan"))])
def test_impossible_videos_are_refused(tmp_path: Path, name: str, fps: float) -> None:
    with pytest.raises(InputError):
        VideoWriter(tmp_path / name, fps)


def test_a_colon_in_a_name_is_no_protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with VideoWriter("12:30.mp4", 10) as sink:
        sink.write(picture((1, 2, 3)))
    assert sink.path == Path("12:30.mp4")
    assert not sink.problems
    assert [path.name for path in tmp_path.iterdir()] == ["12:30.mp4"]


def test_a_name_need_not_be_text(tmp_path: Path) -> None:
    """In a process of its own: OpenCV's way of refusing such a name is a crash."""
    path = tmp_path / os.fsdecode(b"m\xfc.mp4")
    script = (
        "import sys\nimport numpy as np\nfrom alphapose_ros.io.sinks import VideoWriter\n"
        "with VideoWriter(sys.argv[1], 10) as sink:\n"
        "    sink.write(np.zeros((48, 64, 3), np.uint8))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("writer", [JsonLinesWriter, lambda path: VideoWriter(path, 10)])
def test_a_folder_that_takes_nothing_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: type
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(InputError, match=f"cannot write to {tmp_path}"):
        writer(tmp_path / "out.mp4")
    assert not list(tmp_path.iterdir())


def test_what_is_written_in_place_needs_no_place_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to("lines")
    (tmp_path / "lines").write_text("")
    folders = (tmp_path, Path("/dev"))
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) not in folders)
    check_folder(Path("/dev/null"))
    check_folder(tmp_path / "link")
    with pytest.raises(InputError, match="cannot write to"):
        check_folder(tmp_path / "lines")
