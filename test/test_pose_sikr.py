# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from alphapose_ros.base.affine import crop_boxes, map_to_image
from alphapose_ros.base.errors import ConfigError
from alphapose_ros.pose.sikr import (
    AMPLITUDE,
    NORMS,
    SikrDecoder,
    integral,
    normalise,
    symmetric_integral,
)

pytestmark = pytest.mark.usefixtures("one_thread")

CROPS = crop_boxes(np.array([[100, 50, 200, 300]], np.float32))
seeds = st.integers(0, 10**6)
sizes = st.tuples(st.integers(2, 9), st.integers(2, 9))


def encode(points: Tensor, map_hw: tuple[int, int]) -> Tensor:
    """Map coordinates (..., 2) -> the regression's frame, x / W - 1/2 and y / H - 1/2."""
    return points / points.new_tensor([map_hw[1], map_hw[0]]) - 0.5


def sikr_loss(
    logits: Tensor,
    targets: Tensor,
    weights: Tensor,
    *,
    norm: str = "sigmoid",
    amplitude: float | str | None = AMPLITUDE,
) -> Tensor:
    """The paper's loss alone: sum of w (|dx| + |dy|) over joints, divided by the batch.

    ``amplitude`` None is the expectation's true gradient.
    """
    probability, _ = normalise(logits, norm)
    mean = (
        integral(probability) if amplitude is None else symmetric_integral(probability, amplitude)
    )
    error = (encode(mean, (logits.shape[-2], logits.shape[-1])) - targets).abs().sum(-1)
    return (error * weights).sum() / logits.shape[0]


def background(cells: dict[tuple[int, int], float]) -> Tensor:
    logits = torch.full((1, 1, 64, 48), -8.0)
    for (y, x), value in cells.items():
        logits[0, 0, y, x] = value
    return logits


NEAR = background({(30, 20): 4.0, (30, 21): 3.0, (31, 20): 2.0})
ALONE = background({(10, 40): 0.0})


@pytest.mark.parametrize(
    ("logits", "norm", "point", "score", "pixel"),
    [
        (NEAR, "sigmoid", (21.185549, 30.630957), 0.982014, (136.25757, 168.31522)),
        (NEAR, "softmax", (20.285093, 30.10751), 1.0, None),
        (ALONE, "sigmoid", (28.889034, 24.477934), 0.5, (173.87224, 138.27116)),
    ],
)
def test_decoding_as_the_original_does(
    logits: Tensor,
    norm: str,
    point: tuple[float, float],
    score: float,
    pixel: tuple[float, float] | None,
) -> None:
    points, scores = SikrDecoder(norm)(logits.double())
    np.testing.assert_allclose(points[0, 0].numpy(), point, atol=5e-6)
    assert scores.item() == pytest.approx(score, abs=1e-6)
    single, _ = SikrDecoder(norm)(logits)  # torch's float32 softmax is 3e-6 off a sum of 1
    np.testing.assert_allclose(single[0, 0].numpy(), point, atol=2e-4)
    if pixel is not None:
        image = map_to_image(points.numpy(), CROPS, (64, 48))
        np.testing.assert_allclose(image[0, 0], pixel, atol=1e-4)


@pytest.mark.parametrize("kind", NORMS)
@settings(deadline=None, max_examples=30)
@given(seed=seeds, size=sizes)
def test_probabilities_sum_to_one_and_decode_inside_the_map(
    kind: str, seed: int, size: tuple[int, int]
) -> None:
    rng = torch.Generator().manual_seed(seed)
    maps = torch.rand(2, 3, *size, generator=rng, dtype=torch.float64) + 0.01
    logits = maps if kind == "divide_sum" else (maps - 0.5) * 30
    probability, score = normalise(logits, kind)
    torch.testing.assert_close(probability.sum((-2, -1)), torch.ones_like(score))
    points = integral(probability)
    assert points.shape == (2, 3, 2)
    assert (points >= 0).all()
    assert (points <= torch.tensor([size[1] - 1, size[0] - 1])).all()
    expected = logits.sigmoid().amax((-2, -1)) if kind == "sigmoid" else torch.ones(2, 3)
    torch.testing.assert_close(score, expected.to(score.dtype))


@pytest.mark.parametrize("norm", NORMS)
@settings(deadline=None, max_examples=40)
@given(x=st.integers(0, 47), y=st.integers(0, 63))
def test_a_delta_decodes_at_its_cell(norm: str, x: int, y: int) -> None:
    logits = torch.full((1, 1, 64, 48), 0.0 if norm == "divide_sum" else -60.0)
    logits[0, 0, y, x] = 20.0
    points, scores = SikrDecoder(norm)(logits)
    np.testing.assert_allclose(points[0, 0].numpy(), (x, y), atol=1e-4)
    assert scores.item() == pytest.approx(1)


