# SPDX-License-Identifier: Apache-2.0
"""``eval --plot`` and ``--gallery``: pictures beside the numbers, never in their place."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cli_stand_in import fails
from coco_scenes import coco_file, flat, person

import alphapose_ros.cli as cli
from alphapose_ros.base.records import Detections, Poses
from alphapose_ros.base.skeletons import COCO17, Skeleton

pytestmark = pytest.mark.usefixtures("one_thread")
TRACKS = "".join(f"{t},1,100,1,50,100,1,1,1\n" for t in range(1, 4))


class Middle:
    """A network that puts every joint into the middle of the box."""

    finds_people = False

    def __init__(self, skeleton: Skeleton = COCO17) -> None:
        self.skeleton = skeleton

    def __call__(self, batch: object, detections: Sequence[Detections]) -> list[Poses]:
        return [self._in(found.boxes) for found in detections]

    def _in(self, boxes: np.ndarray) -> Poses:
        count, joints = len(boxes), len(self.skeleton)
        points = np.repeat((boxes[:, None, :2] + boxes[:, None, 2:]) / 2, joints, 1)
        scores, ones = np.full((count, joints), 0.5), np.ones(count)
        return Poses(points, scores, boxes, ones, np.arange(count), self.skeleton)


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Middle:
    """What the command gets for any weights."""
    made = Middle()
    monkeypatch.setattr("alphapose_ros.pose.factory.create_estimator", lambda *_: made)
    return made


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, network: Middle) -> list[str]:
    """Arguments that name one annotated person."""
    coco_file(tmp_path, [person(flat(COCO17))])
    monkeypatch.chdir(tmp_path)
    return ["--annotations", "set.json", "--images", ".", "--quiet"]


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plots find the disk full."""
    pytest.importorskip("matplotlib", reason="PLOTS NOT CHECKED: matplotlib is absent")

    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    figure = SimpleNamespace(savefig=full)
    monkeypatch.setattr("alphapose_ros.eval.panels.figure_of", lambda *_: figure)


def numbers_in_spite_of(
    capsys: pytest.CaptureFixture[str], argv: list[str], complaint: str
) -> tuple[str, Any]:
    """What is printed and written although one picture cannot be."""
    assert cli.main([*argv, "--json", "numbers.json"]) == 2
    captured = capsys.readouterr()
    assert complaint in captured.err
    return captured.out, json.loads(Path("numbers.json").read_text())


@pytest.mark.usefixtures("full_disk")
@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        ("--plot=curves.png", "curves.png: cannot write the plot"),
        ("--gallery=set.json/worst", "set.json/worst: cannot write the gallery"),
    ],
)
def test_a_picture_that_cannot_be_written_costs_no_number_of_poses(
    option: str, complaint: str, given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    out, numbers = numbers_in_spite_of(capsys, ["eval", "pose", *given, option], complaint)
    assert "poses in the annotated boxes" in out
    assert numbers["people"] == 1


@pytest.mark.usefixtures("full_disk")
def test_a_plot_that_cannot_be_written_costs_no_number_of_boxes(
    given: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("alphapose_ros.detection.factory.create_detector", lambda *_: None)
    monkeypatch.setattr(
        "alphapose_ros.eval.detection.evaluate_detector", lambda *_, **__: {"ap": 0.25}
    )
    argv = ["eval", "detector", *given, "--plot", "curves.png"]
    out, numbers = numbers_in_spite_of(capsys, argv, "curves.png: cannot write the plot")
    assert "person boxes" in out
    assert numbers == {"ap": 0.25}


@pytest.mark.usefixtures("full_disk", "given")
def test_a_plot_that_cannot_be_written_costs_no_number_of_tracks(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("truth.txt").write_text(TRACKS)
    argv = ["eval", "tracking", "--truth", "truth.txt", "--results", "truth.txt"]
    out, numbers = numbers_in_spite_of(
        capsys, [*argv, "--plot", "curves.png"], "curves.png: cannot write the plot"
    )
    assert "identities, boxes by IoU" in out
    assert numbers["truth"]["MOTA"] == 1


def test_pictures_are_made_and_named(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib", reason="PLOTS NOT CHECKED: matplotlib is absent")
    assert cli.main(["eval", "pose", *given, "--plot", "curves.png", "--gallery", "worst"]) == 0
    assert Path("curves.png").read_bytes()[:4] == b"\x89PNG"
    assert "1 people in 1 images" in Path("worst/index.html").read_text()
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == ["plot: curves.png", "the worst people: worst/index.html"]


@pytest.mark.parametrize("option", ["plot", "gallery", "feet"])
def test_a_one_stage_network_refuses_what_needs_given_boxes(
    option: str, given: list[str], network: Middle, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib", reason="PLOTS NOT CHECKED: matplotlib is absent")
    network.finds_people = True
    line = fails(capsys, ["eval", "pose", *given, "--detected", f"--{option}", "curves.png"])
    assert f"--{option}: expected a pose network that answers given boxes, got a one-stage" in line


def test_worst_people_need_a_gallery(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    line = fails(capsys, ["eval", "pose", *given, "--worst", "3"])
    assert "--worst: expected --gallery DIR with it" in line


def test_a_gallery_that_is_a_file_is_refused_at_once(
    given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    line = fails(capsys, ["eval", "pose", *given, "--gallery", "set.json"])
    assert "--gallery: expected a folder, got the file set.json" in line


@pytest.mark.parametrize(
    ("what", "option", "takers"),
    [
        ("detector", "--gallery=worst", "pose"),
        ("detector", "--feet=feet.json", "pose"),
        ("reid", "--without=lr_suspect", "pose"),
        ("reid", "--plot=curves.png", "pose or detector or tracking"),
        ("tracking", "--detected", "pose"),
        ("pose", "--teacher=x.onnx", "detector"),
        ("pose", "--truth=gt.txt", "tracking"),
        ("pose", "--match=poses", "tracking"),
        ("pose", "--max-frames=3", "jitter or tracking"),
        ("pose", "--most=3", "reid"),
        ("tracking", "--worst=3", "pose"),
        ("jitter", "--annotations=a.json", "pose or detector or reid"),
    ],
)
def test_an_option_of_another_measure_is_refused(
    what: str, option: str, takers: str, given: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    asked = given if what in ("pose", "detector", "reid") else []
    line = fails(capsys, ["eval", what, *asked, option])
    assert f"{option.partition('=')[0]}: expected eval {takers}, got {what}" in line
