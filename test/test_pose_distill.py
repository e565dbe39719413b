# SPDX-License-Identifier: Apache-2.0
"""Soft targets: a teacher's word counts like a label, as much as the teacher is sure."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.skeletons import HALPE136
from alphapose_ros.pose.distill import SoftTargets
from alphapose_ros.pose.loss_config import KINDS, PoseLossConfig
from alphapose_ros.pose.losses import PoseLoss
from alphapose_ros.pose.sikr import SikrDecoder

pytestmark = pytest.mark.usefixtures("one_thread")

K, MAP = len(HALPE136), (8, 6)


def maps(people: int = 2, seed: int = 0) -> Tensor:
    source = torch.Generator().manual_seed(seed)
    return torch.randn((people, K, *MAP), generator=source) * 2


def places(people: int = 2) -> tuple[Tensor, Tensor]:
    source = torch.Generator().manual_seed(3)
    points = torch.rand((people, K, 2), generator=source) * torch.tensor([24.0, 34.0]) - 2
    return points, torch.rand((people, K), generator=source) < 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_a_sure_teacher_is_a_label(kind: str) -> None:
    loss = PoseLoss(HALPE136, PoseLossConfig(kind=kind))
    points, mask = places()
    teacher = SoftTargets.from_points(points, torch.ones(2, K), mask)
    found = loss.distill(maps(), teacher)
    wanted = loss(maps(), points, 2 * mask.byte())
    for name in wanted:
        torch.testing.assert_close(found[name], wanted[name])
    assert wanted["loss"] > 0


def test_an_unsure_teacher_teaches_low_maps_and_hardly_a_coordinate() -> None:
    loss = PoseLoss(HALPE136, PoseLossConfig())
    points, mask = places()
    points = points.clamp(min=0)
    points[..., 0].clamp_(max=20)
    points[..., 1].clamp_(max=28)
    sure = loss.distill(maps(), SoftTargets.from_points(points, torch.ones(2, K), mask))
    half = loss.distill(maps(), SoftTargets.from_points(points, torch.full((2, K), 0.5), mask))
    torch.testing.assert_close(half["sikr"], 0.5 * sure["sikr"])
    torch.testing.assert_close(half["pixels"], sure["pixels"])
    low, high = torch.full((2, K, *MAP), -9.0), maps()
    nothing = SoftTargets.from_points(points, torch.zeros(2, K), mask)
    assert loss.distill(low, nothing)["heatmap"] < 0.01 < loss.distill(high, nothing)["heatmap"]
    assert loss.distill(high, nothing)["sikr"] == 0


def test_scores_of_heatmap_networks_are_cut() -> None:
    teacher = SoftTargets.from_points(torch.zeros(1, 3, 2), torch.tensor([[-0.2, 0.4, 1.3]]))
    torch.testing.assert_close(teacher.scores, torch.tensor([[0.0, 0.4, 1.0]]))
    assert (teacher.weights == 1).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("people", [0, 2])
def test_a_mask_of_nobody_is_a_zero_with_a_zero_gradient(kind: str, people: int) -> None:
    loss = PoseLoss(HALPE136, PoseLossConfig(kind=kind))
    student = maps(people).requires_grad_()
    nobody = torch.zeros((people, K), dtype=torch.bool)
    nowhere = torch.full((people, K, 2), torch.nan)
    terms = loss.distill(student, SoftTargets.from_points(nowhere, nobody.float(), nobody))
    assert {name: value.item() for name, value in terms.items()} == dict.fromkeys(terms, 0.0)
    assert (torch.autograd.grad(terms["loss"], student)[0] == 0).all()


def test_no_gradient_reaches_the_teacher() -> None:
    points = places()[0].requires_grad_()
    teacher = SoftTargets.from_points(points, points[..., 0])
    assert not any(t.requires_grad for t in vars(teacher).values())


def test_a_student_follows_its_teacher() -> None:
    points, scores = SikrDecoder()(maps(1, seed=7))
    teacher = SoftTargets.from_points(4 * points, scores)
    loss, student = PoseLoss(HALPE136, PoseLossConfig()), torch.zeros(1, K, *MAP)
    first = loss.distill(student, teacher)
    for _ in range(30):
        student.requires_grad_()
        last = loss.distill(student, teacher)
        (gradient,) = torch.autograd.grad(last["loss"], student)
        student = student.detach() - 0.1 * gradient.sign()
    assert last["heatmap"] < 0.9 * first["heatmap"]
    assert last["pixels"] < 0.5 * first["pixels"]


@pytest.mark.parametrize("name", ["points", "scores", "weights"])
def test_targets_of_another_shape_are_refused(name: str) -> None:
    teacher = SoftTargets.from_points(places()[0], torch.ones(2, K))
    wrong = replace(teacher, **{name: getattr(teacher, name)[:, 1:]})
    with pytest.raises(InputError, match=rf"teacher.s {name}: expected \(2, 136.*got \(2, 135"):
        PoseLoss(HALPE136, PoseLossConfig()).distill(maps(), wrong)
