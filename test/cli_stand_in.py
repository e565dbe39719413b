# SPDX-License-Identifier: Apache-2.0
"""A pipeline that costs nothing, and what the tests of the command line share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import alphapose_ros.cli as cli
from alphapose_ros.base.records import (
    Detections,
    Frame,
    FrameResult,
    Header,
    Poses,
    Tracks,
    TrackState,
)
from alphapose_ros.base.skeletons import HALPE136


def poses_in(boxes: np.ndarray, scores: np.ndarray) -> Poses:
    """Every joint in the middle of its box."""
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    keypoints = np.repeat(middle[:, None], len(HALPE136), 1)
    joint_scores = np.full(keypoints.shape[:2], 0.75)
    return Poses(keypoints, joint_scores, boxes, scores, np.arange(len(boxes)), HALPE136)


class OnePerson:
    """Sees one person in every image, in its left half, tentative in the first frame."""

    skeleton, device = HALPE136, "cpu"

    def __init__(self) -> None:
        self.frames: list[Frame] = []

    @staticmethod
    def person(size_hw: tuple[int, int]) -> Poses:
        box = np.array([[0, 0, size_hw[1] / 2, size_hw[0]]])
        return poses_in(box, np.array([0.5]))

    def __call__(self, frame: Frame) -> FrameResult:
        self.frames.append(frame)
        known = int(len(self.frames) > 1)
        state = TrackState.TRACKED if known else TrackState.TENTATIVE
        poses, zero = self.person(frame.size_hw), np.zeros(1)
        tracks = Tracks([known], [1], poses, [state], np.zeros((1, 2)), zero, zero, zero)
        header = Header(frame.camera, frame.frame_id, frame.stamp_ns, frame.size_hw)
        return FrameResult(header, tracks, {"detect": 1.0})

    def detect_and_estimate(self, batch: Any) -> list[Poses]:
        return [self.person(size_hw) for size_hw in batch.sizes_hw]

    def estimator(self, batch: Any, detections: list[Detections]) -> list[Poses]:
        return [poses_in(found.boxes, found.scores) for found in detections]

    estimator.finds_people = False  # type: ignore[attr-defined]


def stand_in_pipeline(monkeypatch: pytest.MonkeyPatch) -> OnePerson:
    """What every command gets for a pipeline."""
    made = OnePerson()
    monkeypatch.setattr("alphapose_ros.cli.pipelines.make_pipeline", lambda args: made)
    return made


def nobody_asks_for_a_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for one has come too far."""

    def load(args: object) -> None:
        raise AssertionError("networks were loaded")

    monkeypatch.setattr("alphapose_ros.cli.pipelines.make_pipeline", load)


def three_images(tmp_path: Path) -> Path:
    """A folder of three images, 64x48."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("img_1.png", "img_2.png", "img_10.png"):
        assert cv2.imwrite(str(folder / name), np.full((48, 64, 3), 120, np.uint8))
    return folder


def fails(capsys: pytest.CaptureFixture[str], argv: list[str], code: int = 2) -> str:
    """The one line on stderr."""
    assert cli.main(argv) == code
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert captured.out == ""
    assert line.startswith("alphapose-ros: ")
    return line