def test_cutting_the_tail_removes_the_pull_to_the_middle() -> None:
    points, scores = SikrDecoder("sigmoid", tail_cut=0.01)(ALONE)
    np.testing.assert_allclose(points[0, 0].numpy(), (40, 10), atol=1e-4)
    assert scores.item() == 0.5


def test_joints_never_taught_have_score_zero() -> None:
    decoder = SikrDecoder(supervised=torch.tensor([True, False]))
    logits = NEAR.expand(1, 2, -1, -1)
    points, scores = decoder(logits)
    assert scores[0, 1] == 0
    assert scores[0, 0] > 0.98
    torch.testing.assert_close(points[0, 0], points[0, 1])


def test_nobody() -> None:
    points, scores = SikrDecoder(tail_cut=0.1)(torch.zeros(0, 136, 64, 48))
    assert points.shape == (0, 136, 2)
    assert scores.shape == (0, 136)


@pytest.mark.parametrize("build", [lambda: SikrDecoder("max"), lambda: normalise(NEAR, "max")])
def test_an_unknown_normalisation_is_refused(build) -> None:
    with pytest.raises(ConfigError, match=r"sigmoid, softmax, divide_sum.*'max'"):
        build()


# The gradient


def small_logits() -> Tensor:
    logits = torch.zeros(1, 1, 4, 6, dtype=torch.float64)
    logits[0, 0, 1, 2], logits[0, 0, 2, 4] = 2.0, 1.0
    return logits.requires_grad_()


def test_symmetric_gradient_as_the_original_has_it() -> None:
    logits = small_logits()
    target = torch.tensor([[[0.10, -0.20]]], dtype=torch.float64)
    loss = sikr_loss(logits, target, torch.ones(1, 1, dtype=torch.float64))
    loss.backward()
    assert loss.item() == pytest.approx(0.254785, abs=1e-6)
    mean = integral(normalise(logits.detach())[0])
    np.testing.assert_allclose(mean[0, 0].numpy(), (2.512384, 1.494064), atol=1e-6)
    expected = [
        [-0.003265, -0.003265, -0.003265, -0.016480, -0.016480, -0.016480],
        [-0.003265, -0.003265, -0.001371, -0.016480, -0.016480, -0.016480],
        [0.016558, 0.016558, 0.016558, 0.003343, 0.002629, 0.003343],
        [0.016558, 0.016558, 0.016558, 0.003343, 0.003343, 0.003343],
    ]
    assert logits.grad is not None
    for row, expected_row in zip(logits.grad[0, 0].numpy(), expected, strict=True):
        np.testing.assert_allclose(row, expected_row, atol=1e-6)


def closed_form(z: np.ndarray, target: np.ndarray, weight: float, batch: int, a: float):
    """dL/dz of one joint: s (1 - s) / Z (G - sum P G)."""
    height, width = z.shape
    s = 1 / (1 + np.exp(-z))
    p = s / s.sum()
    gradient = np.zeros_like(z)
    for axis, (length, goal) in enumerate(zip((width, height), target, strict=True)):
        positions = np.arange(length)
        mean = (p.sum(axis) * positions).sum()
        side = np.where(positions >= mean, 1, -1) * np.sign(mean / length - 0.5 - goal)
        gradient += (side if axis == 0 else side[:, None]) * a * weight / (length * batch)
    return s * (1 - s) / s.sum() * (gradient - (p * gradient).sum())


@settings(deadline=None, max_examples=60)
@given(seed=seeds, size=sizes, amplitude=st.sampled_from([1.0, 2.0, 6.0]))
def test_symmetric_gradient_equals_its_closed_form(
    seed: int, size: tuple[int, int], amplitude: float
) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, (2, 3, *size))
    targets, weights = rng.uniform(-0.5, 0.5, (2, 3, 2)), rng.uniform(0, 2, (2, 3))
    z = torch.tensor(logits, requires_grad=True)
    sikr_loss(z, torch.tensor(targets), torch.tensor(weights), amplitude=amplitude).backward()
    expected = [
        [closed_form(logits[b, k], targets[b, k], weights[b, k], 2, amplitude) for k in range(3)]
        for b in range(2)
    ]
    assert z.grad is not None
    np.testing.assert_allclose(z.grad.numpy(), expected, atol=1e-12)


