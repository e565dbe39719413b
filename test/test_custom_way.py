# SPDX-License-Identifier: Apache-2.0
"""docs/own_models.md as somebody walks it: its files, its commands in their order, few steps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from docs_pages import ROOT, blocks, commands

import alphapose_ros.cli as cli
from alphapose_ros.base.custom_skeleton import load_skeleton
from alphapose_ros.models.export import METADATA
from alphapose_ros.models.stored_skeleton import skeleton_described
from alphapose_ros.pose.config import PoseConfig
from alphapose_ros.pose.factory import create_estimator

pytestmark = pytest.mark.usefixtures("one_thread", "onnx")

PAGE = ROOT / "docs" / "own_models.md"
# What is added to a command of the page: the last of equal options counts.
FEWER = {
    "train pose": ["--steps", "2", "--batch-size", "1", "--warmup", "1", "--workers", "0"],
    "eval pose": ["--json", "numbers.json", "--quiet"],
    "models export": [],
}


def written(folder: Path) -> None:
    """The page's skeleton, annotations and parameters, and a picture for them."""
    code = {block.language: block.code for block in reversed(blocks(PAGE))}
    (folder / "operator.yaml").write_text(code["yaml"])
    annotations = code["json"]
    for name in ("mine.json", "mine_val.json"):
        (folder / name).write_text(annotations)
    (folder / "images").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    for image in json.loads(annotations)["images"]:
        assert cv2.imwrite(str(folder / "images" / image["file_name"]), noise)
    (parameters,) = (b.code for b in blocks(PAGE) if "start_pose_score: 0.25" in b.code)
    (folder / "mine.yaml").write_text(parameters.replace("/home/me/", ""))


def commands_of_the_page() -> Iterator[list[str]]:
    """Those that somebody without a robot walks, in the page's order."""
    for block in blocks(PAGE):
        for command in commands(block) if block.language == "sh" else ():
            kind = " ".join(command.words[1:3])
            if command.words[0] == "alphapose-ros" and kind in FEWER:
                yield [*command.words[1:], *FEWER[kind]]


def test_the_way_has_no_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import onnx

    written(tmp_path)
    monkeypatch.chdir(tmp_path)
    walked = []
    for argv in commands_of_the_page():
        assert cli.main(argv) == 0, (argv, capsys.readouterr().err)
        walked.append(" ".join(argv[:2]))
    assert walked == ["train pose", "eval pose", "models export"]
    wanted = load_skeleton(tmp_path / "operator.yaml")
    numbers = json.loads((tmp_path / "numbers.json").read_text())
    for name, labelled in zip(wanted.keypoint_names, (1, 1, 1, 0), strict=True):
        assert numbers[f"joint_{name}_labelled"] == labelled
    graph = onnx.load(tmp_path / "pose.onnx")
    (entry,) = (e for e in graph.metadata_props if e.key == METADATA)
    stored = skeleton_described(json.loads(entry.value))
    assert stored is not None
    assert stored.keypoint_names == wanted.keypoint_names
    estimator = create_estimator(PoseConfig(weights="pose.onnx"))
    assert estimator.skeleton.edges == wanted.edges
    np.testing.assert_array_equal(estimator.skeleton.sigmas, wanted.sigmas)
    assert cli.main(["eval", "pose", "--annotations", "mine_val.json", "--images", "images",
                     "--weights", "pose.onnx", "--quiet"]) == 0  # fmt: skip
    assert "helmet" in capsys.readouterr().out
