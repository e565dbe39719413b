# SPDX-License-Identifier: Apache-2.0
"""One-stage networks: whole images in, people out; sizes, channels and thresholds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.base.records import Detections
from alphapose_ros.base.skeletons import COCO17, HAND21
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.pose.rtmo import OneStageEstimator

K = len(COCO17)


def dot_image(size_hw: tuple[int, int], x: float, y: float, sigma: float) -> np.ndarray:
    """A Gaussian dot on black."""
    rows, columns = np.mgrid[0 : size_hw[0], 0 : size_hw[1]]
    dot = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
    return np.repeat(dot[..., None], 3, 2).round().astype(np.uint8)


def centroid(image: Tensor) -> tuple[Tensor, ...]:
    """One person at the bright dot's centre of gravity; the padding of 114 is left out."""
    bright = image[0].mean(0)
    mass = torch.where(bright == 114, torch.zeros_like(bright), bright).double()
    x = (mass.sum(0) * torch.arange(mass.shape[1])).sum() / mass.sum()
    y = (mass.sum(1) * torch.arange(mass.shape[0])).sum() / mass.sum()
    box = torch.stack([x - 9, y - 9, x + 9, y + 9, x * 0 + 0.8])
    joint = torch.stack([x, y, x * 0 + 1.5])
    return box[None, None], joint.expand(1, 1, K, 3)


@pytest.mark.parametrize("size_hw", [(160, 160), (320, 200), (97, 240)])
def test_joints_come_back_to_where_the_letterbox_took_them(size_hw: tuple[int, int]) -> None:
    x, y = size_hw[1] * 0.6, size_hw[0] * 0.4
    batch = ImageBatch.upload([dot_image(size_hw, x, y, 5.0)])
    estimator = OneStageEstimator(centroid, COCO17, input_hw=(160, 160))
    (poses,) = estimator(batch, [Detections.empty()])
    scale = min(160 / size_hw[0], 160 / size_hw[1])
    np.testing.assert_allclose(poses.keypoints[0], np.tile([x, y], (K, 1)), atol=0.3)
    sides = poses.boxes[0, 2:] - poses.boxes[0, :2]
    np.testing.assert_allclose(sides, 18 / scale, rtol=1e-4)
    assert (poses.scores == 1).all()  # cut to 1
    assert poses.source.tolist() == [0]


class Canned:
    """Gives what it was told, and keeps what it saw."""

    def __init__(self, dets: list[list[float]], dtype: torch.dtype = torch.float32) -> None:
        self.dets = torch.tensor(dets, dtype=dtype).view(1, -1, 5)
        self.seen: list[Tensor] = []

    def __call__(self, image: Tensor) -> tuple[Tensor, ...]:
        self.seen.append(image)
        count = self.dets.shape[1]
        joints = torch.arange(count, dtype=self.dets.dtype).view(1, -1, 1, 1)
        return self.dets, joints.expand(1, count, K, 3)


def test_the_network_sees_blue_green_red_as_they_are() -> None:
    image = np.zeros((10, 20, 3), np.uint8)
    image[:] = 10, 20, 30
    network = Canned([])
    OneStageEstimator(network, COCO17, input_hw=(40, 40))(ImageBatch.upload([image, image]), [])
    assert [tuple(seen.shape) for seen in network.seen] == [(1, 3, 40, 40)] * 2
    for seen in network.seen:
        assert seen[0, :, 0, 0].tolist() == [30, 20, 10]
        assert seen[0, :, 39, 39].tolist() == [114, 114, 114]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
def test_the_probable_and_the_separate_stay_best_first(dtype: torch.dtype) -> None:
    dets = [
        [0, 0, 10, 10, 0.5], [20, 20, 30, 30, 0.75], [1, 0, 10, 10, 0.375], [0, 0, 9, 9, 0.25],
        [35, 35, 35, 39, 0.99], [90, 90, 95, 95, 0.99], [5, 0, 14, 10, 0.4],
    ]  # fmt: skip
    estimator = OneStageEstimator(
        Canned(dets, dtype), COCO17, input_hw=(40, 40), score_threshold=0.3
    )
    (poses,) = estimator(ImageBatch.upload([np.zeros((40, 40, 3), np.uint8)]), [])
    np.testing.assert_allclose(poses.box_scores, [0.75, 0.5, 0.4], atol=1e-3)
    assert poses.keypoints[:, 0, 0].tolist() == [1, 0, 6]
    assert poses.scores[:, 0].tolist() == [1, 0, 1]
    assert poses.source.tolist() == [0, 1, 2]


def test_nobody_and_no_image() -> None:
    estimator = OneStageEstimator(Canned([]), COCO17, input_hw=(40, 40))
    assert estimator(ImageBatch.upload([]), []) == []
    (poses,) = estimator(ImageBatch.upload([np.zeros((9, 7, 3), np.uint8)]), [])
    assert poses.keypoints.shape == (0, K, 2)
    assert estimator.skeleton is COCO17


def test_a_skeleton_without_common_joints_is_refused() -> None:
    with pytest.raises(ConfigError, match="shares joints with coco17, got hand21"):
        OneStageEstimator(Canned([]), COCO17, input_hw=(40, 40), output=HAND21)