def test_the_papers_amplitude_is_an_eighth_of_each_axis() -> None:
    probability = torch.full((64, 48), 1 / 3072, dtype=torch.float64, requires_grad=True)
    for axis, number in ((0, 6.0), (1, 8.0)):
        mean = symmetric_integral(probability, "eighth")[axis]
        (gradient,) = torch.autograd.grad(mean, probability)
        assert set(gradient.unique().tolist()) == {-number, number}


@pytest.mark.parametrize("norm", ["softmax", "divide_sum"])
@pytest.mark.parametrize("amplitude", [None, 2.0, "eighth"])
def test_one_step_norms_take_either_gradient(norm: str, amplitude: float | str | None) -> None:
    z = small_logits().detach().add(0.5).requires_grad_()
    target = torch.tensor([[[0.10, -0.20]]], dtype=torch.float64)
    loss = sikr_loss(z, target, z.new_ones(1, 1), norm=norm, amplitude=amplitude)
    (found,) = torch.autograd.grad(loss, z)
    p = normalise(z.detach(), norm)[0][0, 0]
    mean_x, mean_y = integral(p).tolist()
    towards_x = np.sign(mean_x / 6 - 0.5 - 0.10) / 6
    towards_y = np.sign(mean_y / 4 - 0.5 + 0.20) / 4
    xs, ys = np.arange(6.0), np.arange(4.0)
    if amplitude is not None:
        a, b = (6 / 8, 4 / 8) if amplitude == "eighth" else (amplitude, amplitude)
        xs, ys = a * np.where(xs >= mean_x, 1, -1), b * np.where(ys >= mean_y, 1, -1)
    side = towards_x * xs[None, :] + towards_y * ys[:, None]
    centred = side - (p.numpy() * side).sum()
    scale = p.numpy() if norm == "softmax" else 1 / z.detach()[0, 0].sum().item()
    np.testing.assert_allclose(found[0, 0].numpy(), scale * centred, atol=1e-12)


def test_an_unknown_amplitude_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"amplitude: expected a number or eighth, got 'half'"):
        symmetric_integral(normalise(NEAR)[0], "half")


def l1_gradient(integrate, marginal: np.ndarray, target: float) -> np.ndarray:
    """d|mean - target| / dp along x of a map of one row."""
    p = torch.tensor(marginal[None], requires_grad=True)
    (integrate(p)[0] - target).abs().backward()
    assert p.grad is not None
    return p.grad.numpy()[0]


@settings(deadline=None, max_examples=60)
@given(seed=seeds, width=st.integers(2, 12), distance=st.floats(0.01, 5))
def test_gradient_is_symmetric_about_the_target(seed: int, width: int, distance: float) -> None:
    marginal = np.random.default_rng(seed).dirichlet(np.ones(width))
    mean = (marginal * np.arange(width)).sum()
    right = l1_gradient(symmetric_integral, marginal, mean + distance)
    left = l1_gradient(symmetric_integral, marginal, mean - distance)
    np.testing.assert_array_equal(right, -left)
    np.testing.assert_array_equal(np.abs(right), 2.0)
    # Downhill, mass moves from the far side of the expectation to the side of the target.
    np.testing.assert_array_equal(np.sign(-right), np.where(np.arange(width) >= mean, 1, -1))


@settings(deadline=None, max_examples=60)
@given(seed=seeds, width=st.integers(2, 12), target=st.floats(0, 11))
def test_gradient_of_the_mirror_image_is_the_mirrored_gradient(
    seed: int, width: int, target: float
) -> None:
    marginal = np.random.default_rng(seed).dirichlet(np.ones(width))
    gradient = l1_gradient(symmetric_integral, marginal, target)
    mirrored = l1_gradient(symmetric_integral, marginal[::-1].copy(), width - 1 - target)
    np.testing.assert_array_equal(mirrored, gradient[::-1])


def test_the_plain_integral_lacks_that_symmetry() -> None:
    marginal = np.array([0.1, 0.2, 0.4, 0.3])
    gradient = l1_gradient(integral, marginal, 0.5)
    mirrored = l1_gradient(integral, marginal[::-1].copy(), 2.5)
    np.testing.assert_array_equal(gradient, [0, 1, 2, 3])
    assert not np.array_equal(mirrored, gradient[::-1])


