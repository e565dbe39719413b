# SPDX-License-Identifier: Apache-2.0
"""Every kind of the pose loss: against slow twins, true and symmetric gradients, its weights."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.base.skeletons import COCO17, HALPE68_NOFACE, HALPE136, WHOLEBODY133
from alphapose_ros.pose.combined import REGRESSED
from alphapose_ros.pose.loss_config import FINE, KINDS, ROBUST, PoseLossConfig
from alphapose_ros.pose.losses import PoseLoss
from alphapose_ros.pose.sikr import NORMS, integral, normalise

pytestmark = pytest.mark.usefixtures("one_thread")

K, MAP = len(HALPE136), (8, 6)
CHOSEN = torch.tensor([0, 9, 22, 40, 110])  # body, body, foot, face, hand
VARIANTS = list(itertools.product(KINDS, NORMS))


def batch(people: int = 2, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    """Positive maps, so that every norm is defined; points, some of them outside; few labels."""
    source = torch.Generator().manual_seed(1)
    maps = torch.rand((people, K, *MAP), generator=source, dtype=dtype) * 3 + 0.2
    points = torch.rand((people, K, 2), generator=source, dtype=dtype) * 20
    labels = torch.zeros((people, K), dtype=torch.uint8)
    labels[:, CHOSEN] = 2
    if people:
        points[0, 9] = torch.tensor([-9.0, 13.0])  # outside the crop; its window reaches inside
        points[0, 22] = torch.tensor([300.0, 2.0])  # far outside
        labels[0, 40] = labels[-1, 9] = 1
    return maps, points, labels


def config(kind: str, norm: str = "sigmoid", **changes: object) -> PoseLossConfig:
    return PoseLossConfig(kind=kind, norm=norm, **changes)  # type: ignore[arg-type]


def only_labelled(loss: PoseLoss, maps: Tensor, points: Tensor, labels: Tensor):
    """The loss as a function of the labelled maps alone, few enough for finite differences."""
    rows = labels.nonzero(as_tuple=True)

    def function(chosen: Tensor) -> Tensor:
        return loss(maps.index_put(rows, chosen), points, labels)["loss"]

    return function, maps[rows].clone().requires_grad_()


# Slow twins


def slow_square(z: Tensor, x: float, y: float) -> float:
    """Sum over a map of the squared error; 0 where the target's window misses the map."""
    u0, v0 = int(x / 4 + 0.5), int(y / 4 + 0.5)
    if not (-6 <= u0 < MAP[1] + 6 and -6 <= v0 < MAP[0] + 6):
        return 0.0
    total = 0.0
    for v in range(MAP[0]):
        for u in range(MAP[1]):
            near = abs(u - u0) <= 6 and abs(v - v0) <= 6
            target = math.exp(-((u - u0) ** 2 + (v - v0) ** 2) / 8) if near else 0.0
            total += (z[v, u].item() - target) ** 2
    return total


def slow_confidence(z: Tensor, norm: str) -> np.ndarray:
    values = z.numpy()
    if norm == "sigmoid":
        values = 1 / (1 + np.exp(-values))
    elif norm == "softmax":
        values = np.exp(values)
    return values / values.sum()


def slow_distance(z: Tensor, x: float, y: float, norm: str) -> float:
    """|dx| / W + |dy| / H of one joint; 0 for joints outside the crop."""
    if not (0 <= x / 4 <= MAP[1] - 1 and 0 <= y / 4 <= MAP[0] - 1):
        return 0.0
    p, mean_x, mean_y = slow_confidence(z, norm), 0.0, 0.0
    for v in range(MAP[0]):
        for u in range(MAP[1]):
            mean_x, mean_y = mean_x + u * p[v, u], mean_y + v * p[v, u]
    return abs(mean_x - x / 4) / MAP[1] + abs(mean_y - y / 4) / MAP[0]


