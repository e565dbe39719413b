# SPDX-License-Identifier: Apache-2.0
"""Two processes with half of each batch equal one process with all of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from train_processes import checkpoint, pose_config, rows, together

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.train.detector import train_detector
from alphapose_ros.train.detector_config import DetectorTrainConfig
from alphapose_ros.train.distributed import World, joined
from alphapose_ros.train.order import PositionSampler
from alphapose_ros.train.pose import train_pose
from alphapose_ros.weights import load_tensors

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.skipif(
        not torch.distributed.is_available(), reason="PROCESSES NOT CHECKED: no torch.distributed"
    ),
]


@pytest.mark.parametrize(("size", "pieces"), [(1, 1), (2, 1), (1, 2), (2, 2), (3, 2)])
def test_processes_and_pieces_share_out_the_same_samples(size: int, pieces: int) -> None:
    def positions(rank: int) -> list[list[int]]:
        sampler = PositionSampler(2, 4, 12, pieces=pieces, world=World(rank, size))
        flat = list(sampler)
        assert len(sampler) == len(flat) == 24 // size
        return [flat[k : k + sampler.share] for k in range(0, len(flat), sampler.share)]

    parts = [positions(rank) for rank in range(size)]
    mixed = [p for piece in zip(*parts, strict=True) for part in piece for p in part]
    assert mixed == list(range(24, 48))  # in the order of one process with one piece


def test_samples_that_cannot_be_shared_out_are_refused() -> None:
    with pytest.raises(ConfigError, match="multiple of 2 pieces times 3 processes, got 8"):
        PositionSampler(0, 1, 8, pieces=2, world=World(0, 3))


def test_a_world_of_one_changes_nothing() -> None:
    world, value = World(), torch.ones(2, requires_grad=True)
    assert world.gather(value) is value
    tensor = torch.tensor([1.5])
    world.share_sums([tensor])
    world.share_means([tensor])
    world.copy_from_main([tensor])
    assert tensor == 1.5
    assert world.agree(3)
    assert world.total(value).tolist() == [1, 1]


def test_half_an_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="RANK, MASTER_ADDR, MASTER_PORT"), joined("cpu"):
        pass
    monkeypatch.setenv("WORLD_SIZE", "two")
    with pytest.raises(ConfigError, match="WORLD_SIZE"), joined("cpu"):
        pass
    monkeypatch.delenv("WORLD_SIZE")
    with pytest.raises(ConfigError, match="device"), joined("toaster"):
        pass
    with joined("cpu") as world:
        assert (world.size, world.is_main) == (1, True)


def compare(one: Path, two: Path) -> None:
    first, second = checkpoint(one), checkpoint(two)
    for part in ("model", "average"):
        for name, value in first[part].items():
            torch.testing.assert_close(second[part][name], value, rtol=2e-4, atol=2e-6, msg=name)
    np.testing.assert_allclose(rows(two), rows(one), rtol=2e-4, atol=1e-6)


def test_two_processes_train_the_pose_network_of_one(tmp_path: Path) -> None:
    # A low rate: Adam divides by a gradient's own size, which makes the rounding of one near zero
    # a whole step.
    # A start whose norms are frozen: others see the samples of their own process alone.
    config = pose_config(tmp_path, "one", init="pose_nano", learning_rate=1e-5, warmup=0)
    finished = train_pose(config)
    together(train_pose, replace(config, out=str(tmp_path / "two")), tmp_path, 2)
    compare(tmp_path / "one", tmp_path / "two")
    one = checkpoint(tmp_path / "one")
    assert any((value != one["model"][k]).any() for k, value in one["average"].items())
    first, second = load_tensors(finished), load_tensors(tmp_path / "two" / finished.name)
    for name, value in first.items():
        torch.testing.assert_close(second[name], value, rtol=1e-3, atol=1e-4)


def test_two_processes_train_the_detector_of_one(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    people = {1: [[10, 12, 20, 40], [50, 20, 24, 36]], 2: [[30, 8, 28, 50]]}
    for image in people:
        cv2.imwrite(str(tmp_path / f"{image}.png"), rng.integers(0, 255, (72, 96, 3), np.uint8))
    content = {
        "images": [{"id": k, "file_name": f"{k}.png", "width": 96, "height": 72} for k in people],
        "annotations": [
            {"image_id": k, "category_id": 1, "bbox": box, "iscrowd": 0}
            for k, boxes in people.items()
            for box in boxes
        ],
        "categories": [{"id": 1, "name": "person"}],
    }
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    options = {
        "annotations": str(tmp_path / "boxes.json"), "images_dir": str(tmp_path), "steps": 2,
        "batch": 2, "warmup": 1, "learning_rate": 1e-5, "freeze_norms": True, "log_every": 1,
        "device": "cpu",
    }  # fmt: skip
    config = DetectorTrainConfig(**options, output_dir=str(tmp_path / "one"), sides=(64, 96))
    train_detector(config)
    together(train_detector, replace(config, output_dir=str(tmp_path / "two")), tmp_path, 2)
    compare(tmp_path / "one", tmp_path / "two")
