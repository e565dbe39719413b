# SPDX-License-Identifier: Apache-2.0
"""Average precision, curves, calibration and bootstrap intervals, for poses and boxes alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating]
THRESHOLDS = np.arange(0.5, 1.0, 0.05).round(2)
_RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class ImageMatches:
    """What matching found in one image, by COCO's rules.

    Attributes:
        scores: (D,) of the detections, best first.
        hits: (T, D) true where a detection took a ground truth at threshold t.
        ignored: (T, D) true where it counts neither way.
        truths: ground truths that count.
    """

    scores: FloatArray
    hits: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    truths: int


def match_image(
    similarity: FloatArray,
    scores: FloatArray,
    ignore_truth: NDArray[np.bool_],
    thresholds: FloatArray = THRESHOLDS,
    crowd: NDArray[np.bool_] | None = None,
) -> ImageMatches:
    """Match detections to ground truths greedily, best score first (COCO evaluation).

    Args:
        similarity: (D, G) IoU or OKS.
        scores: (D,).
        ignore_truth: (G,) truths whose match counts neither way.
        thresholds: (T,).
        crowd: (G,) truths that any number of detections may take.
    """
    order = np.argsort(-scores, kind="stable")
    similarity, count = similarity[order], len(scores)
    crowd = np.zeros(len(ignore_truth), bool) if crowd is None else crowd
    hits = np.zeros((len(thresholds), count), bool)
    ignored = np.zeros((len(thresholds), count), bool)
    for t, threshold in enumerate(thresholds):
        free = np.ones(len(ignore_truth), bool)
        for d in range(count):
            usable = (free | crowd) & (similarity[d] >= min(threshold, 1 - 1e-10))
            chosen = usable & ~ignore_truth if (usable & ~ignore_truth).any() else usable
            if not chosen.any():
                continue
            # Of equal ones the last, as the reference implementation does.
            best = int(np.flatnonzero(chosen)[::-1][np.argmax(similarity[d][chosen][::-1])])
            free[best] = False
            hits[t, d], ignored[t, d] = not ignore_truth[best], ignore_truth[best]
    return ImageMatches(scores[order], hits, ignored, int((~ignore_truth).sum()))


def average_precision(images: Sequence[ImageMatches]) -> FloatArray:
    """AP per threshold (T,): precision at 101 recalls, made monotonous (COCO). NaN: no truths."""
    count = len(images[0].hits) if images else len(THRESHOLDS)
    truths = sum(image.truths for image in images)
    if truths == 0:
        return np.full(count, np.nan)
    scores = np.concatenate([image.scores for image in images])
    order = np.argsort(-scores, kind="stable")
    hits = np.concatenate([image.hits for image in images], 1)[:, order]
    ignored = np.concatenate([image.ignored for image in images], 1)[:, order]
    out = np.zeros(count)
    for t in range(count):
        counted = hits[t][~ignored[t]]
        true, false = np.cumsum(counted), np.cumsum(~counted)
        recall = true / truths
        precision = true / np.maximum(true + false, 1)
        precision = np.maximum.accumulate(precision[::-1])[::-1]
        at = np.searchsorted(recall, _RECALLS, side="left")
        reached = at < len(precision)
        out[t] = precision[at[reached]].sum() / len(_RECALLS)
    return out


def average_recall(images: Sequence[ImageMatches]) -> FloatArray:
    """Recall per threshold (T,) when every answer counts, whatever its score. NaN: no truths."""
    count = len(images[0].hits) if images else len(THRESHOLDS)
    truths = sum(image.truths for image in images)
    if truths == 0:
        return np.full(count, np.nan)
    return np.sum([image.hits.sum(1) for image in images], axis=0) / truths


def area_under_roc(scores: FloatArray, positive: NDArray[np.bool_]) -> float:
    """Chance that a positive scores above a negative, ties half; NaN without both."""
    from scipy.stats import rankdata

    n, m = int(positive.sum()), int((~positive).sum())
    if n == 0 or m == 0:
        return float("nan")
    ranks = rankdata(scores)
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * m))


def calibration_error(scores: FloatArray, positive: NDArray[np.bool_], *, bins: int = 15) -> float:
    """Expected calibration error (Guo et al., ICML 2017) of scores in [0, 1]; NaN without any.

    The mean over all scores of how far the share of positives in the score's bin, one of
    ``bins`` of equal width, lies from the bin's mean score.
    """
    if len(scores) == 0:
        return float("nan")
    bin_of = np.clip((scores * bins).astype(np.intp), 0, bins - 1)
    gaps = np.bincount(bin_of, positive.astype(np.float64) - scores, bins)
    return float(np.abs(gaps).sum() / len(scores))


def clustered_mean(
    values: FloatArray, groups: NDArray[np.integer], *, repeats: int = 200, seed: int = 0
) -> tuple[float, tuple[float, float]]:
    """Mean of (N,) values and its 95 % interval, drawn by group: people of an image go together.

    ``groups`` is (N,), any integers; only groups with a value are drawn.
    """
    _, index = np.unique(groups, return_inverse=True)
    sums, counts = np.bincount(index, values), np.bincount(index)

    def mean(chosen: NDArray[np.intp]) -> float:
        return float(sums[chosen].sum() / counts[chosen].sum())

    if len(values) == 0:
        return float("nan"), (float("nan"), float("nan"))
    everything = np.arange(len(sums))
    return mean(everything), bootstrap(mean, len(sums), repeats=repeats, seed=seed)


def bootstrap(
    statistic: Callable[[NDArray[np.intp]], float],
    count: int,
    *,
    repeats: int = 200,
    seed: int = 0,
) -> tuple[float, float]:
    """95 % interval of a statistic of image indices, images drawn with replacement.

    Draws for which the statistic is NaN do not count; NaN twice where it always is.
    """
    rng = np.random.default_rng(seed)
    if count == 0:
        return float("nan"), float("nan")
    values = np.array([statistic(rng.integers(0, count, count)) for _ in range(repeats)])
    values = values[~np.isnan(values)]
    if values.size == 0:
        return float("nan"), float("nan")
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
