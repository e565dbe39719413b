# SPDX-License-Identifier: Apache-2.0
"""The pose loss: who counts, how much, and that following it downhill finds the joints."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from alphapose_ros.base.skeletons import COCO17, HALPE136
from alphapose_ros.pose.losses import PoseLoss, PoseLossConfig
from alphapose_ros.pose.sikr import SikrDecoder

K, MAP = len(HALPE136), (16, 12)
FACE = HALPE136.parts["face"]


def batch(people: int = 2, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits that need gradients and points inside the crop, in input px."""
    source = torch.Generator().manual_seed(seed)
    logits = torch.randn((people, K, *MAP), generator=source).requires_grad_()
    points = torch.rand((people, K, 2), generator=source) * torch.tensor([44.0, 60.0])
    return logits, points


def labelled(people: int, *joints: int | slice) -> Tensor:
    labels = torch.zeros((people, K), dtype=torch.uint8)
    for joint in joints:
        labels[:, joint] = 2
    return labels


def gradient(loss: PoseLoss, logits: Tensor, points: Tensor, labels: Tensor) -> Tensor:
    (out,) = torch.autograd.grad(loss(logits, points, labels)["loss"], logits)
    return out


def test_joints_without_a_label_have_no_influence() -> None:
    loss = PoseLoss(HALPE136, PoseLossConfig())
    logits, points = batch()
    labels = labelled(2, slice(0, 20))
    labels[1, 3] = 0
    found = gradient(loss, logits, points, labels)
    known = labels > 0
    assert (found[~known] == 0).all()
    assert (found[known].flatten(1) != 0).any(1).all()
    moved = points + 7 * (~known)[..., None]
    changed = logits.detach() + 3 * (~known)[..., None, None]
    first, second = loss(logits, points, labels), loss(changed, moved, labels)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_nonsense_in_unlabelled_joints_stays_there() -> None:
    logits, points = batch()
    points[:, 5:] = float("nan")
    terms = PoseLoss(HALPE136, PoseLossConfig())(logits, points, labelled(2, slice(0, 5)))
    assert all(torch.isfinite(value) for value in terms.values())


@pytest.mark.parametrize("people", [0, 2])
@pytest.mark.parametrize("tail_cut", [0.0, 0.3])
def test_no_labelled_joint_is_a_finite_zero_with_a_gradient(people: int, tail_cut: float) -> None:
    loss = PoseLoss(HALPE136, PoseLossConfig(tail_cut=tail_cut))
    logits, points = batch(people)
    terms = loss(logits, points, labelled(people))
    assert {name: value.item() for name, value in terms.items()} == dict.fromkeys(terms, 0.0)
    assert (gradient(loss, logits, points, labelled(people)) == 0).all()


@pytest.mark.parametrize(
    "where", [(-0.1, 20.0), (44.1, 20.0), (20.0, -0.1), (20.0, 60.1), (-500.0, 900.0)]
)
def test_a_joint_outside_the_crop_empties_its_map(where: tuple[float, float]) -> None:
    loss = PoseLoss(HALPE136, PoseLossConfig())
    logits, points = batch(1)
    points[0, 5] = torch.tensor(where)
    labels = labelled(1, 5)
    terms = loss(logits, points, labels)
    assert terms["sikr"] == 0
    assert terms["pixels"] == 0
    assert terms["heatmap"] > 0
    assert (gradient(loss, logits, points, labels)[0, 5] > 0).all()  # downhill is lower everywhere


def test_a_joint_on_the_border_of_the_crop_is_inside() -> None:
    loss = PoseLoss(HALPE136, PoseLossConfig())
    logits, points = batch(1)
    for corner in ((0.0, 0.0), (44.0, 60.0)):
        points[0, 5] = torch.tensor(corner)
        assert loss(logits, points, labelled(1, 5))["sikr"] > 0


def test_more_face_joints_do_not_outvote_the_body() -> None:
    loss = PoseLoss(HALPE136, PoseLossConfig())
    logits, points = batch()
    body = slice(0, 17)
    alone = gradient(loss, logits, points, labelled(2, body))
    half = gradient(loss, logits, points, labelled(2, body, slice(26, 60)))
    whole = gradient(loss, logits, points, labelled(2, body, FACE))
    torch.testing.assert_close(half[:, body], alone[:, body], rtol=0, atol=0)
    torch.testing.assert_close(whole[:, body], alone[:, body], rtol=0, atol=0)


