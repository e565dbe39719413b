# SPDX-License-Identifier: Apache-2.0
"""Joint scores as probabilities: a monotone map per part from score to the chance of being right.

A network's peak confidence ranks joints well and says little about how often they are right. The
map is fitted on people that neither trained the network nor judge it: of those it was trained on
it is right too often. Right is a joint whose
similarity to its annotation (``base.keypoints.joint_similarity``) is above one half.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from alphapose_ros.base.errors import ConfigError, InputError
from alphapose_ros.base.skeletons import Skeleton

FloatArray = NDArray[np.floating]
METHODS = ("logistic", "isotonic")
_FEWEST = 30  # people that show a part: joints of one person are right or wrong together
_LEAST = 1e-6  # distance of a probability from 0 and 1, so that its logit is finite


@dataclass(frozen=True)
class Logistic:
    """sigmoid(slope * logit(score) + bias): a temperature of 1 / slope, and a bias."""

    slope: float = 1.0
    bias: float = 0.0

    def __call__(self, scores: FloatArray) -> FloatArray:
        """(...,) -> (...,); a score of 0 stays 0."""
        curved = 1 / (1 + np.exp(-(self.slope * _logit(scores) + self.bias)))
        return np.where(scores > 0, curved, 0).astype(scores.dtype)


@dataclass(frozen=True)
class Isotonic:
    """A rising line through (score, probability) knots, level beyond the first and last."""

    scores: tuple[float, ...]
    probabilities: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.scores) != len(self.probabilities) or not self.scores:
            raise InputError(
                f"expected as many probabilities as scores and at least one, got "
                f"{len(self.probabilities)} and {len(self.scores)}"
            )
        if np.any(np.diff(self.scores) <= 0) or np.any(np.diff(self.probabilities) < 0):
            raise InputError("expected rising scores with probabilities that do not fall")

    def __call__(self, scores: FloatArray) -> FloatArray:
        """(...,) -> (...,); a score of 0 stays 0."""
        curved = np.interp(scores, self.scores, self.probabilities)
        return np.where(scores > 0, curved, 0).astype(scores.dtype)


Curve = Logistic | Isotonic


@dataclass(frozen=True)
class Calibration:
    """A curve per part of a skeleton; scores of a part without one stay what they are.

    Attributes:
        skeleton: name of the keypoint set it was fitted on.
        curves: part name -> curve.
    """

    skeleton: str
    curves: Mapping[str, Curve]

    def __call__(self, scores: FloatArray, skeleton: Skeleton) -> FloatArray:
        """Scores (..., K) of that skeleton -> probabilities (..., K).

        Raises:
            InputError: another skeleton, or not as many scores as it has joints.
        """
        self.check(skeleton)
        if scores.shape[-1:] != (len(skeleton),):
            raise InputError(f"expected scores (..., {len(skeleton)}), got {scores.shape}")
        out = scores.copy()
        for part, curve in self.curves.items():
            joints = skeleton.parts[part]
            out[..., joints] = curve(scores[..., joints])
        return out

    def check(self, skeleton: Skeleton) -> None:
        """InputError unless this was fitted for ``skeleton``."""
        if skeleton.name != self.skeleton:
            raise InputError(
                f"calibration: expected scores of {self.skeleton}, got those of {skeleton.name}"
            )

    def save(self, path: Path) -> None:
        """Write plain JSON, the same bytes for the same curves."""
        curves = {
            part: {"method": type(curve).__name__.lower(), **vars(curve)}
            for part, curve in self.curves.items()
        }
        content = {"skeleton": self.skeleton, "curves": curves}
        path.write_text(json.dumps(content, indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Calibration:
        """Read what :meth:`save` wrote.

        Raises:
            InputError: no such file, or another content; the message names the file.
        """
        try:
            content = json.loads(path.read_text())
            curves = {part: _curve(entry) for part, entry in content["curves"].items()}
            return cls(str(content["skeleton"]), curves)
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise InputError(f"{path}: expected a calibration of scores, got {error}") from error


def _curve(entry: dict[str, Any]) -> Curve:
    if entry["method"] == "logistic":
        return Logistic(float(entry["slope"]), float(entry["bias"]))
    if entry["method"] == "isotonic":
        knots = (tuple(float(v) for v in entry[n]) for n in ("scores", "probabilities"))
        return Isotonic(*knots)
    raise InputError(f"method: expected one of {', '.join(METHODS)}, got {entry['method']!r}")


def fit_calibration(
    scores: FloatArray,
    right: NDArray[np.bool_],
    known: NDArray[np.bool_],
    skeleton: Skeleton,
    method: str = "logistic",
) -> Calibration:
    """Curves for every part that 30 people show, with joints both right and wrong.

    Args:
        scores: (N, K) in [0, 1]; joints of score 0, which nothing taught, do not count.
        right: (N, K), whether the joint lies where it should.
        known: (N, K), whether that is known.
        skeleton: of the K joints.
        method: ``logistic``, two numbers per part, or ``isotonic``, any rising curve.

    Raises:
        ConfigError: another method.
        InputError: arrays of unequal shapes.
    """
    if method not in METHODS:
        raise ConfigError(f"method: expected one of {', '.join(METHODS)}, got {method!r}")
    if not scores.shape == right.shape == known.shape == (len(scores), len(skeleton)):
        raise InputError(
            f"expected scores, right and known (N, {len(skeleton)}), "
            f"got {scores.shape}, {right.shape} and {known.shape}"
        )
    fit = fit_logistic if method == "logistic" else fit_isotonic
    curves: dict[str, Curve] = {}
    for part, joints in skeleton.parts.items():
        counts = known[:, joints] & (scores[:, joints] > 0)
        sample, hits = scores[:, joints][counts], right[:, joints][counts]
        if counts.any(1).sum() >= _FEWEST and 0 < hits.sum() < len(hits):
            curves[part] = fit(sample, hits)
    return Calibration(skeleton.name, curves)


def fit_logistic(scores: FloatArray, right: NDArray[np.bool_]) -> Logistic:
    """Slope and bias of highest likelihood for scores (M,) in [0, 1]; the slope is never negative.

    Platt's targets, a little inside 0 and 1, keep both finite where scores part right from wrong.
    """
    from scipy.optimize import minimize

    x = _logit(np.asarray(scores, np.float64))
    hits = right.sum()
    target = np.where(right, (hits + 1) / (hits + 2), 1 / (len(right) - hits + 2))

    def objective(parameters: FloatArray) -> tuple[float, FloatArray]:
        z = parameters[0] * x + parameters[1]
        residual = 1 / (1 + np.exp(-z)) - target
        loss = np.logaddexp(0, z) - target * z
        return loss.mean(), np.array([(residual * x).mean(), residual.mean()])

    if len(x) == 0:
        return Logistic()
    found = minimize(
        objective, [1.0, 0.0], jac=True, method="L-BFGS-B", bounds=[(0, None), (None, None)]
    )
    return Logistic(float(found.x[0]), float(found.x[1]))


def fit_isotonic(scores: FloatArray, right: NDArray[np.bool_]) -> Isotonic:
    """Rising curve of least squares for scores (M,), by pooling adjacent violators.

    Each pool is one knot, at its mean score, so that a score between two pools is between their
    shares of right joints.
    """
    levels, inverse = np.unique(np.asarray(scores, np.float64), return_inverse=True)
    hits = np.bincount(inverse, weights=right)
    pools: list[tuple[float, float, float]] = []  # count, right ones, sum of scores
    for level, count, number in zip(levels, np.bincount(inverse), hits, strict=True):
        pool = (float(count), float(number), float(level * count))
        while pools and pools[-1][1] * pool[0] >= pool[1] * pools[-1][0]:
            last = pools.pop()
            pool = (pool[0] + last[0], pool[1] + last[1], pool[2] + last[2])
        pools.append(pool)
    if not pools:
        return Isotonic((0.0, 1.0), (0.0, 1.0))
    return Isotonic(tuple(s / n for n, _, s in pools), tuple(r / n for n, r, _ in pools))


def _logit(scores: FloatArray) -> FloatArray:
    inside = np.clip(scores, _LEAST, 1 - _LEAST)
    return np.log(inside) - np.log1p(-inside)


class CalibratedDecoder(nn.Module):
    """A decoder whose scores are probabilities; exports with the network.

    Args:
        decoder: (N, K, H, W) -> points (N, K, 2), scores (N, K), and what else it gives.
        calibration: logistic curves.
        skeleton: of the K joints.

    Raises:
        ConfigError: an isotonic curve, which no graph holds.
        InputError: the calibration is another skeleton's.
    """

    slope: Tensor
    bias: Tensor

    def __init__(self, decoder: nn.Module, calibration: Calibration, skeleton: Skeleton) -> None:
        super().__init__()
        calibration.check(skeleton)
        slope, bias = torch.ones(len(skeleton)), torch.zeros(len(skeleton))
        for part, curve in calibration.curves.items():
            if not isinstance(curve, Logistic):
                raise ConfigError(f"calibration: expected a logistic curve for {part}")
            joints = skeleton.parts[part]
            slope[joints], bias[joints] = curve.slope, curve.bias
        self.decoder = decoder
        self.register_buffer("slope", slope, persistent=False)
        self.register_buffer("bias", bias, persistent=False)

    def forward(self, logits: Tensor) -> tuple[Tensor, ...]:
        """Points and all else as they are, and probabilities; a score of 0 stays 0."""
        points, scores, *others = self.decoder(logits)
        inside = scores.clamp(_LEAST, 1 - _LEAST)
        odds = inside.log() - torch.log1p(-inside)
        return points, torch.sigmoid(self.slope * odds + self.bias) * (scores > 0), *others
