# SPDX-License-Identifier: Apache-2.0
"""Files of numbers: there whole, or as they were before, also where the disk is full."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from cli_stand_in import stand_in_pipeline

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
