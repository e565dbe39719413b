# SPDX-License-Identifier: Apache-2.0
"""``pose.input_size``: the same network on more or fewer pixels of the same people."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.base.records import Detections, Poses
from alphapose_ros.base.skeletons import HALPE136
from alphapose_ros.eval.bench_scene import three_people
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.pose.config import PoseConfig
from alphapose_ros.pose.factory import create_estimator
from alphapose_ros.runtime.config import RuntimeOptions

pytestmark = pytest.mark.usefixtures("one_thread")

BOXES = np.array([[30, 80, 190, 480], [240, 120, 400, 480], [450, 100, 610, 480]], np.float32)


def estimated(size: str, boxes: np.ndarray = BOXES) -> tuple[Poses, list[tuple[int, ...]]]:
    """Poses of the boxes, and the shapes that the network was given."""
    estimator = create_estimator(PoseConfig(input_size=size), "cpu", RuntimeOptions("torch"))
    network, shapes = estimator.network, []  # type: ignore[attr-defined]

    def watched(crops: torch.Tensor) -> object:
        shapes.append(tuple(crops.shape))
        return network(crops)

    estimator.network = watched  # type: ignore[attr-defined]
    people = Detections(boxes, np.ones(len(boxes), np.float32))
    (found,) = estimator(ImageBatch.upload([three_people()], torch.device("cpu")), [people])
    return found, shapes


def test_the_networks_own_size_named_changes_nothing() -> None:
    (named, shapes), (own, _) = estimated("256x192"), estimated("")
    assert shapes == [(3, 3, 256, 192)]
    np.testing.assert_array_equal(named.keypoints, own.keypoints)


@pytest.mark.parametrize(("size", "hw"), [("224x160", (224, 160)), ("384x288", (384, 288))])
def test_joints_of_another_size_lie_on_the_same_people(size: str, hw: tuple[int, int]) -> None:
    (found, shapes), (own, _) = estimated(size), estimated("")
    assert shapes == [(3, 3, *hw)]
    sure = np.zeros(len(HALPE136), bool)
    sure[:7] = True  # head and shoulders: the picture ends below
    sure &= own.scores.min(0) > 0.4
    assert sure.sum() >= 5
    apart = np.linalg.norm(found.keypoints - own.keypoints, axis=-1)[:, sure]
    assert np.median(apart) < 0.015 * 400
    assert apart.max() < 0.06 * 400


def test_nobody_at_another_size() -> None:
    found, shapes = estimated("224x160", BOXES[:0])
    assert found.keypoints.shape == (0, 136, 2)
    assert shapes == []


@pytest.mark.parametrize(
    "size", ["224", "224x", "224x150", "0x160", "160 x 128", "-32x32", "x", "32x32x32", "٣٢x٣٢"]
)
def test_what_is_no_size_is_refused(size: str) -> None:
    with pytest.raises(ConfigError, match=r"pose\.input_size: expected height x width.*got"):
        PoseConfig(input_size=size)


def test_an_onnx_file_keeps_its_size(tmp_path: Path) -> None:
    (tmp_path / "x.onnx").write_bytes(b"")
    config = PoseConfig(weights=str(tmp_path / "x.onnx"), input_size="224x160")
    with pytest.raises(ConfigError, match=r"pose\.input_size: the size of an ONNX"):
        create_estimator(config, "cpu", RuntimeOptions("torch"))
