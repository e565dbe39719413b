# SPDX-License-Identifier: Apache-2.0
"""SIGINT, SIGTERM, readers that leave, folders and inputs that fail: complete files or none."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from cli_stand_in import OnePerson, fails, stand_in_pipeline
from dds_helpers import wait_for
from domains import new_domain
from fault_scenes import environment_of
from recording_scenes import command, image_bag, noise_bag, poses, start, variables

import alphapose_ros.cli as cli
from alphapose_ros.base.errors import InputError
from alphapose_ros.base.records import Frame
from alphapose_ros.cli.endings import BAD_INPUT, exit_code, interruptible, signals_wait
from alphapose_ros.cli.run import RunStatistics
from alphapose_ros.io import sources

COUNT = 600
ENDS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
pipeline = pytest.fixture(stand_in_pipeline)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return image_bag(tmp_path_factory.mktemp("source") / "long.mcap", COUNT)


def same_length(folder: Path) -> int:
    """Frames in all three outputs, each under its own name and whole."""
    lines = (folder / "o.jsonl").read_text()
    assert lines.endswith("\n")
    count = len([json.loads(line) for line in lines.splitlines()])
    assert len(poses(folder / "o.mcap")) == count
    assert len(list(sources.VideoSource(folder / "o.avi"))) == count
    assert {path.name for path in folder.iterdir()} == {"o.jsonl", "o.mcap", "o.avi"}
    return count


@pytest.mark.parametrize(("number", "code"), ENDS)
@pytest.mark.parametrize("seed", range(3))
def test_run_at_random_moments(
    source: Path, tmp_path: Path, number: signal.Signals, code: int, seed: int
) -> None:
    chance, out = random.Random(seed), tmp_path / "out"
    out.mkdir()
    names = {"--json": "o.jsonl", "--bag": "o.mcap", "--video": "o.avi"}
    options = [word for option, name in names.items() for word in (option, out / name)]
    process = start(["run", source, *options], delay_s=0.02)  # 12 s, for a signal that is late
    part = out / "o.jsonl.part"
    wait_for(lambda: part.exists() and part.stat().st_size > 0, "the first line")
    time.sleep(chance.uniform(0, 0.6))
    for _ in range(1 + seed % 2):  # launchers send some twice
        process.send_signal(number)
    out_text, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert "Traceback" not in err
    count = same_length(out)
    assert 0 < count < COUNT
    assert f"frames      {count}" in out_text


def test_a_frame_counts_where_it_is_written(
    pipeline: OnePerson, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """A signal at any moment of a frame leaves the table and the files of one mind."""
    real, lines = RunStatistics.add, tmp_path / "o.jsonl"

    def add(self: RunStatistics, *args: Any) -> None:
        if self.frames == 4:
            signal.raise_signal(signal.SIGINT)
        real(self, *args)

    monkeypatch.setattr(RunStatistics, "add", add)
    assert cli.main(["run", str(source), "--json", str(lines)]) == 130
    assert len(lines.read_text().splitlines()) == 5
    assert "frames      5" in capsys.readouterr().out


@pytest.mark.parametrize(("number", "error"), [(signal.SIGINT, KeyboardInterrupt),
                                               (signal.SIGTERM, SystemExit)])  # fmt: skip
def test_a_signal_while_the_files_are_closed_waits(
    number: signal.Signals, error: type[BaseException]
) -> None:
    before, written = signal.getsignal(number), list[str]()

    def write() -> None:
        with interruptible(last=False):
            with signals_wait():
                signal.raise_signal(number)
                signal.raise_signal(number)  # launchers send some twice
                written.append("all of it")
            written.append("and more")

    with pytest.raises(error):
        write()
    assert written == ["all of it"]
    with pytest.raises(ValueError, match="of its own"):
        fail_with_a_signal(number)
    assert signal.getsignal(number) is before


def fail_with_a_signal(number: signal.Signals) -> None:
    with interruptible(last=False), signals_wait():
        signal.raise_signal(number)
        raise ValueError("of its own")


def test_after_the_first_signal_closing_is_not_interrupted_again() -> None:
    """What a launcher sends twice comes once; who insists ends the process, elsewhere."""
    closed: list[str] = []

    def work() -> None:
        with interruptible(last=False):
            try:
                signal.raise_signal(signal.SIGINT)
            finally:
                signal.raise_signal(signal.SIGINT)
                closed.append("whole")

    with pytest.raises(KeyboardInterrupt):
        work()
    assert closed == ["whole"]


IN_SET_NAME = """
import dataclasses, os, sys
real = dataclasses.Field.__set_name__
def set_name(self, owner, name):
    if (owner.__name__, name) == ("SpatialConfig", "joint_score"):
        os.kill(os.getpid(), {number})
    real(self, owner, name)