@pytest.mark.parametrize("kind", ["heatmap", "combined"])
@pytest.mark.parametrize("norm", NORMS)
def test_alphaposes_kinds_are_their_slow_twins(kind: str, norm: str) -> None:
    maps, points, labels = batch()
    found = PoseLoss(HALPE136, replace(PoseLossConfig.original(kind), norm=norm))(
        maps, points, labels
    )
    first = 26 if kind == "combined" else K
    square = distance = 0.0
    for b, k in labels.nonzero().tolist():
        x, y = points[b, k].tolist()
        if k < first:
            square += slow_square(maps[b, k], x, y)
        else:
            distance += slow_distance(maps[b, k], x, y, norm)
    wanted = 0.5 * square / (2 * first * MAP[0] * MAP[1])
    assert found["heatmap"].item() == pytest.approx(wanted, rel=1e-6)
    assert found["sikr"].item() == pytest.approx(distance / 2, rel=1e-6)
    weighted = wanted if kind == "heatmap" else 100 * wanted + 0.01 * distance / 2
    assert found["loss"].item() == pytest.approx(weighted, rel=1e-6)


@pytest.mark.parametrize("kind", ["sikr", "integral"])
@pytest.mark.parametrize("norm", NORMS)
def test_coordinate_terms_are_their_slow_twins(kind: str, norm: str) -> None:
    maps, points, labels = batch()
    weights = {"face": 0.5, "left_hand": 0.25}
    found = PoseLoss(HALPE136, config(kind, norm, parts=weights))(maps, points, labels)
    wanted = 0.0
    for part, joints in HALPE136.parts.items():
        values = [
            slow_distance(maps[b, k], *points[b, k].tolist(), norm)
            for b, k in labels.nonzero().tolist()
            if joints.start <= k < joints.stop
        ]
        inside = [value for value in values if value]
        wanted += weights.get(part, 1.0) * float(np.mean(inside)) if inside else 0.0
    assert found["sikr"].item() == pytest.approx(wanted, rel=1e-6)


def test_a_map_under_divide_sum_is_its_own_confidence() -> None:
    maps, points, labels = batch(1)
    labels[:] = 0
    labels[0, 0] = 2
    x, y = (points[0, 0] / 4).tolist()
    wanted = 0.0
    for v, u in np.ndindex(*MAP):
        target = math.exp(-((u - x) ** 2 + (v - y) ** 2) / 8)
        wanted += (maps[0, 0, v, u].item() - target) ** 2 / 50
    found = PoseLoss(HALPE136, config("sikr", "divide_sum"))(maps, points, labels)
    assert found["heatmap"].item() == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("skeleton", [HALPE136, WHOLEBODY133, HALPE68_NOFACE])
def test_the_regressed_joints_are_the_fine_parts(skeleton) -> None:
    first = min(skeleton.parts[name].start for name in FINE if name in skeleton.parts)
    assert len(skeleton) - REGRESSED[len(skeleton)] == first


# Gradients


@pytest.mark.parametrize(
    "settings",
    [
        *(config("integral", norm) for norm in NORMS),
        *(config("integral", robust=robust, pseudo=0.3) for robust in ROBUST),
        *(config("sikr", norm, sikr=0.0) for norm in NORMS),  # the heatmap term alone
        config("integral", tail_cut=0.3),
        config("heatmap"),
        config("combined", sikr=0.0),
    ],
    ids=lambda c: f"{c.kind}-{c.norm}-{c.robust}-{c.sikr}-{c.tail_cut}",
)
def test_true_gradients_pass_gradcheck(settings: PoseLossConfig) -> None:
    function, chosen = only_labelled(PoseLoss(HALPE136, settings), *batch())
    assert torch.autograd.gradcheck(function, chosen, fast_mode=True)


