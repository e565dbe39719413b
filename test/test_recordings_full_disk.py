# SPDX-License-Identifier: Apache-2.0
"""A disk that is full while ``run`` and ``predict`` write: one line, 1, and nothing is lost."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from recording_scenes import (
    POSES,
    command,
    finish,
    image_bag,
    noise_bag,
    part_of,
    poses,
    read,
    variables,
)

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


def test_no_room_for_the_recording(tmp_path: Path) -> None:
    """The viewer's SDK would wait for a thread of its own that is dead."""
    count_images = pytest.importorskip("viewer_recordings").count_images
    source, rrd = noise_bag(tmp_path / "n.mcap", 3 * COUNT), tmp_path / "o.rrd"
    rrd.write_text("of before")
    # The SDK writes some four megabytes at a time: the second time is too much.
    code, out, err = finish(["run", source, "--rrd", rrd], file_bytes=6_000_000, delay_s=0.02)
    assert code == 1, err
    refused(err, rrd)
    assert rrd.read_text() == "of before"
    part = part_of(rrd)
    assert f"recording  {part}" in out
    count = int(out.partition("frames")[2].split()[0])
    assert (
        0 < count_images(part, tmp_path) < count < 3 * COUNT
    )  # it ends soon, not with the source


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
    for option in ("--json", "--rrd"):
        code, _, err = finish(["run", source, option, "/dev/full"])
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


def test_a_disk_that_is_full_of_a_recording(small_disk: Path, tmp_path: Path) -> None:
    """All of it in less than the second after which the SDK writes: it is known when it closes."""
    source, rrd = noise_bag(tmp_path / "n.mcap", 20), small_disk / "o.rrd"
    lines = tmp_path / "o.jsonl"
    code, out, err = finish(["run", source, "--rrd", rrd, "--json", lines])
    assert code == 1, err
    refused(err, rrd)
    assert frames_of(lines) == list(range(20))
    assert not rrd.exists()
    assert part_of(rrd).stat().st_size > 0
    assert f"recording  {part_of(rrd)}" in out


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


# ---- stdout


FULL = ["alphapose-ros: stdout: No space left on device"]
SPEAKING = [["--help"], ["--version"], ["run", "--help"], ["models", "list"]]


def into(path: Path, argv: list[str], **options: str) -> tuple[int, list[str]]:
    """Exit code and lines of stderr of a command whose stdout is ``path``."""
    with path.open("wb") as sink:
        done = subprocess.run(
            command(*argv), env=variables(**options), stdout=sink, stderr=subprocess.PIPE,
            text=True, timeout=120, check=False,
        )  # fmt: skip
    return done.returncode, done.stderr.splitlines()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="NO /dev/full HERE")
@pytest.mark.parametrize("argv", SPEAKING, ids=" ".join)
@pytest.mark.parametrize("buffered", [True, False])
def test_no_room_for_what_is_said(argv: list[str], buffered: bool) -> None:
    code, lines = into(Path("/dev/full"), argv, PYTHONUNBUFFERED="" if buffered else "1")
    if not buffered and "-" in argv[-1]:  # argparse does not look whether it was heard
        assert (code, lines) == (0, [])
    else:
        assert (code, lines) == (1, FULL)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="NO /dev/full HERE")
def test_no_room_for_the_table_costs_no_file(source: Path, tmp_path: Path) -> None:
    lines = tmp_path / "o.jsonl"
    argv = ["run", str(source), "--json", str(lines), "--max-frames", "5"]
    assert into(Path("/dev/full"), argv) == (1, FULL)
    assert frames_of(lines) == list(range(5))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="NO /dev/full HERE")
def test_a_mistake_is_said_whatever_became_of_stdout() -> None:
    code, lines = into(Path("/dev/full"), ["run", "nothing.mp4"])
    assert (code, len(lines)) == (2, 1)
    assert "nothing.mp4" in lines[0]


@pytest.mark.parametrize("argv", SPEAKING, ids=" ".join)
def test_nobody_listens_to_what_is_said(argv: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        command(*argv), env=variables(PYTHONUNBUFFERED=""), stdout=write, text=True,
        stderr=subprocess.PIPE, timeout=120, check=False,
    )  # fmt: skip
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "2>/dev/full"])
def test_a_command_that_can_speak_to_nobody_does_its_work(
    source: Path, tmp_path: Path, closed: str
) -> None:
    lines = tmp_path / "o.jsonl"
    words = command("run", source, "--json", lines, "--max-frames", "5")
    script = f"{shlex.join(words)} {closed}"
    done = subprocess.run(
        ["sh", "-c", script], env=variables(), capture_output=True, text=True, timeout=120,
        check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert frames_of(lines) == list(range(5))