dataclasses.Field.__set_name__ = set_name
from alphapose_ros.cli import main
sys.argv = ["alphapose-ros", "play", "nowhere"]
sys.exit(main())
"""


@pytest.mark.parametrize(("number", "code"), ENDS)
def test_a_signal_in_the_midst_of_an_import(root: Path, number: signal.Signals, code: int) -> None:
    """Python before 3.12 makes another error of whatever is raised there."""
    script = IN_SET_NAME.format(number=int(number))
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr


def test_an_error_after_a_signal_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """What fails while the stack unwinds is not the signal's doing."""

    def command() -> int:
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            raise InputError("the disk has gone")

    with interruptible(last=False):
        assert exit_code(command) == BAD_INPUT
    assert "the disk has gone" in capsys.readouterr().err


def test_whoever_ignores_signals_goes_on_ignoring_them() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interruptible(last=False), signals_wait():
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize(("number", "code"), ENDS)
def test_predict_writes_all_or_nothing(tmp_path: Path, number: signal.Signals, code: int) -> None:
    images, output, chance = tmp_path / "images", tmp_path / "o.json", random.Random(int(number))
    images.mkdir()
    for k in range(60):
        cv2.imwrite(str(images / f"{k}.png"), np.zeros((24, 32, 3), np.uint8))
    output.write_text("[]")
    for _ in range(2):
        process = start(["predict", images, "--output", output])
        time.sleep(chance.uniform(0.3, 4))
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        # Before and after the command the signal itself ends the process; it may be over, too.
        assert process.returncode in (code, -number, 0), err
        assert len(json.loads(output.read_text())) in (
            (60,) if process.returncode == 0 else (0, 60)
        )
        assert {path.name for path in tmp_path.iterdir()} == {"images", "o.json"}
        output.write_text("[]")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_play_ends_well_at_random_moments(
    source: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """A camera has no end: 0, as the node."""
    pytest.importorskip("cyclonedds", reason="PLAY NOT CHECKED: no cyclonedds")
    chance, begun = random.Random(int(number)), 0
    # On a busy machine all early moments may lie before the beginning: then later ones are tried.
    for delay_s in (*(chance.uniform(0.5, 2.5) for _ in range(3)), 5, 10, 20, 40):
        if delay_s > 2.5 and begun:
            break
        process = subprocess.Popen(
            command("play", source, "--rate", "50", "--loop"),
            env=variables(**environment_of(new_domain())),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        time.sleep(delay_s)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        assert process.returncode in (0, 128 + number, -number), err
        if process.returncode == 0:
            begun += 1
            assert "images published" in out
            assert "Traceback" not in err
    assert begun


def test_a_reader_that_leaves_costs_no_file(source: Path, tmp_path: Path) -> None:
    """``alphapose-ros run ... | head -0``."""
    out = tmp_path / "out"
    out.mkdir()
    argv = ["run", source, "--json", out / "o.jsonl", "--bag", out / "o.mcap",
            "--video", out / "o.avi", "--max-frames", "20"]  # fmt: skip
    read, write = os.pipe()
    os.close(read)
    process = subprocess.Popen(
        command(*argv), env=variables(), stdout=write, stderr=subprocess.PIPE, text=True
    )
    os.close(write)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (141, "")
    assert same_length(out) == 20


def test_a_reader_of_lines_that_leaves_ends_the_run(source: Path, tmp_path: Path) -> None:
    """``run --json PIPE`` whose reader has seen enough; the bag beside it is complete."""
    pipe, bag = tmp_path / "lines", tmp_path / "o.mcap"
    os.mkfifo(pipe)
    process = start(["run", source, "--json", pipe, "--bag", bag], delay_s=0.001)
    with pipe.open() as lines:
        found = [json.loads(next(lines))["frame"] for _ in range(3)]
    _, err = process.communicate(timeout=60)
    assert found == [0, 1, 2]
    assert (process.returncode, err) == (141, "")
    assert 3 <= len(poses(bag)) < COUNT


@pytest.mark.parametrize("option", ["--json", "--bag", "--video"])
def test_a_folder_that_cannot_be_written_is_one_line(
    option: str, pipeline: OnePerson, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = {"--json": "o.jsonl", "--bag": "o.mcap", "--video": "o.mp4"}[option]
    assert cli.main(["run", str(source), option, f"/proc/{name}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("alphapose-ros: /proc/")
    assert name.partition(".")[0] in line


def test_outputs_beside_one_that_fails_at_once_leave_nothing(
    pipeline: OnePerson, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    argv = ["run", str(source), "--json", str(tmp_path / "o.jsonl"), "--bag", "/proc/o.mcap"]
    fails(capsys, argv)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["bag", "video", "images"])
def test_an_input_that_vanishes_while_it_is_read(
    kind: str, pipeline: OnePerson, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Truncated after the third frame: what was read is written, and one line says why it ends."""
    place, out = make_input(kind, tmp_path), tmp_path / "out"
    out.mkdir()

    def vanishing(self: OnePerson, frame: Frame) -> Any:
        if len(self.frames) == 2:
            truncate(place)
        return real(self, frame)

    real = OnePerson.__call__
    monkeypatch.setattr(OnePerson, "__call__", vanishing)
    argv = ["run", str(place), "--json", str(out / "o.jsonl"), "--bag", str(out / "o.mcap")]
    code = cli.main([*argv, "--video", str(out / "o.avi")])
    captured = capsys.readouterr()
    count = same_length(out)
    assert 3 <= count < 40
    assert f"frames      {count}" in captured.out
    if kind == "images":  # of a folder, those that are left count
        assert code == 0
        assert f"{40 - count} of 40 images skipped" in captured.err
        return
    assert code == 2
    (line,) = captured.err.splitlines()
    assert place.name in line


def make_input(kind: str, folder: Path) -> Path:
    if kind == "bag":
        return noise_bag(folder / "in.mcap", 40)
    chance = np.random.default_rng(0)
    noise = [chance.integers(0, 256, (240, 320, 3), np.uint8) for _ in range(40)]
    if kind == "video":
        writer = cv2.VideoWriter(
            str(folder / "in.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (320, 240)
        )
        for image in noise:
            writer.write(image)
        writer.release()
        return folder / "in.avi"
    (folder / "in").mkdir()
    for number, image in enumerate(noise):
        cv2.imwrite(str(folder / "in" / f"{number}.png"), image)
    return folder / "in"


def truncate(place: Path) -> None:
    for path in place.iterdir() if place.is_dir() else [place]:
        if place.is_file() or int(path.stem) > 5:
            os.truncate(path, path.stat().st_size // 2)


class Unplugged:
    """A camera of OpenCV's that gives five images."""

    def __init__(self, device: object) -> None:
        self.left = 5

    def isOpened(self) -> bool:
        return True

    def get(self, _: int) -> float:
        return 30.0

    def read(self) -> tuple[bool, Any]:
        time.sleep(0.02)
        self.left -= 1
        return self.left >= 0, np.zeros((24, 32, 3), np.uint8)

    def release(self) -> None:
        pass


def test_a_camera_that_is_unplugged_leaves_complete_files(
    pipeline: OnePerson, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(cv2, "VideoCapture", Unplugged)
    out = tmp_path / "out"
    out.mkdir()
    argv = ["run", "0", "--json", str(out / "o.jsonl"), "--bag", str(out / "o.mcap")]
    assert cli.main(argv) == 2
    assert "camera0: the camera stopped giving images" in capsys.readouterr().err
    count = len((out / "o.jsonl").read_text().splitlines())
    assert 0 < count <= 5
    assert len(poses(out / "o.mcap")) == count