def symmetric_gradient(z: Tensor, x: float, y: float, norm: str, amplitudes) -> Tensor:
    """The spec's closed form for one joint of weight 1, any normalisation: J^T (G - sum P G)."""
    p = torch.tensor(slow_confidence(z, norm))
    side = torch.zeros(MAP, dtype=torch.float64)
    for axis, goal, amplitude in ((1, x / 4, amplitudes[0]), (0, y / 4, amplitudes[1])):
        cells = torch.arange(MAP[axis], dtype=torch.float64)
        mean = (p.sum(1 - axis) * cells).sum()
        sign = torch.where(cells >= mean, 1.0, -1.0).double() * torch.sign(mean - goal)
        term = amplitude * sign / MAP[axis]
        side = side + (term[None, :] if axis == 1 else term[:, None])
    centred = side - (p * side).sum()
    if norm == "sigmoid":
        s = torch.sigmoid(z)
        return s * (1 - s) / s.sum() * centred
    return p * centred if norm == "softmax" else centred / z.sum()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(
    ("amplitude", "numbers"), [(2.0, (2.0, 2.0)), (0.5, (0.5, 0.5)), ("eighth", (6 / 8, 8 / 8))]
)
@pytest.mark.parametrize("kind", ["sikr", "combined"])
def test_the_symmetric_gradient_is_the_formula_and_not_the_true_one(
    kind: str, norm: str, amplitude: float | str, numbers: tuple[float, float]
) -> None:
    maps, points, labels = batch(1)
    labels[:] = 0
    labels[0, 110] = 2
    settings = config(kind, norm, amplitude=amplitude, heatmap=0.0, sikr=1.0, fine=1.0)
    function, chosen = only_labelled(PoseLoss(HALPE136, settings), maps, points, labels)
    (found,) = torch.autograd.grad(function(chosen), chosen)
    wanted = symmetric_gradient(maps[0, 110], *points[0, 110].tolist(), norm, numbers)
    torch.testing.assert_close(found[0], wanted, rtol=1e-9, atol=1e-12)
    assert not torch.autograd.gradcheck(function, chosen, fast_mode=True, raise_exception=False)


@pytest.mark.parametrize("norm", NORMS)
def test_both_integrals_differ_in_the_gradient_alone(norm: str) -> None:
    maps, points, labels = batch()
    terms, gradients = [], []
    for kind in ("sikr", "integral"):
        z = maps.clone().requires_grad_()
        terms.append(PoseLoss(HALPE136, config(kind, norm))(z, points, labels))
        gradients.append(torch.autograd.grad(terms[-1]["loss"], z)[0])
    for name in terms[0]:
        torch.testing.assert_close(terms[0][name], terms[1][name])
    assert (gradients[0] - gradients[1]).abs().max() > 1e-3


# Nobody, masks, precision


@pytest.mark.parametrize(("kind", "norm"), VARIANTS)
@pytest.mark.parametrize("people", [0, 2])
def test_without_labels_a_zero_with_a_zero_gradient(kind: str, norm: str, people: int) -> None:
    maps, points, labels = batch(people, torch.float32)
    z = maps.requires_grad_()
    terms = PoseLoss(HALPE136, config(kind, norm))(z, points, labels * 0)
    assert {name: value.item() for name, value in terms.items()} == dict.fromkeys(terms, 0.0)
    (gradient,) = torch.autograd.grad(terms["loss"], z)
    assert gradient.shape == z.shape
    assert (gradient == 0).all()


@pytest.mark.parametrize(("kind", "norm"), VARIANTS)
def test_unlabelled_joints_and_their_nonsense_have_no_influence(kind: str, norm: str) -> None:
    maps, points, labels = batch()
    loss, unknown = PoseLoss(HALPE136, config(kind, norm)), labels == 0
    first = loss(maps, points, labels)
    points[unknown] = float("nan")
    maps = maps.clone()
    maps[unknown] = 77.0
    second = loss(maps.requires_grad_(), points, labels)
    assert all(torch.equal(first[name], second[name]) for name in first)
    (gradient,) = torch.autograd.grad(second["loss"], maps)
    assert (gradient[unknown] == 0).all()
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize(("kind", "norm"), VARIANTS)
def test_half_precision_logits_give_finite_single_precision(kind: str, norm: str) -> None:
    maps, points, labels = batch(dtype=torch.float32)
    loss = PoseLoss(HALPE136, config(kind, norm))
    rounded = maps.bfloat16()
    wanted = loss(rounded.float(), points, labels)
    with torch.autocast("cpu", torch.bfloat16):
        found = loss(rounded.requires_grad_(), points, labels)
    for name, value in found.items():
        assert value.dtype == torch.float32
        assert torch.isfinite(value)
        assert torch.equal(value, wanted[name])  # mixed precision ends where the loss begins
    (gradient,) = torch.autograd.grad(found["loss"], rounded)
    assert torch.isfinite(gradient).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [-80.0, 60.0])
