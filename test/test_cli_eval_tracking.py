# SPDX-License-Identifier: Apache-2.0
"""``eval tracking`` from the command line: files, folders, a recording, bad input."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fake_pipeline import FakePipeline
from recording_scenes import S, raw_image

from alphapose_ros.cli import main
from alphapose_ros.io.bag import BagWriter

TRUTH = "".join(f"{t},{who},{100 * who},1,50,100,1,1,1\n" for t in range(1, 7) for who in (1, 2))
SWITCHED = (
    TRUTH.replace("\n4,2,", "\n4,3,").replace("\n5,2,", "\n5,3,").replace("\n6,2,", "\n6,3,")
)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "gt.txt").write_text(TRUTH)
    (tmp_path / "out.txt").write_text(SWITCHED)
    return tmp_path


def test_files(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    numbers = files / "numbers.json"
    arguments = ["--truth", str(files / "gt.txt"), "--results", str(files / "out.txt")]
    assert main(["eval", "tracking", *arguments, "--json", str(numbers)]) == 0
    got = json.loads(numbers.read_text())
    assert list(got) == ["gt"]
    assert got["gt"]["switches"] == 1
    assert got["gt"]["MOTA"] == pytest.approx(11 / 12)
    assert got["gt"]["IDF1"] == pytest.approx(9 / 12)
    out = capsys.readouterr().out
    assert "boxes by IoU 0.5" in out
    assert "91.7" in out
    assert "75.0" in out


def test_a_plot(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib", reason="PLOTS NOT CHECKED: matplotlib is absent")
    arguments = ["--truth", str(files / "gt.txt"), "--results", str(files / "out.txt")]
    plot = files / "tracking.png"
    assert main(["eval", "tracking", *arguments, "--plot", str(plot)]) == 0
    assert plot.read_bytes()[:4] == b"\x89PNG"
    assert f"plot: {plot}" in capsys.readouterr().out


def test_folders_have_a_line_for_all(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("truth", "results"):
        (files / folder).mkdir()
        for name in ("a", "b"):
            (files / folder / f"{name}.txt").write_text(TRUTH)
    where = ["--truth", str(files / "truth"), "--results", str(files / "results")]
    assert main(["eval", "tracking", *where]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines[3:]] == ["a", "b", "all sequences"]


def test_a_recording_is_tracked(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cv2 = pytest.importorskip("cv2")
    images = files / "images"
    images.mkdir()
    for k in range(6):
        cv2.imwrite(str(images / f"{k}.png"), np.zeros((120, 320, 3), np.uint8))
    people = np.stack([np.linspace([100 * w - 1, 0], [100 * w + 49, 100], 136) for w in (1, 2)])
    made: list[Any] = []

    def make(config: Any) -> FakePipeline:
        made.append(config)
        return FakePipeline(keypoints=people)

    stand_in = SimpleNamespace(PosePipeline=make)  # the networks are not needed, nor loaded
    monkeypatch.setitem(sys.modules, "alphapose_ros.pipeline", stand_in)
    numbers = files / "numbers.json"
    truth = ["--truth", str(files / "gt.txt"), "--json", str(numbers)]
    assert main(["eval", "tracking", str(images), *truth]) == 0
    got = json.loads(numbers.read_text())["images"]
    assert (got["MOTA"], got["HOTA"], got["true_boxes"]) == (1, pytest.approx(1), 12)
    assert main(["eval", "tracking", str(images), *truth, "--max-frames", "2"]) == 0
    assert json.loads(numbers.read_text())["images"]["true_boxes"] == 4
    assert len(made) == 2
    assert "images" in capsys.readouterr().out
    (images / "3.png").write_bytes(b"broken")  # all frames after it would be others
    assert main(["eval", "tracking", str(images), *truth]) == 2
    assert "expected all images of the truth, 1 of 6 images skipped" in capsys.readouterr().err
    with BagWriter(files / "a.mcap") as bag:
        for position, stamp_s in enumerate((1, 2, 2, 3, 4, 5, 6)):
            bag.write_message("/image", raw_image(stamp_s * S), position * S)
    assert main(["eval", "tracking", str(files / "a.mcap"), *truth]) == 2
    assert "expected all images of the truth, 1 of 7 images skipped" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected --truth"),
        (["--truth", "gt.txt"], "expected --results or a VIDEO to track, got neither"),
        (["clip.mp4", "--truth", "gt.txt", "--results", "out.txt"], "got both"),
        (["clip.mp4", "--truth", "gt.txt", "--max-frames", "0"], "--max-frames"),
        (["--truth", "gt.txt", "--results", "none.txt"], "none.txt: no such file"),
        (["--truth", "none.txt", "--results", "out.txt"], "none.txt: no such file"),
        (
            ["--truth", "gt.txt", "--results", "out.txt", "--weights", "w.safetensors"],
            "--weights: expected a VIDEO to track with it, got --results",
        ),
        (
            ["--truth", "gt.txt", "--results", "out.txt", "--max-frames", "3"],
            "--max-frames: expected a VIDEO",
        ),
        (["--truth", "gt.txt", "--results", "out.txt", "--match", "poses"], "truth with poses"),
    ],
)
def test_bad_input_is_one_line(
    files: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(files)
    assert main(["eval", "tracking", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) == 1
