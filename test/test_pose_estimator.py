# SPDX-License-Identifier: Apache-2.0
"""Top-down estimation with stand-in networks: whose crops, in which order, and the way back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import boxes
from torch import Tensor, nn

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.base.records import Detections
from alphapose_ros.base.skeletons import COCO17, HALPE26, HALPE136, HAND21
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.imaging.atlas import ImageAtlas
from alphapose_ros.pose.crops import CropSpec
from alphapose_ros.pose.estimator import PoseEstimator

K = len(COCO17)


class Middle(nn.Module):
    """Every joint in the middle of the maps; its score is the crop's brightness."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[int] = []

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        self.calls.append(len(crops))
        count, _, height, width = crops.shape
        middle = crops.new_tensor([width / 8, height / 8])
        score = crops.mean((1, 2, 3)) / 255
        return middle.expand(count, K, 2), score[:, None].expand(count, K)


def detections(count: int, start: float = 0.0) -> Detections:
    corners = start + 5 * np.arange(count, dtype=np.float32)[:, None] + np.zeros(4, np.float32)
    corners[:, 2:] += [30, 60]
    return Detections(corners, np.linspace(0.9, 0.1, count, dtype=np.float32))


def uniform(value: int) -> np.ndarray:
    """Larger than the crops of :func:`detections`, so that they are of one brightness."""
    return np.full((300, 300, 3), value, np.uint8)


def test_poses_stay_with_their_images_and_boxes() -> None:
    network = Middle()
    estimator = PoseEstimator(network, COCO17, max_batch=3)
    given_people = [detections(2, 100), Detections.empty(), detections(5, 120)]
    batch = ImageBatch.upload([uniform(51), uniform(0), uniform(204)])
    found = estimator(batch, given_people)
    assert network.calls == [3, 2, 2]
    assert not network.training
    assert not estimator.finds_people
    for poses, people, brightness in zip(found, given_people, (0.2, 0, 0.8), strict=True):
        assert poses.keypoints.shape == (len(people), K, 2)
        np.testing.assert_array_equal(poses.boxes, people.boxes)
        np.testing.assert_array_equal(poses.box_scores, people.scores)
        assert poses.source.tolist() == list(range(len(people)))
        centers = (people.boxes[:, None, :2] + people.boxes[:, None, 2:]) / 2
        np.testing.assert_allclose(poses.keypoints, centers.repeat(K, 1), atol=1e-3)
        np.testing.assert_allclose(poses.scores, brightness, atol=1e-4)


def test_peaks_of_regressed_maps_become_scores() -> None:
    def network(crops: Tensor) -> tuple[Tensor, Tensor]:
        peaks = torch.tensor([-0.05, 0.0, 0.4, 1.0, 1.3]).repeat(4)[:K]
        return torch.zeros(len(crops), K, 2), peaks.expand(len(crops), K)

    (poses,) = PoseEstimator(network, COCO17)(ImageBatch.upload([uniform(0)]), [detections(1)])
    assert poses.scores[0, :5] == pytest.approx([0, 0, 0.4, 1, 1])
    assert poses.person_scores[0] <= 1


def test_nobody_never_reaches_the_network() -> None:
    network = Middle()
    estimator = PoseEstimator(network, COCO17)
    assert estimator(ImageBatch.upload([]), []) == []
    (poses,) = estimator(ImageBatch.upload([uniform(9)]), [Detections.empty()])
    assert poses.keypoints.shape == (0, K, 2)
    assert network.calls == []


def test_a_full_device_halves_the_batch_and_it_stays_so() -> None:
    calls: list[int] = []

    def network(crops: Tensor) -> tuple[Tensor, Tensor]:
        calls.append(len(crops))
        if len(crops) > 2:
            raise torch.cuda.OutOfMemoryError("full")
        return Middle()(crops)

    estimator = PoseEstimator(network, COCO17, max_batch=8)
    batch, people = ImageBatch.upload([uniform(51)]), [detections(5, 100)]
    (poses,) = estimator(batch, people)
    assert calls == [5, 2, 2, 1]
    np.testing.assert_allclose(poses.scores, 0.2, atol=1e-4)
    estimator(batch, people)
    assert calls[4:] == [2, 2, 1]
    assert (estimator.limit.at_once, estimator.limit.most) == (2, 8)