def test_terms_are_weighted_means_of_parts() -> None:
    config = PoseLossConfig(fine=0.25, sikr=3.0, heatmap=0.5)
    loss = PoseLoss(HALPE136, config)
    logits, points = batch()
    parts = [loss(logits, points, labelled(2, part)) for part in HALPE136.parts.values()]
    together = loss(logits, points, labelled(2, slice(0, K)))
    for name in ("heatmap", "sikr", "loss"):
        torch.testing.assert_close(together[name], sum(part[name] for part in parts))
    torch.testing.assert_close(together["loss"], 0.5 * together["heatmap"] + 3 * together["sikr"])
    even = PoseLoss(HALPE136, PoseLossConfig(fine=0.5, sikr=3.0, heatmap=0.5))
    face = labelled(2, FACE)
    torch.testing.assert_close(
        even(logits, points, face)["loss"], 2 * loss(logits, points, face)["loss"]
    )


@pytest.mark.parametrize("fine", [0.4, 1.0, 2.0])
@pytest.mark.parametrize(("joint", "sigma"), [(3, 2.0), (30, 1.4), (22, 2.0), (100, 1.4)])
def test_the_heatmap_term_is_the_slow_twins(joint: int, sigma: float, fine: float) -> None:
    logits, points = batch(1)
    x, y = (points[0, joint] / 4).tolist()
    target = torch.zeros(MAP)
    for v in range(MAP[0]):
        for u in range(MAP[1]):
            squared = torch.tensor((u - x) ** 2 + (v - y) ** 2)
            target[v, u] = torch.exp(-squared / (2 * sigma**2))
    wanted = binary_cross_entropy_with_logits(logits[0, joint], target, reduction="sum") / 50
    found = PoseLoss(HALPE136, PoseLossConfig(fine=fine))(logits, points, labelled(1, joint))
    weight = fine if joint in (30, 100) else 1.0
    torch.testing.assert_close(found["heatmap"], weight * wanted)


def test_the_coordinate_term_is_the_distance_of_the_decoding() -> None:
    logits, points = batch(1)
    found = PoseLoss(HALPE136, PoseLossConfig())(logits, points, labelled(1, 3))
    decoded, _ = SikrDecoder()(logits.detach())
    distance = (decoded[0, 3] - points[0, 3] / 4).abs()
    torch.testing.assert_close(found["pixels"], distance.sum())
    torch.testing.assert_close(found["sikr"], distance[0] / MAP[1] + distance[1] / MAP[0])


def test_pseudo_labels_count_like_annotations() -> None:
    loss = PoseLoss(COCO17, PoseLossConfig())
    logits, points = batch()
    logits, points = logits[:, :17], points[:, :17]
    first = loss(logits, points, torch.full((2, 17), 2, dtype=torch.uint8))
    second = loss(logits, points, torch.full((2, 17), 1, dtype=torch.uint8))
    assert torch.equal(first["loss"], second["loss"])


@pytest.mark.parametrize("tail_cut", [0.0, 0.3])
def test_a_hundred_steps_downhill_find_the_joints(tail_cut: float) -> None:
    loss = PoseLoss(HALPE136, PoseLossConfig(tail_cut=tail_cut))
    _, points = batch(1)
    points = 8 + points * 0.7  # off the border, where the expectation of a blob is cut
    labels = labelled(1, 0, 5, 9, 20, 30, 100)
    known = labels[0] > 0
    logits = torch.full((1, K, *MAP), -2.0, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=0.2)
    for _ in range(100):
        optimizer.zero_grad()
        terms = loss(logits, points, labels)
        terms["loss"].backward()
        optimizer.step()
    decoded, scores = SikrDecoder(tail_cut=tail_cut)(logits.detach())  # trained as it decodes
    assert (decoded - points / 4)[0, known].abs().max() < 0.3
    assert scores[0, known].min() > 0.5
    assert scores[0, ~known].max() < 0.2  # untouched
