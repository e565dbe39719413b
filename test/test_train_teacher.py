# SPDX-License-Identifier: Apache-2.0
"""Other losses in a run, and a teacher who sees each crop before it is spoilt."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from coco_scenes import coco_file, flat, person

from alphapose_ros.base.errors import ConfigError, InputError
from alphapose_ros.base.skeletons import COCO17, HALPE136
from alphapose_ros.data.augment import AugmentConfig
from alphapose_ros.data.pose_samples import PoseSamples, SetSpec
from alphapose_ros.models.checkpoint import load_checkpoint
from alphapose_ros.pose.ablation import LOSSES
from alphapose_ros.pose.config import PoseConfig
from alphapose_ros.pose.factory import decoded_network
from alphapose_ros.train.pose import train_pose
from alphapose_ros.train.pose_config import PoseTrainConfig
from alphapose_ros.train.students import make_student, write_student
from alphapose_ros.train.teacher import Teacher

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")


def config_for(folder: Path, **options: object) -> PoseTrainConfig:
    path = coco_file(folder, [person(flat(HALPE136))])
    usual = PoseTrainConfig(
        out=str(folder / "run"), sets=[f"{path}@{folder}"], steps=1, batch_size=2,
        heatmap_steps=0, warmup=0, workers=0, device="cpu", log_every=1, input_hw=(64, 64),
    )  # fmt: skip
    return replace(usual, **options)


def logged(folder: Path) -> dict[str, str]:
    with (folder / "run" / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))[-1]


@pytest.mark.parametrize("loss", [name for name in LOSSES if name != "divide_sum"])
def test_a_file_is_decoded_as_its_loss_trained_it(tmp_path: Path, loss: str) -> None:
    made = train_pose(config_for(tmp_path, loss=loss))
    kind = LOSSES[loss].kind
    assert load_checkpoint(made)[1].decode == (kind if kind in ("heatmap", "combined") else "sikr")
    assert float(logged(tmp_path)["loss"]) > 0
    points, scores = decoded_network(made, PoseConfig())[0](torch.zeros(1, 3, 64, 64))
    assert (points.shape, scores.shape) == ((1, 136, 2), (1, 136))


def test_a_run_sets_the_weight_and_the_cut_of_our_losses_alone(tmp_path: Path) -> None:
    chosen = config_for(tmp_path, sikr_weight=7.0, tail_cut=0.2).chosen_loss
    assert (chosen.sikr, chosen.tail_cut) == (7.0, 0.2)
    one_step = config_for(tmp_path, sikr_weight=7.0, tail_cut=0.2, loss="softmax").chosen_loss
    assert (one_step.sikr, one_step.tail_cut) == (7.0, 0.0)
    original = config_for(tmp_path, sikr_weight=7.0, loss="combined").chosen_loss
    assert original == LOSSES["combined"]


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A random network of 136 joints."""
    student = make_student("", HALPE136)
    with torch.no_grad():
        for _ in range(5):  # running moments of real activations
            student.network.train()(torch.rand(4, 3, 64, 64) * 2 - 1)
    return write_student(student, student.network.state_dict(), tmp_path / "teacher.safetensors")


def test_a_teacher_says_what_its_network_decodes(weights: Path) -> None:
    crops = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    taught = Teacher(str(weights), HALPE136, CPU)(crops, 0.1)
    network = decoded_network(weights, PoseConfig())[0]
    with torch.no_grad():
        points, scores = network(crops.permute(0, 3, 1, 2))
    torch.testing.assert_close(taught.points, points * 4)  # a map's cell is 4 px
    torch.testing.assert_close(taught.scores, scores)
    assert torch.equal(taught.weights, (scores >= 0.1).float())
    assert not taught.points.requires_grad
    assert Teacher(str(weights), HALPE136, CPU)(crops[:0], 0.1).points.shape == (0, 136, 2)


def test_a_teacher_of_other_joints_is_refused(weights: Path) -> None:
    with pytest.raises(ConfigError, match=r"teacher of coco17, .*teacher\.safetensors knows"):
        Teacher(str(weights), COCO17, CPU)


def test_distillation_adds_its_term_and_moves_the_student(tmp_path: Path, weights: Path) -> None:
    config = config_for(tmp_path, distill=str(weights), distill_score=0.0, distill_weight=0.5)
    train_pose(config)
    row = {name: float(value) for name, value in logged(tmp_path).items()}
    assert row["distilled"] > 0
    alone = 1.0 * row["heatmap"] + config.sikr_weight * row["sikr"]
    assert row["loss"] == pytest.approx(alone + 0.5 * row["distilled"], rel=1e-4)


def test_the_easy_view_is_the_crop_before_it_is_spoilt(tmp_path: Path) -> None:
    spec = SetSpec.parse(config_for(tmp_path).sets[0])
    people = [(spec.read(HALPE136), 1.0)]
    strong = replace(AugmentConfig(), occlusion_probability=1.0, blur_probability=1.0)
    hard = PoseSamples(people, None, strong, seed=3)[5]
    both = PoseSamples(people, None, strong, seed=3, easy=True)[5]
    assert "easy" not in hard
    assert torch.equal(hard["image"], both["image"])
    assert not torch.equal(both["easy"], both["image"])
    mild = replace(AugmentConfig().scaled(0.0), jpeg_probability=0.0, flip_probability=0.5)
    same = PoseSamples(people, None, mild, seed=3, easy=True)[5]
    np.testing.assert_allclose(same["easy"].float(), same["image"].float(), atol=1)


def test_hands_without_people_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        train_pose(config_for(tmp_path, hands="nowhere.json@nowhere"))
