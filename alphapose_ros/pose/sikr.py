# SPDX-License-Identifier: Apache-2.0
"""Symmetric integral keypoint regression (SIKR): encode, decode and gradient, in one place.

From AlphaPose (Fang et al., TPAMI 2022, arXiv 2211.03375): a map of logits becomes a confidence
map by the sigmoid and, in a second step, a probability map by its sum (two-step normalisation).
The keypoint is the expectation of the probability, its score the peak of the confidence. In
training the expectation's gradient is replaced by one that has the same amplitude on both sides
of the expectation (amplitude symmetric gradient).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.models.info import NORMS

AMPLITUDE = 2.0  # the released models' constant
EIGHTH = "eighth"  # the paper's amplitude: an eighth of the map's width for x, of its height for y


def normalise(
    logits: Tensor, kind: str = "sigmoid", tail_cut: float = 0.0, window: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Maps (..., H, W) -> probability maps of sum 1 and the joints' scores (...).

    Args:
        logits: raw outputs of the network.
        kind: ``sigmoid`` (two steps; the score is the peak confidence), ``softmax`` or
            ``divide_sum`` (one step; the score is 1).
        tail_cut: confidences below this share of their map's peak are dropped before the sum,
            so that thousands of background cells do not draw the expectation to the middle of
            the map. 0 is the original.
        window: standard deviation, in cells, of a Gaussian around the peak that weights the
            confidences before the sum, so that a second candidate far off does not draw the
            expectation between the two. 0, the original, is no window.

    Raises:
        ConfigError: another ``kind``.
    """
    if kind == "sigmoid":
        whole, confidence, score = _confidence(logits, tail_cut)
        if window > 0:
            across, down = _around_peak(whole, window)
            confidence = confidence * down[..., :, None] * across[..., None, :]
        total = confidence.sum((-2, -1), keepdim=True)
        return confidence / total.clamp(min=torch.finfo(confidence.dtype).tiny), score
    if kind == "softmax":
        probability = logits.flatten(-2).softmax(-1).view_as(logits)
    elif kind == "divide_sum":
        probability = logits / logits.sum((-2, -1), keepdim=True)
    else:
        raise ConfigError(f"normalisation: expected one of {', '.join(NORMS)}, got {kind!r}")
    return probability, torch.ones_like(logits[..., 0, 0])


def _confidence(logits: Tensor, tail_cut: float) -> tuple[Tensor, Tensor, Tensor]:
    """First step: confidences (..., H, W), those without their tails, each map's peak (...)."""
    whole = logits.sigmoid()
    score = whole.amax(-2).amax(-1)  # by columns, which the window has to find anyway
    if tail_cut <= 0:
        return whole, whole, score
    floor = score[..., None, None] * tail_cut
    # A product: ONNX Runtime takes eight times as long for a choice between map and zero.
    return whole, whole * (whole >= floor).to(whole.dtype), score


def _around_peak(confidence: Tensor, deviation: float) -> tuple[Tensor, Tensor]:
    """Gaussian weights of columns (..., W) and rows (..., H), 1 at each map's highest cell."""
    scale = -0.5 / deviation**2

    def weights(profile: Tensor) -> Tensor:
        cells = torch.arange(profile.shape[-1], device=profile.device)
        distance = cells - profile.argmax(-1)[..., None]
        return torch.exp(scale * (distance * distance).to(profile.dtype))

    return weights(confidence.amax(-2)), weights(confidence.amax(-1))


def integral(probability: Tensor) -> Tensor:
    """Expectation (..., 2) as x, y in index units of the maps (..., H, W)."""
    columns, rows = probability.sum(-2), probability.sum(-1)
    return torch.stack([columns @ _cells(columns), rows @ _cells(rows)], -1)


def symmetric_integral(probability: Tensor, amplitude: float | str = AMPLITUDE) -> Tensor:
    """Like :func:`integral`, with the amplitude symmetric gradient (section 3.2 of the paper).

    A cell at or beyond the expectation receives ``amplitude`` times the upstream gradient, a cell
    before it the same with the other sign, whatever its distance from the origin.

    Args:
        probability: (..., H, W) of sum 1.
        amplitude: a number for both axes, or ``eighth``: W / 8 along x and H / 8 along y.

    Raises:
        ConfigError: another word.
    """
    height, width = probability.shape[-2:]
    return torch.stack(
        [
            _SymmetricSum.apply(probability.sum(-2), _amplitude(amplitude, width)),
            _SymmetricSum.apply(probability.sum(-1), _amplitude(amplitude, height)),
        ],
        -1,
    )


