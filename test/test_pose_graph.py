# SPDX-License-Identifier: Apache-2.0
"""Graphs of odd types and sizes, our own ones, and those that are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from pose_heads import (
    DOT,
    JOINTS,
    PEOPLE,
    Brightness,
    Half,
    Simcc,
    Three,
    dots,
    picture,
    written,
)
from torch import nn

from alphapose_ros.base.errors import ConfigError, WeightsError
from alphapose_ros.base.records import Detections
from alphapose_ros.base.skeletons import COCO17
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.models.export import DecodedPose, GraphNames, onnx_bytes, with_metadata
from alphapose_ros.pose.config import PoseConfig
from alphapose_ros.pose.estimator import PoseEstimator
from alphapose_ros.pose.factory import create_estimator
from alphapose_ros.pose.heatmap import HeatmapDecoder
from alphapose_ros.pose.onnx import load_onnx_pose
from alphapose_ros.registry.spec import IMAGENET_MEAN, IMAGENET_STD
from alphapose_ros.runtime.config import RuntimeOptions

pytestmark = pytest.mark.usefixtures("one_thread")

pytest.importorskip("onnx", reason="ONNX POSES NOT CHECKED: no onnx")
pytest.importorskip("onnxruntime", reason="ONNX POSES NOT CHECKED: no onnxruntime")


def test_unknown_graphs_name_what_they_have(tmp_path: Path) -> None:
    path = written(tmp_path / "odd.onnx", Three(), ("a", "b", "c"))
    with pytest.raises(
        WeightsError, match=r"odd\.onnx: expected outputs of simcc.*got a \(1, 256, 192\)"
    ):
        create_estimator(PoseConfig(weights=path))
    open_size = tmp_path / "open.onnx"
    names = GraphNames(("x",), ("maps",), {"x": {2: "H", 3: "W"}, "maps": {2: "h", 3: "w"}})
    open_size.write_bytes(onnx_bytes(Brightness(4), torch.rand(1, 3, 64, 48), names))
    with pytest.raises(WeightsError, match="fixed height and width"):
        create_estimator(PoseConfig(weights=str(open_size)))
    with pytest.raises(ConfigError, match="flip_test"):
        create_estimator(PoseConfig(weights=path, flip_test=True))


def test_joints_of_no_known_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pose_heads.JOINTS", 19)
    path = written(tmp_path / "hrnet.onnx", Brightness(4), ("heatmaps",))
    with pytest.raises(WeightsError, match=r"17 \(coco17\).*got 19"):
        create_estimator(PoseConfig(weights=path))


def test_a_graph_of_float16(tmp_path: Path) -> None:
    names = GraphNames(("x",), ("a", "b"), {n: {0: "N"} for n in ("x", "a", "b")})
    path = tmp_path / "half.onnx"
    path.write_bytes(onnx_bytes(Half(Simcc()), torch.rand(2, 3, 256, 192).half(), names))
    assert np.abs(dots(str(path)) - DOT).max() < 0.6


def test_sizes_that_the_file_leaves_open_are_learnt_from_a_run(tmp_path: Path) -> None:
    names = GraphNames(
        ("x",), ("a", "b"), {"x": {0: "N"}, "a": {0: "N", 1: "K", 2: "W"}, "b": {1: "K", 2: "H"}}
    )
    path = tmp_path / "open.onnx"
    path.write_bytes(onnx_bytes(Simcc(), torch.rand(2, 3, 256, 192), names))
    assert np.abs(dots(str(path)) - DOT).max() < 0.6


def test_nobody_asks_a_graph_for_nothing(tmp_path: Path) -> None:
    path = written(tmp_path / "fixed.onnx", Simcc(), ("x", "y"), batch=1)
    network = load_onnx_pose(Path(path), RuntimeOptions()).network
    points, scores = network(torch.zeros(0, 3, 256, 192))
    assert points.shape == (0, JOINTS, 2)
    assert scores.shape == (0, JOINTS)


@pytest.mark.parametrize("wanted", ["heatmap", "rtmo", "decoded"])
def test_a_wanted_form_that_the_outputs_do_not_have(tmp_path: Path, wanted: str) -> None:
    path = written(tmp_path / "rtmpose.onnx", Simcc(), ("simcc_x", "simcc_y"))
    with pytest.raises(WeightsError, match=rf"pose\.format: {wanted}\).*simcc_x \(1, 17, 384\)"):
        create_estimator(PoseConfig(weights=path, format=wanted))
    assert np.abs(dots(path, format="simcc") - DOT).max() < 0.6


def test_a_file_that_is_no_graph_and_a_graph_of_two_inputs(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no graph")
    with pytest.raises(WeightsError, match=r"text\.onnx: not a usable ONNX file"):
        create_estimator(PoseConfig(weights=str(tmp_path / "text.onnx")))
    with pytest.raises(WeightsError, match=r"there is none"):
        load_onnx_pose(tmp_path / "absent.onnx", RuntimeOptions())
    flat = tmp_path / "flat.onnx"
    graph = onnx_bytes(nn.Flatten(), torch.rand(1, 4, 8, 6), GraphNames(("x",), ("y",), {}))
    flat.write_bytes(graph)
    with pytest.raises(WeightsError, match=r"expected one input \(N, 3, H, W\), got .*4, 8, 6"):
        load_onnx_pose(flat, RuntimeOptions())


ABOUT = {"skeleton": "coco17", "input_hw": [256, 192], "unit_px": 4.0, "untaught": ["left_knee"]}


def own_graph(path: Path, about: dict[str, object] | None, dtype: torch.dtype) -> PoseEstimator:
    """A graph as ``models export`` writes it, and the estimator of the same network in torch."""
    decoded = DecodedPose(Brightness(4), HeatmapDecoder(), mean=IMAGENET_MEAN, std=IMAGENET_STD)
    graph = onnx_bytes(decoded, torch.zeros((2, 3, 256, 192), dtype=dtype))
    path.write_bytes(graph if about is None else with_metadata(graph, about))
    return PoseEstimator(decoded, COCO17)


@pytest.mark.parametrize("dtype", [torch.float32, torch.uint8], ids=str)
@pytest.mark.parametrize("about", [ABOUT, None], ids=["described", "bare"])
def test_our_own_graphs(
    tmp_path: Path, about: dict[str, object] | None, dtype: torch.dtype
) -> None:
    same = own_graph(tmp_path / "own.onnx", about, dtype)
    found = load_onnx_pose(tmp_path / "own.onnx", RuntimeOptions())
    batch = ImageBatch.upload([picture()])
    (poses,) = found(batch, [Detections(PEOPLE, np.ones(2, np.float32))])
    (wanted,) = same(batch, [Detections(PEOPLE, np.ones(2, np.float32))])
    np.testing.assert_allclose(poses.keypoints, wanted.keypoints, atol=1e-3)
    knee = COCO17.index("left_knee")
    others = np.arange(JOINTS) != knee
    np.testing.assert_allclose(poses.scores[:, others], wanted.scores[:, others], atol=2e-3)
    assert (poses.scores[:, knee] == 0).all() == (about is not None)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"skeleton": "centaur"}, "centaur"), ({"skeleton": "hand21"}, "21 joints of hand21, got 17"),
     ({"unit_px": 0}, "unit_px above 0, got 0"), ({"unit_px": "4"}, "unit_px above 0, got '4'")],
)  # fmt: skip
def test_our_own_graph_with_a_damaged_description(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    own_graph(tmp_path / "own.onnx", ABOUT | change, torch.float32)
    with pytest.raises(WeightsError, match=message):
        load_onnx_pose(tmp_path / "own.onnx", RuntimeOptions())
