# SPDX-License-Identifier: Apache-2.0
"""A disk that is full while ``run`` and ``predict`` write: one line, 1, and nothing is lost."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from recording_scenes import POSES, finish, image_bag, noise_bag, poses, read

from alphapose_ros.io.sources import VideoSource

COUNT = 150
_ENDS = ("No space left on device", "File too large", "disk", "full")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return image_bag(tmp_path_factory.mktemp("source") / "long.mcap", COUNT)


def refused(err: str, path: Path) -> None:
    """One line that names the file."""
    (line,) = err.splitlines()
    assert line.startswith(f"alphapose-ros: {path}: ")
    assert any(end in line for end in _ENDS), line


def frames_of(path: Path) -> list[int]:
    text = path.read_text()
    assert text.endswith("\n")
    return [json.loads(line)["frame"] for line in text.splitlines()]


@pytest.mark.parametrize("name", ["o.mcap", "o.db3", "o"])
def test_no_room_for_the_bag(source: Path, tmp_path: Path, name: str) -> None:
    """A limit of the process's own stands in for the disk: the bag reaches it first."""
    bag, lines = tmp_path / name, tmp_path / "o.jsonl"
    if name != "o":
        bag.write_text("of before")
    argv = ["run", source, "--json", lines, "--bag", bag]
    code, out, err = finish(argv, file_bytes=150_000)
    assert code == 1, err
    refused(err, bag)
    part = tmp_path / f"{name}.part"
    count = len(poses(part))
    assert 0 < count < COUNT
    frames = frames_of(lines)  # complete, with the frame that was too much
    assert frames == list(range(len(frames)))
    assert len(frames) - count in (0, 1)
    assert f"frames      {len(frames)}" in out
    assert f"bag        {part}" in out
    if name != "o":
        assert bag.read_text() == "of before"


def test_no_room_for_the_lines(source: Path, tmp_path: Path) -> None:
    lines, video = tmp_path / "o.jsonl", tmp_path / "o.mkv"
    lines.write_text("of before")
    code, _, err = finish(["run", source, "--json", lines, "--video", video], file_bytes=60_000)
    assert code == 1, err
    refused(err, lines)
    count = len(frames_of(tmp_path / "o.jsonl.part"))
    assert 0 < count < COUNT
    assert lines.read_text() == "of before"
    assert len(list(VideoSource(video))) == count + 1


@pytest.mark.parametrize("name", ["o.mp4", "o.avi", "o.mkv"])
def test_no_room_for_the_video(tmp_path: Path, name: str) -> None:
    """OpenCV does not tell: the video is looked at when it is closed."""
    source, video, lines = (
        noise_bag(tmp_path / "n.mcap", 20),
        tmp_path / name,
        tmp_path / "o.jsonl",
    )
    video.write_text("of before")
    code, _, err = finish(["run", source, "--video", video, "--json", lines], file_bytes=150_000)
    assert code == 1, err
    refused(err, video)
    assert video.read_text() == "of before"
    assert video.with_name(f".o.part{video.suffix}").is_file()
    assert len(frames_of(lines)) == 20


def test_no_room_for_results_of_predict(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    image, output = tmp_path / "a.png", tmp_path / "o.json"
    cv2.imwrite(str(image), np.zeros((24, 32, 3), np.uint8))
    output.write_text("of before")
    code, _, err = finish(["predict", image, "--output", output], file_bytes=1000)
    assert code == 1, err
    refused(err, output)
    assert output.read_text() == "of before"
    assert {path.name for path in tmp_path.iterdir()} == {"a.png", "o.json"}


def test_a_device_that_is_full(source: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("NO /dev/full HERE")
    code, _, err = finish(["run", source, "--json", "/dev/full"])
    assert code == 1
    refused(err, Path("/dev/full"))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 200 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("NO DISK OF ONE'S OWN: mounting one is for root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("name", ["o.mcap", "o.db3"])
def test_a_disk_that_is_really_full(source: Path, small_disk: Path, name: str) -> None:
    """The lines beside the bag have no room either: what they have is whole."""
    bag, lines = small_disk / name, small_disk / "o.jsonl"
    code, out, err = finish(["run", source, "--json", lines, "--bag", bag])
    assert code == 1, err
    (line,) = err.splitlines()
    assert str(small_disk) in line
    found = read(small_disk / f"{name}.part", POSES)
    written = lines if lines.exists() else small_disk / "o.jsonl.part"
    assert 0 < len(found) < COUNT
    assert len(frames_of(written)) - len(found) in (0, 1)
    assert f"{name}.part" in out


def test_a_video_that_is_whole_passes(source: Path, tmp_path: Path) -> None:
    for name in ("o.mp4", "o.avi", "o.mkv"):
        code, _, err = finish(["run", source, "--video", tmp_path / name, "--max-frames", "20"])
        assert code == 0, err
        assert len(list(VideoSource(tmp_path / name))) == 20
