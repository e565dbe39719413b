# SPDX-License-Identifier: Apache-2.0
"""Outputs of ``run`` that could not be, or not both, are refused before any work is done."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import pytest
from cli_stand_in import fails, nobody_asks_for_a_pipeline, three_images

from alphapose_ros.cli.output_files import check_files

images = pytest.fixture(three_images)
no_network = pytest.fixture(nobody_asks_for_a_pipeline)


@pytest.mark.parametrize(
    "argv",
    [
        ["--json", "x.mp4", "--video", "./x.mp4"],
        ["--json", "x.mcap", "--bag", "x.mcap"],
        ["--rrd", "x.rrd", "--json", "link"],
    ],
)
def test_two_outputs_of_one_name_are_refused(
    argv: list[str],
    no_network: None,
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("link").symlink_to("x.rrd")
    line = fails(capsys, ["run", str(images), *argv])
    assert "expected a file of its own" in line
    for option in argv[::2]:
        assert option in line


def test_two_outputs_may_go_to_one_device() -> None:
    given = {"video": None, "json": "/dev/null", "bag": None, "rrd": "/dev/null"}
    check_files(argparse.Namespace(**given))


@pytest.mark.parametrize("output", ["video=o.mp4", "json=o.jsonl", "bag=o", "bag=o.db3", "rrd=o"])
def test_an_output_that_cannot_be_written_is_refused_before_networks_are_loaded(
    output: str,
    no_network: None,
    images: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    option, _, name = output.partition("=")
    line = fails(capsys, ["run", str(images), f"--{option}", str(images.parent / name)])
    assert f"{name}: cannot write to {images.parent}" in line
