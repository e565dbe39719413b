# SPDX-License-Identifier: Apache-2.0
"""How one person looks: a running mean of embeddings, and a few that differ most.

The mean follows the light of the moment and serves from image to image. The exemplars keep the
front, the back and the side apart for the day when the person returns. They need no threshold:
each new embedding joins them, and where they are too many the two most alike become one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

EXEMPLARS = 5
MEAN_MEMORY = 10.0  # embeddings of full quality that the mean remembers
EXEMPLAR_MEMORY = 50.0  # the same for an exemplar
CLEAR = 0.3  # quality from which an embedding may become an exemplar


class Look:
    """Grows by :meth:`add` to a fixed size.

    Attributes:
        mean: (D,) unit vector, or None while nothing is known.
        exemplars: (M, D) unit vectors, M at most ``EXEMPLARS``.
        weights: (M,) summed quality of what became each of them, at most ``EXEMPLAR_MEMORY``.
    """

    def __init__(self) -> None:
        self.mean: FloatArray | None = None
        self.exemplars: FloatArray = np.zeros((0, 0), np.float32)
        self.weights: FloatArray = np.zeros(0, np.float32)
        self._weight = 0.0  # of the mean

    @property
    def nbytes(self) -> int:
        """Bytes of the vectors."""
        mean = 0 if self.mean is None else self.mean.nbytes
        return mean + self.exemplars.nbytes + self.weights.nbytes

    def similarity(self, embedding: FloatArray) -> float | None:
        """Cosine with the closest exemplar; None while there is none."""
        return float((self.exemplars @ embedding).max()) if len(self.weights) else None

    def follow(self, embedding: FloatArray, quality: float) -> None:
        """Blend an embedding into the mean: the plain mean at first, later an exponential one."""
        if quality <= 0:
            return
        weight = min(self._weight, MEAN_MEMORY - quality)
        if self.mean is None:
            self.mean = np.array(embedding, np.float32)
        else:
            self.mean = _unit(weight * self.mean + quality * embedding, self.mean)
        self._weight = weight + quality

    def add(self, embedding: FloatArray, weight: float) -> None:
        """Take an embedding among the exemplars; the first one in any case, later clear ones."""
        if weight <= 0 or (weight < CLEAR and len(self.weights)):
            return
        if not len(self.weights):
            self.exemplars = np.array(embedding, np.float32)[None]
            self.weights = np.array([weight], np.float32)
            return
        vectors = np.concatenate([self.exemplars, embedding[None]]).astype(np.float32)
        weights = np.append(self.weights, np.float32(weight))
        if len(weights) > EXEMPLARS:
            vectors, weights = _merge_closest(vectors, weights)
        self.exemplars, self.weights = vectors, weights

    def absorb(self, later: Look) -> None:
        """Take over what was learned of the same person in another track; its mean is newer."""
        if later.mean is not None:
            self.mean, self._weight = later.mean, later._weight
        for embedding, weight in zip(later.exemplars, later.weights, strict=True):
            self.add(embedding, max(float(weight), CLEAR))


def _merge_closest(vectors: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """One vector fewer: the two most alike become their weighted mean."""
    alike = vectors @ vectors.T
    alike[np.tril_indices(len(vectors))] = -np.inf
    i, j = np.unravel_index(int(alike.argmax()), alike.shape)
    merged = _unit(weights[i] * vectors[i] + weights[j] * vectors[j], vectors[j])
    vectors, weights = vectors.copy(), weights.copy()
    vectors[i], weights[i] = merged, min(weights[i] + weights[j], EXEMPLAR_MEMORY)
    rest = np.arange(len(vectors)) != j
    return vectors[rest], weights[rest]


def _unit(vector: FloatArray, otherwise: FloatArray) -> FloatArray:
    """The vector at length 1; ``otherwise`` where two opposites left nothing of it."""
    norm = float(np.linalg.norm(vector))
    return (vector / norm).astype(np.float32) if norm > 1e-6 else otherwise