def test_extreme_logits_stay_finite(kind: str, value: float) -> None:
    _, points, labels = batch(dtype=torch.float32)
    z = torch.full((2, K, *MAP), value, dtype=torch.bfloat16, requires_grad=True)
    terms = PoseLoss(HALPE136, config(kind))(z, points, labels)
    assert all(torch.isfinite(term) for term in terms.values())
    assert torch.isfinite(torch.autograd.grad(terms["loss"], z)[0]).all()


# Weights


@pytest.mark.parametrize("kind", KINDS)
def test_part_weights_scale_their_part(kind: str) -> None:
    maps, points, labels = batch()
    for part, joints in HALPE136.parts.items():
        alone = torch.zeros_like(labels)
        alone[:, joints] = labels[:, joints]
        plain = PoseLoss(HALPE136, config(kind, parts={part: 1.0}))(maps, points, alone)
        tenth = PoseLoss(HALPE136, config(kind, parts={part: 0.1}))(maps, points, alone)
        none = PoseLoss(HALPE136, config(kind, parts={part: 0.0}))(maps, points, alone)
        torch.testing.assert_close(tenth["loss"], 0.1 * plain["loss"])
        assert none["loss"] == 0


def test_default_weights_are_one_and_fine() -> None:
    maps, points, labels = batch()
    named = {"body": 1.0, "feet": 1.0, "face": 0.4, "left_hand": 0.4, "right_hand": 0.4}
    first = PoseLoss(HALPE136, PoseLossConfig())(maps, points, labels)
    second = PoseLoss(HALPE136, PoseLossConfig(parts=named))(maps, points, labels)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("kind", KINDS)
def test_pseudo_labels_weigh_what_they_are_told(kind: str) -> None:
    maps, points, labels = batch()
    pseudo = labels.clamp(max=1)
    full = PoseLoss(HALPE136, config(kind))(maps, points, pseudo)
    fifth = PoseLoss(HALPE136, config(kind, pseudo=0.2))(maps, points, pseudo)
    torch.testing.assert_close(fifth["loss"], 0.2 * full["loss"])
    torch.testing.assert_close(fifth["pixels"], full["pixels"])
    annotated = labels.clamp(max=1) * 2
    kept = PoseLoss(HALPE136, config(kind, pseudo=0.2))(maps, points, annotated)
    torch.testing.assert_close(kept["loss"], full["loss"])


def slow_robust(error: float, kind: str, scale: float) -> float:
    if kind == "huber":
        return error**2 / (2 * scale) if error <= scale else error - scale / 2
    if kind == "charbonnier":
        return math.sqrt(error**2 + scale**2) - scale
    return scale * math.log(1 + (error / scale) ** 2) if kind == "cauchy" else error


