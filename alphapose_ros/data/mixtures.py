# SPDX-License-Identifier: Apache-2.0
"""Gaussian mixtures with full covariances: fitted by expectation-maximisation, drawn from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.errors import InputError

FloatArray = NDArray[np.float64]

_FLOOR = 1e-5  # added to each variance, so that equal samples leave a density
_ROUNDS = 200
_PER_COMPONENT = 40  # samples below which another component would fit noise


@dataclass(frozen=True)
class Mixture:
    """M Gaussians in D dimensions.

    Attributes:
        weights: (M,) positive, of sum 1. means: (M, D). covariances: (M, D, D).

    Raises:
        InputError: shapes that do not fit, numbers that are none, or no covariance.
    """

    weights: FloatArray
    means: FloatArray
    covariances: FloatArray

    def __post_init__(self) -> None:
        for name in ("weights", "means", "covariances"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), np.float64))
        count, size = self.means.shape if self.means.ndim == 2 else (0, 0)
        if not count or self.weights.shape != (count,):
            raise InputError(
                f"mixture: expected weights (M,) and means (M, D), got {self.weights.shape} and "
                f"{self.means.shape}"
            )
        if self.covariances.shape != (count, size, size):
            raise InputError(
                f"mixture: expected covariances {(count, size, size)}, got "
                f"{self.covariances.shape}"
            )
        finite = all(np.isfinite(a).all() for a in (self.weights, self.means, self.covariances))
        if not finite or (self.weights <= 0).any() or abs(self.weights.sum() - 1) > 1e-3:
            raise InputError("mixture: expected finite numbers and positive weights of sum 1")
        if (np.linalg.eigvalsh(self.covariances) <= 0).any():
            raise InputError("mixture: expected positive definite covariances")

    @property
    def mean(self) -> FloatArray:
        """(D,)."""
        return self.weights @ self.means

    @property
    def deviation(self) -> FloatArray:
        """(D,) standard deviation of each dimension."""
        variances = np.diagonal(self.covariances, axis1=1, axis2=2)
        spread = self.weights @ (variances + (self.means - self.mean) ** 2)
        return np.asarray(np.sqrt(spread), np.float64)

    def sample(self, count: int, rng: np.random.Generator) -> FloatArray:
        """(count, D); takes the same amount from ``rng`` whatever comes out."""
        chosen = np.searchsorted(np.cumsum(self.weights), rng.random(count))
        chosen = np.minimum(chosen, len(self.weights) - 1)
        noise = rng.standard_normal((count, self.means.shape[1]))
        roots = np.linalg.cholesky(self.covariances)[chosen]
        return self.means[chosen] + np.einsum("nij,nj->ni", roots, noise)

    def log_density(self, samples: FloatArray) -> FloatArray:
        """(N, D) -> (N,) natural logarithm of the density."""
        return np.asarray(np.logaddexp.reduce(self._log_terms(samples), axis=1), np.float64)

    def marginal(self, dimension: int, at: FloatArray) -> FloatArray:
        """Density of one dimension at the points ``at`` (N,)."""
        variances = self.covariances[:, dimension, dimension]
        away = (at[:, None] - self.means[:, dimension]) ** 2
        curves = np.exp(-away / (2 * variances)) / np.sqrt(2 * np.pi * variances)
        return np.asarray(curves @ self.weights, np.float64)

    def to_json(self) -> dict[str, Any]:
        """Plain lists, of seven significant digits."""
        names = ("weights", "means", "covariances")
        return {name: _shortened(getattr(self, name)).tolist() for name in names}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Mixture:
        """What :meth:`to_json` gave.

        Raises:
            InputError: it is something else.
        """
        try:
            arrays = [np.array(content[k], float) for k in ("weights", "means", "covariances")]
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"mixture: expected weights, means and covariances ({error!r})"
            ) from error
        return cls(*arrays)

    def _log_terms(self, samples: FloatArray) -> FloatArray:
        """(N, M) logarithms of weight times density."""
        away = samples[:, None] - self.means  # (N, M, D)
        solved = np.einsum("mij,nmj->nmi", np.linalg.inv(self.covariances), away)
        size = samples.shape[1]
        scale = np.linalg.slogdet(self.covariances)[1] + size * np.log(2 * np.pi)
        return np.log(self.weights) - ((solved * away).sum(2) + scale) / 2


def fit_mixture(samples: FloatArray, components: int, rng: np.random.Generator) -> Mixture:
    """The mixture of 1 to ``components`` Gaussians that the Bayesian criterion prefers.

    Args:
        samples: (N, D), N at least 2.
        components: most of them; few samples get fewer.
        rng: where the means start.

    Raises:
        InputError: fewer than two samples.
    """
    if len(samples) < 2:
        raise InputError(f"mixture: expected at least 2 samples, got {len(samples)}")
    most = max(1, min(components, len(samples) // _PER_COMPONENT))
    fits = [_expectation_maximisation(samples, count, rng) for count in range(1, most + 1)]
    return min(fits, key=lambda fit: _criterion(fit, samples))


def _shortened(numbers: FloatArray) -> FloatArray:
    flat = [float(f"{number:.7g}") for number in numbers.ravel()]
    return np.array(flat).reshape(numbers.shape)


def _criterion(fit: Mixture, samples: FloatArray) -> float:
    """Schwarz's: less is better."""
    size = samples.shape[1]
    numbers = len(fit.weights) * (1 + size + size * (size + 1) // 2) - 1
    return float(numbers * np.log(len(samples)) - 2 * fit.log_density(samples).sum())


def _expectation_maximisation(
    samples: FloatArray, count: int, rng: np.random.Generator
) -> Mixture:
    whole = np.atleast_2d(np.cov(samples.T, bias=True)) + _FLOOR * np.eye(samples.shape[1])
    means = samples[rng.choice(len(samples), count, replace=False)]
    if count == 1:
        means = samples.mean(0, keepdims=True)
    fit = Mixture(np.full(count, 1 / count), means, np.repeat(whole[None], count, 0))
    last = -np.inf
    for _ in range(_ROUNDS):
        terms = fit._log_terms(samples)
        total = np.logaddexp.reduce(terms, axis=1)
        share = np.exp(terms - total[:, None])  # (N, M)
        mass = share.sum(0) + 1e-9
        means = share.T @ samples / mass[:, None]
        away = samples[:, None] - means
        spread = np.einsum("nm,nmi,nmj->mij", share, away, away) / mass[:, None, None]
        spread += _FLOOR * np.eye(samples.shape[1])
        fit = Mixture(mass / mass.sum(), means, spread)
        if total.mean() - last < 1e-6:
            break
        last = total.mean()
    return fit