def test_no_memory_for_the_crops_halves_the_batch_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    batch, network = ImageBatch.upload([uniform(51)]), Middle()
    cut = batch.crops

    def crops(boxes: np.ndarray, *rest: object, **options: object) -> Tensor:
        if len(boxes) > 2:
            raise torch.cuda.OutOfMemoryError("full")
        return cut(boxes, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(batch, "crops", crops)
    (poses,) = PoseEstimator(network, COCO17, max_batch=8)(batch, [detections(4, 100)])
    assert len(poses) == 4
    assert network.calls == [2, 2]


def test_a_device_too_small_for_one_crop_says_so() -> None:
    def network(crops: Tensor) -> tuple[Tensor, Tensor]:
        raise torch.cuda.OutOfMemoryError("full")

    estimator = PoseEstimator(network, COCO17, max_batch=2)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        estimator(ImageBatch.upload([uniform(0)]), [detections(1)])


@pytest.mark.parametrize("output", [HALPE26, HALPE136])
def test_other_joints_by_name_with_neck_and_pelvis_between(output) -> None:
    def network(crops: Tensor) -> tuple[Tensor, Tensor]:
        points = torch.stack([torch.arange(K), torch.arange(K) * 2], -1).float()
        scores = 0.5 + torch.arange(K) / 100
        return points.expand(len(crops), K, 2), scores.expand(len(crops), K)

    batch, people = ImageBatch.upload([uniform(0)]), [detections(2, 50)]
    (own,) = PoseEstimator(network, COCO17)(batch, people)
    estimator = PoseEstimator(network, COCO17, output=output)
    assert estimator.skeleton is output
    (found,) = estimator(batch, people)
    assert found.skeleton is output
    np.testing.assert_array_equal(found.keypoints[:, :K], own.keypoints)
    for name, pair in (("neck", "shoulder"), ("pelvis", "hip")):
        a, b = (COCO17.index(f"{side}_{pair}") for side in ("left", "right"))
        k = output.index(name)
        middle = (own.keypoints[:, a] + own.keypoints[:, b]) / 2
        np.testing.assert_allclose(found.keypoints[:, k], middle, rtol=1e-5)
        np.testing.assert_allclose(found.scores[:, k], 0.5 + a / 100, rtol=1e-5)
    absent = [k for k, n in enumerate(output.keypoint_names) if n.endswith(("top", "toe", "heel"))]
    assert not found.scores[:, absent].any()


def test_a_skeleton_without_common_joints_is_refused() -> None:
    with pytest.raises(ConfigError, match="shares joints with coco17, got hand21"):
        PoseEstimator(Middle(), COCO17, output=HAND21)


def slow_to_image(point: tuple[float, float], crop: np.ndarray, spec: CropSpec) -> list[float]:
    """One point, one axis at a time."""
    out = []
    for axis, side in ((0, spec.input_hw[1]), (1, spec.input_hw[0])):
        cells = side / spec.unit_px
        steps = cells - 1 if spec.corners else cells
        length = float(crop[axis + 2]) - float(crop[axis])
        out.append(float(crop[axis]) + point[axis] * length / steps)
    return out


@given(
    boxes(n=3, min_side=8), st.sampled_from([1.0, 4.0]), st.booleans(),
    st.tuples(st.floats(0, 48), st.floats(0, 64)), st.sampled_from([1.0, 1.25, 1.5]),
)  # fmt: skip
def test_keypoints_go_back_as_the_formula_says(people, unit, corners, point, padding) -> None:
    spec = CropSpec(input_hw=(256, 192), padding=padding, unit_px=unit, corners=corners)
    crops = spec.boxes(people)
    points = np.broadcast_to(np.array(point, np.float32), (3, 1, 2))
    found = spec.to_image(points, crops)[:, 0]
    wanted = [slow_to_image(point, crop, spec) for crop in crops]
    np.testing.assert_allclose(found, wanted, atol=0.05)
    sides = people[:, 2:] - people[:, :2]
    fitting = ((crops[:, 2:] - crops[:, :2]) / sides).min(1)
    np.testing.assert_allclose(fitting, padding, rtol=1e-3)


@pytest.mark.parametrize("corners", [False, True])
def test_a_pixel_of_the_crop_goes_back_to_where_it_was_taken_from(corners: bool) -> None:
    rows, columns = np.mgrid[0:150, 0:200].astype(np.uint8)
    image = np.stack([columns, rows, rows], -1)
    spec = CropSpec(input_hw=(64, 48), unit_px=1.0, corners=corners)
    crops = spec.boxes(np.array([[40, 30, 100, 110]], np.float32))
    pixels = ImageAtlas.of([image], "cpu").crops(
        crops, np.zeros(1, np.intp), (64, 48), corners=corners
    )
    points = np.array([[[0, 0], [20, 30], [47, 63]]], np.float32)
    there = spec.to_image(points, crops)[0]
    sampled = [pixels[0, :2, int(y), int(x)].tolist() for x, y in points[0]]
    np.testing.assert_allclose(sampled, there, atol=1e-3)
    assert (there[2] == crops[0, 2:]).all() == corners
