# SPDX-License-Identifier: Apache-2.0
"""``pose.keypoint_std``: the spread of each joint's probability, from the maps to the image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.base.records import Detections, Poses
from alphapose_ros.base.skeletons import COCO17, FACE68, HALPE26, HALPE136, Skeleton
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.models.checkpoint import save_checkpoint
from alphapose_ros.models.export import onnx_bytes, pose_names
from alphapose_ros.models.family import LIGHT, Architecture
from alphapose_ros.models.info import default_info
from alphapose_ros.models.light import fold_batch_norm
from alphapose_ros.pose.combined import CombinedDecoder
from alphapose_ros.pose.config import PoseConfig
from alphapose_ros.pose.crops import CropSpec
from alphapose_ros.pose.estimator import PoseEstimator
from alphapose_ros.pose.factory import create_estimator, decoded_network
from alphapose_ros.pose.heatmap import HeatmapDecoder
from alphapose_ros.pose.nms import PoseNms
from alphapose_ros.pose.nms_config import PoseNmsConfig
from alphapose_ros.pose.refiner import PartRefiner
from alphapose_ros.pose.sikr import SikrDecoder, normalise
from alphapose_ros.runtime.config import RuntimeOptions

pytestmark = pytest.mark.usefixtures("one_thread")

ASKED = PoseConfig(keypoint_std=True)


def slow_spread(probability: Tensor) -> float:
    """Of one map, cell by cell."""
    cells = [(x, y, float(p)) for y, row in enumerate(probability) for x, p in enumerate(row)]
    mean_x, mean_y = (sum(c[axis] * c[2] for c in cells) for axis in (0, 1))
    squares = sum(((x - mean_x) ** 2 + (y - mean_y) ** 2) * p for x, y, p in cells)
    return float((squares / 2) ** 0.5)


@pytest.mark.parametrize("norm", ["sigmoid", "softmax"])
@pytest.mark.parametrize(("tail_cut", "window"), [(0.0, 0.0), (0.3, 0.0), (0.0, 3.0), (0.3, 3.0)])
def test_the_spread_is_the_slow_twins(norm: str, tail_cut: float, window: float) -> None:
    logits = 4 * torch.randn((2, 3, 9, 7), generator=torch.Generator().manual_seed(1)) - 4
    plain = SikrDecoder(norm, tail_cut, window)(logits)
    points, scores, spreads = SikrDecoder(norm, tail_cut, window, spread=True)(logits)
    assert torch.equal(points, plain[0])
    assert torch.equal(scores, plain[1])
    probability, _ = normalise(logits, norm, tail_cut, window)
    wanted = [slow_spread(each) for each in probability.flatten(0, 1)]
    assert spreads.flatten().tolist() == pytest.approx(wanted, rel=1e-4)


def test_a_gaussians_spread_is_its_standard_deviation_wherever_it_lies() -> None:
    ys, xs = torch.meshgrid(torch.arange(64.0), torch.arange(48.0), indexing="ij")
    squares = torch.stack([(xs - x) ** 2 + (ys - y) ** 2 for x, y in ((12, 12), (36.5, 52.2))])
    confidence = 0.9 * torch.exp(-squares / (2 * 2.5**2))
    *_, spreads = SikrDecoder(spread=True)(torch.logit(confidence, eps=1e-7)[None])
    assert spreads[0].tolist() == pytest.approx([2.5, 2.5], rel=0.01)


@pytest.mark.parametrize("norm", ["sigmoid", "softmax", "divide_sum"])
def test_no_map_has_a_spread_that_is_no_number(norm: str) -> None:
    flat = torch.full((1, 1, 8, 6), -200.0)
    peak = torch.full((1, 1, 8, 6), -200.0)
    peak[..., 3, 3] = 30
    waves = torch.randn((1, 1, 8, 6), generator=torch.Generator().manual_seed(0))
    for logits in (flat, peak, waves):
        *_, spreads = SikrDecoder(norm, spread=True)(logits)
        assert spreads.isfinite().all()
        assert (spreads >= 0).all()


class Spread(nn.Module):
    """Joint k of K: at cell (k, k), score 0 for the first and .8 else, and a spread of k cells."""

    def __init__(self, joints: int) -> None:
        super().__init__()
        self.joints = joints

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        row = torch.arange(float(self.joints)).expand(len(crops), -1)
        return torch.stack([row, row], -1), 0.8 * (row > 0), row


def black(*sizes: tuple[int, int]) -> ImageBatch:
    return ImageBatch.upload([np.zeros((*size, 3), np.uint8) for size in sizes])


@pytest.mark.parametrize("crop", [CropSpec(), CropSpec(unit_px=1.0), CropSpec(corners=True)])
def test_a_spread_in_the_image_is_as_long_as_the_way_between_two_joints(crop: CropSpec) -> None:
    estimator = PoseEstimator(Spread(17), COCO17, crop=crop, spread=True)
    boxes = np.array([[10, 20, 70, 220], [100, 50, 130, 90], [5, 5, 205, 55]], np.float32)
    people = [Detections(boxes[:2], [0.9, 0.8]), Detections.empty(), Detections(boxes[2:], [0.7])]
    found = estimator(black((300, 300), (10, 10), (300, 300)), people)
    assert [len(poses) for poses in found] == [2, 0, 1]
    assert found[1].keypoint_std.shape == (0, 17)
    rtol = 0.01 if crop.corners else 1e-4  # whose cells are no squares
    for poses in found:
        assert np.isnan(poses.keypoint_std[:, 0]).all()  # of score 0 nothing is known
        cell = np.linalg.norm(np.diff(poses.keypoints, axis=1), axis=-1) / np.sqrt(2)
        wanted = cell.mean(1)[:, None] * np.arange(1, 17)
        np.testing.assert_allclose(poses.keypoint_std[:, 1:], wanted, rtol=rtol)


def test_joints_of_other_sets_have_the_spread_of_their_sources() -> None:
    estimator = PoseEstimator(Spread(17), COCO17, output=HALPE26, spread=True)
    (poses,) = estimator(black((300, 300)), [Detections([[10, 20, 70, 220]], [0.9])])
    spreads = dict(zip(HALPE26.keypoint_names, poses.keypoint_std[0], strict=True))
    assert np.isnan([spreads["nose"], spreads["head_top"], spreads["left_big_toe"]]).all()
    wanted = (spreads["left_shoulder"] + spreads["right_shoulder"]) / 2
    assert spreads["neck"] == pytest.approx(wanted)
    assert spreads["right_ankle"] / spreads["left_eye"] == pytest.approx(16)


def test_poses_without_spreads_have_none_that_are_numbers() -> None:
    assert np.isnan(poses_of([1.0]).keypoint_std).all()
    assert Poses.empty(COCO17).keypoint_std.shape == (0, 17)


def poses_of(scores: list[float], keypoint_std: np.ndarray | None = None) -> Poses:
    """People of 100 x 200 px at the same place, some px beside each other."""
    rng = np.random.default_rng(0)
    body = rng.uniform(0, 1, (136, 2)) * (100, 200)
    keypoints = body + 2.0 * np.arange(len(scores))[:, None, None]
    boxes = np.tile([0.0, 0, 100, 200], (len(scores), 1))
    levels = np.array(scores)[:, None] * np.ones(136)
    columns = keypoints, levels, boxes, scores, np.arange(len(scores)), HALPE136
    spreads = {} if keypoint_std is None else {"keypoint_std": keypoint_std}
    return Poses(*columns, **spreads)


@pytest.mark.parametrize("form", ["body", "wholebody"])
def test_who_stays_after_pose_nms_keeps_the_own_spreads(form: str) -> None:
    spreads = np.array([1.0, 2.0])[:, None] * np.ones(136)
    nms = PoseNms(PoseNmsConfig(form=form, merge_radius=0.1))
    kept = nms(poses_of([0.5, 0.9], spreads))
    assert len(kept) == 1
    np.testing.assert_array_equal(kept.keypoint_std, 2.0)


def test_a_part_that_is_placed_anew_has_the_new_spreads() -> None:
    face = PoseEstimator(Spread(68), FACE68, crop=CropSpec(input_hw=(64, 64)), spread=True)
    whole = poses_of([0.9], np.full((1, 136), 5.0))
    (out,) = PartRefiner(face, "face", HALPE136)(black((300, 300)), [whole])
    part = HALPE136.parts["face"]
    places = face.skeleton
    assert np.isnan(out.keypoint_std[0, part.start])
    assert (np.diff(out.keypoint_std[0, part][1:]) > 0).all()
    assert len(places) == part.stop - part.start
    others = np.delete(out.keypoint_std[0], np.r_[part])
    np.testing.assert_array_equal(others, 5.0)


def weights(path: Path, skeleton: Skeleton = COCO17, decode: str = "sikr") -> Path:
    """A random light network."""
    torch.manual_seed(0)
    architecture = Architecture(LIGHT, len(skeleton), {"head_channels": 96})
    network = fold_batch_norm(architecture.build().eval())  # type: ignore[arg-type]
    info = default_info(architecture, "")
    info = replace(info, decode=decode, skeleton=skeleton.name, input_hw=(64, 64), untaught=())
    save_checkpoint(network, info, path)
    return path


def estimated(config: PoseConfig, runtime: str = "torch") -> Poses:
    estimator = create_estimator(config, runtime=RuntimeOptions(runtime, device="cpu"))
    image = np.random.default_rng(0).integers(0, 255, (120, 90, 3), np.uint8)
    boxes = np.array([[5, 5, 60, 110], [30, 10, 80, 100], [0, 0, 20, 40]], np.float32)
    (poses,) = estimator(ImageBatch.upload([image]), [Detections(boxes, [0.9, 0.8, 0.7])])
    return poses


@pytest.mark.parametrize("runtime", ["torch", "onnxruntime", "openvino"])
def test_every_runtime_tells_the_same(tmp_path: Path, runtime: str) -> None:
    if runtime != "torch":
        pytest.importorskip(runtime, reason=f"SPREADS NOT CHECKED: no {runtime}")
        pytest.importorskip("onnx", reason="SPREADS NOT CHECKED: no onnx")
    config = replace(ASKED, weights=str(weights(tmp_path / "net.safetensors")))
    found, wanted = estimated(config, runtime), estimated(config)
    np.testing.assert_allclose(found.keypoint_std, wanted.keypoint_std, rtol=1e-3)
    assert (found.keypoint_std > 0).all()
    unasked = estimated(replace(config, keypoint_std=False), runtime)
    assert np.isnan(unasked.keypoint_std).all()
    np.testing.assert_allclose(unasked.keypoints, found.keypoints, atol=1e-3)


def test_an_exported_file_tells_it_where_it_was_asked_to(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="SPREADS NOT CHECKED: no onnxruntime")
    pytest.importorskip("onnx", reason="SPREADS NOT CHECKED: no onnx")
    source = weights(tmp_path / "net.safetensors")
    for asked in (False, True):
        decoded, *_ = decoded_network(source, replace(ASKED, keypoint_std=asked))
        graph = onnx_bytes(decoded, torch.zeros(2, 3, 64, 64), pose_names(spread=asked))
        (tmp_path / f"{asked}.onnx").write_bytes(graph)
    told = replace(ASKED, weights=str(tmp_path / "True.onnx"))
    wanted = estimated(replace(ASKED, weights=str(source)))
    found = estimated(told, "onnxruntime")
    np.testing.assert_allclose(found.keypoint_std, wanted.keypoint_std, rtol=1e-3)
    assert np.isnan(estimated(replace(told, keypoint_std=False), "onnxruntime").keypoint_std).all()
    with pytest.raises(ConfigError, match=r"pose\.keypoint_std: expected a file of .* export"):
        estimated(replace(told, weights=str(tmp_path / "False.onnx")), "onnxruntime")


def test_networks_without_probability_maps_are_refused(tmp_path: Path) -> None:
    heatmaps = weights(tmp_path / "heat.safetensors", decode="heatmap")
    with pytest.raises(ConfigError, match=r"heat\.safetensors is decoded as heatmap"):
        create_estimator(replace(ASKED, weights=str(heatmaps)))
    combined = weights(tmp_path / "both.safetensors", HALPE136, "combined")
    with pytest.raises(ConfigError, match=r"both\.safetensors is decoded as combined"):
        create_estimator(replace(ASKED, weights=str(combined)))
    assert len(HeatmapDecoder()(torch.zeros(1, 17, 8, 6))) == 2
    assert len(CombinedDecoder(136)(torch.zeros(1, 136, 8, 6))) == 2


def test_a_flip_test_and_a_calibration_leave_it_there(tmp_path: Path) -> None:
    from alphapose_ros.pose.confidence import CalibratedDecoder, Calibration, Logistic

    source = weights(tmp_path / "net.safetensors")
    flipped = estimated(replace(ASKED, weights=str(source), flip_test=True))
    assert (flipped.keypoint_std > 0).all()
    calibration = Calibration(COCO17.name, {"body": Logistic(2.0, 1.0)})
    decoder = SikrDecoder(spread=True)
    maps = torch.randn((2, 17, 8, 6), generator=torch.Generator().manual_seed(0))
    *_, spreads = CalibratedDecoder(decoder, calibration, COCO17)(maps)
    assert torch.equal(spreads, decoder(maps)[2])