def test_plain_integral_passes_gradcheck() -> None:
    torch.manual_seed(0)
    logits = torch.randn(1, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    targets = torch.rand(1, 2, 2, dtype=torch.float64) - 0.5
    weights = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda z: integral(normalise(z)[0]), logits)
    assert torch.autograd.gradcheck(lambda z: integral(normalise(z, "softmax")[0]), logits)
    positive = logits.detach().abs().add(0.1).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: integral(normalise(z, "divide_sum")[0]), positive)
    assert torch.autograd.gradcheck(
        lambda z: sikr_loss(z, targets, weights, amplitude=None), logits
    )


def test_both_integrals_have_the_same_value() -> None:
    probability = normalise(torch.randn(2, 5, 8, 6))[0]
    torch.testing.assert_close(symmetric_integral(probability), integral(probability))


def test_loss_is_summed_over_joints_and_divided_by_the_batch_alone() -> None:
    logits = torch.full((4, 3, 8, 6), -60.0)
    logits[..., 2, 3] = 20.0
    at = encode(torch.tensor([3.0, 2.0]), (8, 6))
    torch.testing.assert_close(at, torch.tensor([3 / 6 - 0.5, 2 / 8 - 0.5]))
    targets = (at + torch.tensor([0.1, -0.2])).expand(4, 3, 2)
    weights = torch.tensor([1.0, 2.0, 0.0]).expand(4, 3)
    assert sikr_loss(logits, targets, weights).item() == pytest.approx(0.3 * 3, abs=1e-5)


def test_joints_without_a_label_receive_no_gradient() -> None:
    logits = torch.randn(2, 3, 8, 6, requires_grad=True)
    weights = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    sikr_loss(logits, torch.zeros(2, 3, 2), weights).backward()
    assert logits.grad is not None
    assert torch.equal(logits.grad.abs().sum((-2, -1)) > 0, weights > 0)


def test_training_moves_the_point_to_its_target() -> None:
    torch.manual_seed(0)
    logits = torch.randn(1, 1, 16, 12, requires_grad=True)
    goal = torch.tensor([[[7.3, 4.6]]])
    optimizer = torch.optim.Adam([logits], lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        sikr_loss(logits, encode(goal, (16, 12)), torch.ones(1, 1)).backward()
        optimizer.step()
    points, _ = SikrDecoder()(logits.detach())
    assert (points - goal).abs().max() < 0.1


@pytest.mark.parametrize("value", [-30.0, -200.0])
@pytest.mark.parametrize("tail_cut", [0.0, 0.1])
def test_a_map_of_no_confidence_has_a_finite_point(value: float, tail_cut: float) -> None:
    points, scores = SikrDecoder(tail_cut=tail_cut)(torch.full((1, 1, 8, 6), value))
    assert points.isfinite().all()
    assert scores.item() == pytest.approx(0, abs=1e-6)


def test_a_window_keeps_a_far_second_candidate_out_of_the_expectation() -> None:
    ys, xs = torch.meshgrid(torch.arange(64.0), torch.arange(48.0), indexing="ij")
    first = 6 * torch.exp(-((xs - 10) ** 2 + (ys - 20) ** 2) / 8)
    second = 5 * torch.exp(-((xs - 38) ** 2 + (ys - 50) ** 2) / 8)
    logits = (first + second - 6)[None, None]
    plain, score = SikrDecoder(tail_cut=0.3)(logits)
    held, same_score = SikrDecoder(tail_cut=0.3, window=4.0)(logits)
    assert torch.dist(held[0, 0], torch.tensor([10.0, 20.0])) < 0.1
    assert torch.dist(plain[0, 0], torch.tensor([10.0, 20.0])) > 5
    assert torch.equal(score, same_score)


def test_a_wide_window_changes_nothing() -> None:
    logits = torch.randn((2, 3, 16, 12), generator=torch.Generator().manual_seed(0))
    narrow, _ = SikrDecoder()(logits)
    wide, _ = SikrDecoder(window=1e4)(logits)
    assert torch.allclose(narrow, wide, atol=1e-4)


@pytest.mark.parametrize("tail_cut", [0.0, 0.3])
@pytest.mark.parametrize("window", [0.0, 3.0])
def test_the_decoder_equals_the_expectation_of_the_normalised_map(
    tail_cut: float, window: float
) -> None:
    logits = 4 * torch.randn((2, 5, 16, 12), generator=torch.Generator().manual_seed(1)) - 4
    logits = logits.contiguous(memory_format=torch.channels_last)
    probability, score = normalise(logits, tail_cut=tail_cut, window=window)
    points, scores = SikrDecoder(tail_cut=tail_cut, window=window)(logits)
    assert torch.allclose(points, integral(probability), atol=1e-4)
    assert torch.equal(scores, score)
