# SPDX-License-Identifier: Apache-2.0
"""Home folders, and names that only begin like one."""

from __future__ import annotations

from pathlib import Path

import pytest

from alphapose_ros import cli
from alphapose_ros.base.paths import expanded


def test_home_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expanded("~/clip.mp4") == tmp_path / "clip.mp4"
    assert expanded(Path("a/~b")) == Path("a/~b")
    assert expanded("~no_such_user/clip.mp4") == Path("~no_such_user/clip.mp4")


@pytest.mark.parametrize("argv", [["run"], ["batch", "--out", "out"]])
def test_a_home_of_nobody_is_no_file(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([argv[0], "~no_such_user/clip.mp4", *argv[1:]]) == 2
    assert "~no_such_user/clip.mp4: " in capsys.readouterr().err
