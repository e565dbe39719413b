# SPDX-License-Identifier: Apache-2.0
"""Doubtful feet in a training: little weight, a robust distance, and nothing else changes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from coco_scenes import coco_file, flat, person
from torch import Tensor

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.base.skeletons import COCO17, HALPE136
from alphapose_ros.pose.loss_config import PoseLossConfig
from alphapose_ros.pose.losses import PoseLoss
from alphapose_ros.train.feet_loss import FeetLoss
from alphapose_ros.train.pose import train_pose
from alphapose_ros.train.pose_config import PoseTrainConfig

pytestmark = pytest.mark.usefixtures("one_thread")

TOE = 20


def batch(doubtful: bool = True) -> tuple[Tensor, Tensor, Tensor]:
    """Body annotated, face pseudo-labelled, one person's left big toe doubtful."""
    logits = torch.randn((2, 136, 64, 48), generator=torch.Generator().manual_seed(1))
    points = torch.rand((2, 136, 2), generator=torch.Generator().manual_seed(2)) * 180
    labels = torch.zeros((2, 136), dtype=torch.uint8)
    labels[:, :17], labels[:, 26:94] = 2, 1
    labels[1, TOE] = int(doubtful)
    return logits, points, labels


def test_without_doubtful_feet_it_is_the_same_loss() -> None:
    logits, points, labels = batch(doubtful=False)
    labels[0, 20:26] = 2  # annotated feet are no doubtful ones
    config = PoseLossConfig()
    plain = PoseLoss(HALPE136, config)(logits, points, labels)
    assert FeetLoss(HALPE136, config, 0.1)(logits, points, labels) == plain
    nobody = torch.zeros_like(labels)
    assert FeetLoss(HALPE136, config, 0.1)(logits, points, nobody)["loss"] == 0


def test_the_weight_is_of_the_feet_alone() -> None:
    logits, points, labels = batch()
    without = FeetLoss(HALPE136, PoseLossConfig(), 0.0)(logits, points, labels)
    rest = PoseLoss(HALPE136, PoseLossConfig())(*batch(doubtful=False))
    assert without["loss"] == pytest.approx(rest["loss"])
    some, more = (
        FeetLoss(HALPE136, PoseLossConfig(), w)(logits, points, labels) for w in (0.1, 0.3)
    )
    for name in ("loss", "heatmap", "sikr"):
        assert more[name] - rest[name] == pytest.approx(3 * (some[name] - rest[name]), rel=1e-3)
        assert some[name] > rest[name]
    assert some["pixels"] == rest["pixels"]


def pull(loss: PoseLoss, joint: int, distance: float) -> float:
    """Size of the coordinates' gradient at the maps of a joint that far from its label."""
    logits, points, labels = batch()
    cells = torch.arange(48) - 20.0, torch.arange(64) - 30.0
    peak = 8 - 0.5 * (cells[0][None] ** 2 + cells[1][:, None] ** 2)
    logits[:, joint] = peak
    points[:, joint] = torch.tensor([80.0 + distance, 120.0])
    logits.requires_grad_()
    loss(logits, points, labels)["sikr"].backward()
    assert logits.grad is not None
    return float(logits.grad[1, joint].abs().sum())


def test_a_label_far_off_lets_go_and_faces_do_not() -> None:
    config = PoseLossConfig()
    plain = PoseLoss(HALPE136, replace(config, parts={"feet": 0.1}))
    feet = FeetLoss(HALPE136, config, 0.1)
    assert pull(plain, TOE, 60) == pytest.approx(pull(plain, TOE, 10), rel=0.05)
    assert pull(feet, TOE, 60) < 0.4 * pull(feet, TOE, 10)
    assert pull(feet, 40, 60) == pytest.approx(pull(plain, 40, 60))


def test_skeletons_without_feet_are_refused() -> None:
    with pytest.raises(ConfigError, match="expected a skeleton with feet"):
        FeetLoss(COCO17, PoseLossConfig(), 0.1)


def config_of(folder: Path, feet: str) -> PoseTrainConfig:
    path = coco_file(folder, [person(flat(COCO17), id=3)])
    return PoseTrainConfig(
        out=str(folder / "out"), sets=[f"{path}@{folder}"], feet=feet, steps=1, batch_size=2,
        heatmap_steps=0, warmup=1, workers=0, device="cpu", freeze=2, feet_weight=0.5,
        input_hw=(64, 64), augment=0.0,
    )  # fmt: skip


def test_feet_name_one_of_the_sets(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected annotations that sets names"):
        config_of(tmp_path, "feet.json@other.json")
    with pytest.raises(ConfigError, match="expected FEET@ANNOTATIONS"):
        config_of(tmp_path, "feet.json")


def test_a_training_takes_the_feet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"annotation_id": 3, "image_id": 7, "side": "L", "big_toe": [40, 60]}
    (tmp_path / "feet.json").write_text(json.dumps({"train": [row]}))
    seen = []
    call = FeetLoss.__call__

    def noted(loss: FeetLoss, logits: Tensor, points: Tensor, labels: Tensor) -> object:
        seen.append(labels[:, 20:26].sum(0).tolist())
        return call(loss, logits, points, labels)

    monkeypatch.setattr(FeetLoss, "__call__", noted)
    train_pose(config_of(tmp_path, f"{tmp_path}/feet.json@{tmp_path}/set.json"))
    assert len(seen) == 1
    assert sum(seen[0]) == 2  # a toe of either side (mirrored or not) in both crops
    assert seen[0][2:] == [0, 0, 0, 0]
