# SPDX-License-Identifier: Apache-2.0
"""The frozen pipeline and ours give the same people; the benchmarks run and print their tables."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch

from alphapose_ros.base.records import Detections, Poses
from alphapose_ros.base.skeletons import HALPE136
from alphapose_ros.config import PipelineConfig
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.models import deform
from alphapose_ros.models.fastpose import fastpose_resnet
from alphapose_ros.pipeline import PosePipeline
from alphapose_ros.pose.estimator import PoseEstimator
from alphapose_ros.pose.heatmap import decode_heatmaps
from alphapose_ros.pose.nms import PoseNms
from alphapose_ros.pose.nms_config import PoseNmsConfig
from alphapose_ros.pose.nms_similarity import wholebody_redundancy, wholebody_similarity
from alphapose_ros.pose.sikr import SikrDecoder
from alphapose_ros.tracking.config import TrackerConfig

pytestmark = pytest.mark.usefixtures("one_thread")
BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
CONFIG = PoseNmsConfig()


def benchmark(name: str) -> ModuleType:
    """A file of the folder, which is no package."""
    if str(BENCHMARKS) not in sys.path:
        sys.path.append(str(BENCHMARKS))
    return importlib.import_module(name)


@pytest.mark.parametrize("batched", [False, True])
def test_frozen_joints_are_ours_on_a_photograph(batched: bool) -> None:
    pytest.importorskip("cv2")
    data = pytest.importorskip("skimage.data", reason="NO PHOTOGRAPH: no scikit-image")
    subject = benchmark("against_frozen").nano()
    boxes = np.array([[60, 0, 400, 512], [20.5, -30.2, 300.7, 390.1]], np.float32)
    detections = Detections(boxes, np.array([0.9, 0.8], np.float32))
    estimator = PoseEstimator(subject.decoded, subject.skeleton)
    image = data.astronaut()
    found = estimator(ImageBatch.upload([image]), [detections])[0]
    expected = subject.frozen(batched=batched).candidates(image, detections)
    seen = expected.scores > 0.2
    assert seen.sum() > 100
    apart = np.linalg.norm(found.keypoints - expected.keypoints, axis=-1)
    assert apart[seen].max() < 0.5
    np.testing.assert_allclose(found.scores, expected.scores, atol=0.01)
    assert not expected.scores[:, 22:24].any()  # small toes were never taught
    assert (
        PoseNms()(found).source.tolist()
        == benchmark("frozen_nms").literal_pose_nms(expected, CONFIG).source.tolist()
    )


def test_nobody_in_the_picture() -> None:
    pytest.importorskip("cv2")
    subject = benchmark("against_frozen").nano()
    image = np.zeros((48, 64, 3), np.uint8)
    for batched in (False, True):
        assert len(subject.frozen(batched=batched)(image, Detections.empty())) == 0


def test_frozen_decoders_are_the_formulas() -> None:
    pytest.importorskip("cv2")
    frozen = benchmark("frozen_pipeline")
    maps = torch.randn(1, 30, 16, 12, generator=torch.Generator().manual_seed(0)) * 3 - 2
    maps[0, 0] = -1  # nothing found
    for tail_cut, window in ((0.0, 0.0), (0.3, 6.0)):
        points, scores = SikrDecoder("sigmoid", tail_cut, window)(maps)
        found, found_scores = frozen.sikr_joints(maps[0].numpy(), tail_cut, window)
        np.testing.assert_allclose(found, points[0], atol=1e-4)
        np.testing.assert_allclose(found_scores, scores[0], atol=1e-5)
    points, scores = decode_heatmaps(maps)
    found, found_scores = frozen.heatmap_joints(maps[0].numpy())
    np.testing.assert_allclose(found, points[0])
    np.testing.assert_allclose(found_scores, scores[0])


def crowd(count: int, seed: int) -> Poses:
    return benchmark("pose_nms").candidates(count, seed)


@pytest.mark.parametrize("count", [0, 1, 2, 7, 30])
@pytest.mark.parametrize("seed", range(3))
def test_frozen_nms_keeps_the_same_people(count: int, seed: int) -> None:
    poses, frozen = crowd(count, seed), benchmark("frozen_nms")
    found = PoseNms(CONFIG)(poses)
    assert len(found) < len(poses) or count < 3
    for loop in (frozen.literal_pose_nms, frozen.per_pick_pose_nms):
        expected = loop(poses, CONFIG)
        assert found.source.tolist() == expected.source.tolist()
        np.testing.assert_allclose(found.keypoints, expected.keypoints, atol=1e-2)
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)


def test_frozen_nms_drops_who_has_no_joint_as_ours_does() -> None:
    poses = crowd(6, 0)
    faint = Poses(
        poses.keypoints,
        np.where(np.arange(6)[:, None] < 3, 0.01, poses.scores),
        poses.boxes,
        poses.box_scores,
        poses.source,
        HALPE136,
    )
    expected = benchmark("frozen_nms").literal_pose_nms(faint, CONFIG)
    assert PoseNms(CONFIG)(faint).source.tolist() == expected.source.tolist()
    assert set(expected.source) <= {3, 4, 5}


@pytest.mark.parametrize("threshold", [0.0, 0.1, 0.56, 0.9])
@pytest.mark.parametrize("closer", [1.0, 0.1])
def test_bounds_never_settle_a_pair_wrongly(threshold: float, closer: float) -> None:
    """People on top of each other leave the bounds little to settle."""
    config = PoseNmsConfig(threshold=threshold)
    for seed in range(4):
        poses = crowd(24, seed)
        shift = poses.boxes[:, :2] * (1 - closer)
        keypoints, boxes = poses.keypoints - shift[:, None], poses.boxes - np.tile(shift, 2)
        arguments = (keypoints, poses.scores, boxes, HALPE136, config)
        expected = wholebody_similarity(*arguments) > threshold
        np.fill_diagonal(expected, False)
        np.testing.assert_array_equal(wholebody_redundancy(*arguments), expected)


def test_who_is_called_smoothed_is_smoothed(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cv2")
    field = benchmark("field")
    made: list[TrackerConfig] = []
    named: list[str] = []
    monkeypatch.setitem(sys.modules, "norfair", SimpleNamespace(Tracker=lambda *_: None))
    monkeypatch.setattr(field, "Tracker", lambda config, *_: made.append(config))
    monkeypatch.setattr(field, "printed", lambda _, contestants, args: named.extend(contestants))
    field.norfair(SimpleNamespace(crowds=[2], rounds=1))
    assert ["smoothed" in name for name in named] == [False, False, True]
    assert [config.smoothing for config in made] == [True]


def test_both_sides_get_the_threads_that_were_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("cv2")
    pytest.importorskip("torchvision", reason="NO RIVAL: torchvision is absent")
    pytest.importorskip("skimage", reason="NO PHOTOGRAPH: no scikit-image")
    field, asked = benchmark("field"), 2
    made: list[PipelineConfig] = []

    class Made(PosePipeline):
        def __init__(self, config: PipelineConfig) -> None:
            made.append(config)
            torch.set_num_threads(1)  # as with ONNX Runtime

    monkeypatch.setattr(field, "PosePipeline", Made)
    found: list[int] = []
    monkeypatch.setattr(field, "printed", lambda *_: found.append(torch.get_num_threads()))
    field.torchvision(SimpleNamespace(threads=asked))
    assert [config.threads for config in made] == found == [asked]


def test_deformable_convolutions_count(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torchvision", reason="ONE WAY ONLY: torchvision is absent")
    family = benchmark("model_family")

    def counted(*, dcn: bool) -> float:
        network = fastpose_resnet(num_joints=17, conv_dim=256, dcn=dcn).eval()
        entry = family.Entry(network, torch.rand(1, 3, 64, 64), family.POSE_NAMES, 1)
        return float(family.multiply_adds(entry))

    compiled = counted(dcn=True)
    assert compiled > counted(dcn=False)
    monkeypatch.setattr(deform, "has_operator", lambda: False)
    assert compiled == pytest.approx(counted(dcn=True))  # as a product of matrices


@pytest.mark.parametrize("name", ["pose_nms", "against_frozen", "field"])
def test_benchmarks_run_and_print_their_table(name: str, tmp_path: Path) -> None:
    pytest.importorskip("cv2")
    pytest.importorskip("skimage", reason="NO PHOTOGRAPH: no scikit-image")
    numbers = tmp_path / "numbers.json"
    command = [sys.executable, BENCHMARKS / f"{name}.py", "--quick", "--json", numbers]
    if name == "field":  # its third package needs seconds per image
        command += ["--only", "rtmlib", "norfair"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert "| contestant | times as fast |" in done.stdout or "is absent" in done.stdout
    assert numbers.read_text().startswith("{")
