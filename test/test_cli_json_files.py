# SPDX-License-Identifier: Apache-2.0
"""Files of numbers: there whole, or as they were before, also where the disk is full."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from cli_stand_in import fails, stand_in_pipeline

import alphapose_ros.cli as cli
from alphapose_ros.cli import evaluate
from alphapose_ros.eval.report import Report
from alphapose_ros.io.part import write_json

TRACKS = "".join(f"{t},1,100,1,50,100,1,1,1\n" for t in range(1, 4))


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, data: bytes, offset: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)


def test_numbers_are_indented_and_end_with_a_line(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"ap": 0.5, "names": ["Å"]})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert text.startswith('{\n  "ap": 0.5,\n')
    assert text.endswith("}\n")
    assert json.loads(text) == {"ap": 0.5, "names": ["Å"]}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.usefixtures("full_disk")
@pytest.mark.parametrize("command", ["tracking", "jitter", "bench"])
def test_a_full_disk_leaves_the_numbers_of_before(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    for name in ("truth.txt", "found.txt"):
        (tmp_path / name).write_text(TRACKS)
    stand_in_pipeline(monkeypatch)
    report = SimpleNamespace(text=lambda: "60 frames/s", numbers=lambda: {"ratio": 1.0})
    monkeypatch.setattr("alphapose_ros.eval.benchmark.run_benchmark", lambda *_, **__: report)
    monkeypatch.setitem(evaluate._MEASURES, "jitter", lambda *_: [Report("title", {"frames": 3})])
    argv = {
        "tracking": ["eval", "tracking", "--truth", "truth.txt", "--results", "found.txt"],
        "jitter": ["eval", "jitter", "clip.mp4"],
        "bench": ["bench"],
    }[command]
    monkeypatch.chdir(tmp_path)
    Path("numbers.json").write_text("of before")
    assert cli.main([*argv, "--json", "numbers.json"]) == 1
    assert Path("numbers.json").read_text() == "of before"
    captured = capsys.readouterr()
    assert captured.out != ""
    assert "numbers.json" in captured.err
    assert "Traceback" not in captured.err


@pytest.mark.parametrize(
    ("argv", "target"),
    [
        ("pose --annotations val.json --images images", "val.json"),
        ("pose --annotations val.json --images images --feet feet.json", "feet.json"),
        ("detector --annotations val.json --images images --params-file pose.yaml", "pose.yaml"),
        ("jitter clip.mkv", "clip.mkv"),
        ("jitter images", "images/1.png"),
        ("tracking --truth truth.txt --results found.txt", "truth.txt"),
        ("tracking --truth truth.txt --results found.txt", "found.txt"),
        ("tracking --truth truth --results results", "truth/a/gt/gt.txt"),
        ("tracking --truth truth --results results", "results/a.json"),
    ],
)
def test_numbers_never_take_the_place_of_what_is_measured(
    argv: str, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    for name in ("images", "truth/a/gt", "results"):
        Path(name).mkdir(parents=True)
    Path("val.json").write_text("{}")
    Path(target).write_text("kept")
    line = fails(capsys, ["eval", *argv.split(), "--json", f"./{target}"])
    assert f"--json: expected another file than the input, got ./{target}" in line
    assert Path(target).read_text() == "kept"


def test_a_plot_never_takes_the_place_of_a_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("frames").mkdir()
    Path("frames/1.png").write_text("kept")
    argv = ["eval", "tracking", "frames", "--truth", "truth.txt", "--plot", "frames/1.png"]
    assert "--plot: expected another file than the input" in fails(capsys, argv)
    assert Path("frames/1.png").read_text() == "kept"


def test_numbers_of_before_beside_results_are_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("truth", "results"):
        Path(name).mkdir()
        Path(name, "a.txt").write_text(TRACKS)
    argv = ["eval", "tracking", "--truth", "truth", "--results", "results"]
    for _ in range(2):
        assert cli.main([*argv, "--json", "results/numbers.json"]) == 0


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (["bench", "--params-file", "kept", "--json", "kept"], "json"),
        (["bench", "--image", "kept", "--plot", "kept"], "plot"),
        (["view", "--params-file", "kept", "--rrd", "kept", "--no-view"], "rrd"),
    ],
)
def test_what_is_read_is_spared_by_other_commands_too(
    words: list[str], option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("kept").write_text("/**: {}")
    line = fails(capsys, words)
    assert f"--{option}: expected another file than the input, got kept" in line
    assert Path("kept").read_text() == "/**: {}"