def _amplitude(amplitude: float | str, length: int) -> float:
    """The number that stands for ``amplitude`` along an axis of ``length`` cells."""
    if amplitude == EIGHTH:
        return length / 8
    if isinstance(amplitude, str):
        raise ConfigError(f"amplitude: expected a number or {EIGHTH}, got {amplitude!r}")
    return amplitude


class _SymmetricSum(torch.autograd.Function):
    """Sum of j p_j over the last axis of a marginal."""

    @staticmethod
    def forward(ctx: Any, marginal: Tensor, amplitude: float) -> Tensor:
        positions = _cells(marginal)
        mean = marginal @ positions
        ctx.save_for_backward(positions, mean)
        ctx.amplitude = amplitude
        return mean

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        positions, mean = ctx.saved_tensors
        beyond = positions >= mean[..., None]
        sign = beyond.to(mean.dtype) * 2 - 1
        return ctx.amplitude * sign * grads[0][..., None], None


class SikrDecoder(nn.Module):
    """(N, K, H, W) logits -> (N, K, 2) x, y in map units and (N, K) scores; exports with the net.

    With ``spread`` there is a third output (N, K), in map units: the standard deviation of the
    probability that the expectation is taken of, as the root mean square of both axes'.

    Args:
        norm: see :func:`normalise`.
        tail_cut: see :func:`normalise`.
        window: see :func:`normalise`.
        supervised: (K,) bool; joints that training never taught get score 0. None: all taught.
        spread: whether the third output is there.
    """

    supervised: Tensor | None

    def __init__(
        self,
        norm: str = "sigmoid",
        tail_cut: float = 0.0,
        window: float = 0.0,
        supervised: Tensor | None = None,
        *,
        spread: bool = False,
    ) -> None:
        super().__init__()
        if norm not in NORMS:
            raise ConfigError(f"normalisation: expected one of {', '.join(NORMS)}, got {norm!r}")
        self.norm, self.tail_cut, self.window, self.spread = norm, tail_cut, window, spread
        self.register_buffer("supervised", supervised, persistent=False)

    def forward(self, logits: Tensor) -> tuple[Tensor, ...]:
        """Points lie in 0..W-1, 0..H-1; index k stands for input pixel 4k."""
        logits = logits.contiguous()  # reductions over maps are slow in channels-last memory
        if self.norm == "sigmoid":
            columns, rows, score = self._marginals(logits)
        else:
            probability, score = normalise(logits, self.norm)
            columns, rows = probability.sum(-2), probability.sum(-1)
        if self.supervised is not None:
            score = score * self.supervised.to(score.dtype)
        x, y = columns @ _cells(columns), rows @ _cells(rows)
        points = torch.stack([x, y], -1)
        if not self.spread:
            return points, score
        return points, score, ((_variance(columns, x) + _variance(rows, y)) / 2).sqrt()

    def _marginals(self, logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Those of ``normalise(logits)``, (N, K, W) and (N, K, H), in fewer passes over the maps.

        The window is separable, and only the marginals are divided by the sum.
        """
        whole, confidence, score = _confidence(logits, self.tail_cut)
        if self.window > 0:
            across, down = _around_peak(whole, self.window)
            columns = torch.matmul(down[..., None, :], confidence)[..., 0, :] * across
            rows = torch.matmul(confidence, across[..., :, None])[..., 0] * down
        else:
            columns, rows = confidence.sum(-2), confidence.sum(-1)
        total = columns.sum(-1, keepdim=True).clamp(min=torch.finfo(confidence.dtype).tiny)
        return columns / total, rows / total, score


def _cells(marginal: Tensor) -> Tensor:
    """Index of each cell of the last axis."""
    return torch.arange(marginal.shape[-1], device=marginal.device, dtype=marginal.dtype)


def _variance(marginal: Tensor, mean: Tensor) -> Tensor:
    """Of marginals (..., W) about their means (...)."""
    distance = _cells(marginal) - mean[..., None]
    return (marginal * distance * distance).sum(-1).clamp(min=0)  # divide_sum has negative cells
