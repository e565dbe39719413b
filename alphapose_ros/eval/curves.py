# SPDX-License-Identifier: Apache-2.0
"""What plots show: precision over recall, scores against the truth, shares of people."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.eval.metrics import ImageMatches

FloatArray = NDArray[np.floating]
BINS = 10


def precision_recall(images: Sequence[ImageMatches], row: int) -> tuple[FloatArray, FloatArray]:
    """Recall and precision (D,) as the score falls, at one threshold; made monotonous as for AP.

    Empty where there is no ground truth or no answer.
    """
    truths = sum(image.truths for image in images)
    counted = [~image.ignored[row] for image in images]
    scores = [image.scores[c] for image, c in zip(images, counted, strict=True)]
    hits = [image.hits[row][c] for image, c in zip(images, counted, strict=True)]
    if truths == 0 or not any(map(len, scores)):
        return np.zeros(0), np.zeros(0)
    order = np.argsort(-np.concatenate(scores), kind="stable")
    true = np.cumsum(np.concatenate(hits)[order])
    precision = true / np.arange(1, len(true) + 1)
    return true / truths, np.maximum.accumulate(precision[::-1])[::-1]


def reliability(
    scores: FloatArray, positive: NDArray[np.bool_], bins: int = BINS
) -> tuple[FloatArray, FloatArray, NDArray[np.intp]]:
    """Mean score, share of positives and count of each bin of equal width that has a score."""
    bin_of = np.clip((scores * bins).astype(np.intp), 0, bins - 1)
    counts = np.bincount(bin_of, minlength=bins)
    some = counts > 0
    means = np.bincount(bin_of, scores, bins)[some] / counts[some]
    shares = np.bincount(bin_of, positive.astype(np.float64), bins)[some] / counts[some]
    return means, shares, counts[some]


def share_above(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """For each value, ascending: the share of all values that are as large or larger."""
    ordered = np.sort(values[np.isfinite(values)])
    return ordered, 1 - np.arange(len(ordered)) / max(len(ordered), 1)