@pytest.mark.parametrize("robust", ROBUST)
@pytest.mark.parametrize("scale_px", [0.5, 6.0, 40.0])
def test_robust_distances_of_pseudo_labels(robust: str, scale_px: float) -> None:
    maps, points, labels = batch()
    settings = config("sikr", robust=robust, robust_px=scale_px)
    one = torch.zeros_like(labels)
    one[1, 0] = 1
    found = PoseLoss(HALPE136, settings)(maps, points, one)["sikr"].item()
    mean = integral(normalise(maps[1, 0])[0])
    error = 4 * (mean - points[1, 0] / 4).abs()  # input px
    wanted = [slow_robust(e, robust, scale_px) / 4 for e in error.tolist()]
    assert found == pytest.approx(wanted[0] / MAP[1] + wanted[1] / MAP[0], rel=1e-6)
    plain = PoseLoss(HALPE136, config("sikr"))(maps, points, one * 2)["sikr"]
    annotated = PoseLoss(HALPE136, settings)(maps, points, one * 2)["sikr"]
    assert torch.equal(annotated, plain)  # label 2 is never softened
    assert found <= plain.item() + 1e-12 or robust == "cauchy"


@pytest.mark.parametrize("kind", ["heatmap", "combined"])
def test_pixels_of_maps_are_the_distance_of_the_highest_cell(kind: str) -> None:
    maps, points, labels = batch(1)
    labels[:] = 0
    labels[0, 5] = 2
    points[0, 5] = torch.tensor([9.0, 14.0])
    maps[0, 5, 6, 1] = 9.0
    found = PoseLoss(HALPE136, config(kind))(maps, points, labels)["pixels"]
    assert found.item() == pytest.approx(abs(1 - 9 / 4) + abs(6 - 14 / 4))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("norm", ["sigmoid", "softmax"])
def test_downhill_finds_the_joints(kind: str, norm: str) -> None:
    points = torch.full((1, K, 2), 13.0)
    labels = torch.zeros((1, K), dtype=torch.uint8)
    labels[:, CHOSEN] = 2
    z = torch.zeros((1, K, *MAP), requires_grad=True)
    original = PoseLossConfig.original(kind) if kind in ("heatmap", "combined") else config(kind)
    loss = PoseLoss(HALPE136, replace(original, norm=norm, sigma=1.0, fine_sigma=1.0))
    for _ in range(40):
        terms = loss(z, points, labels)
        (gradient,) = torch.autograd.grad(terms["loss"], z)
        z = (z - 0.2 * gradient.sign()).detach().requires_grad_()
    assert terms["pixels"] < 0.6  # cells: 13 px lie a quarter of a cell off the nearest one


# Refusals


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "mse"}, r"kind: expected one of sikr, integral, heatmap, combined, got 'mse'"),
        ({"norm": "max"}, r"norm: expected one of sigmoid, softmax, divide_sum, got 'max'"),
        ({"robust": "l2"}, r"robust: expected one of l1, huber, charbonnier, cauchy, got 'l2'"),
        ({"amplitude": "quarter"}, r"amplitude: expected a number above 0 or eighth"),
        ({"amplitude": 0.0}, r"amplitude: .*got 0.0"),
        ({"sigma": 0.0}, r"sigma: expected a number above 0, got 0.0"),
        ({"robust_px": -1.0}, r"robust_px: expected a number above 0, got -1.0"),
        ({"pseudo": -0.1}, r"pseudo: expected a weight of 0 or more, got -0.1"),
        ({"parts": {"feet": -1.0}}, r"feet: expected a weight of 0 or more, got -1.0"),
        ({"sikr": float("nan")}, r"sikr: expected a weight of 0 or more, got nan"),
        (
            {"norm": "softmax", "tail_cut": 0.3},
            r"tail_cut: expected 0 under norm softmax, got 0.3",
        ),
    ],
)
def test_impossible_settings_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        PoseLossConfig(**changes)


def test_what_the_skeleton_lacks_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"parts: expected some of body, got \['feet'\]"):
        PoseLoss(COCO17, PoseLossConfig(parts={"feet": 0.5}))
    with pytest.raises(ConfigError, match=r"combined: expected 68, 133 or 136 joints, got 17"):
        PoseLoss(COCO17, PoseLossConfig(kind="combined"))
    with pytest.raises(ConfigError, match=r"kind: expected one of heatmap, combined, got 'sikr'"):
        PoseLossConfig.original("sikr")
