# SPDX-License-Identifier: Apache-2.0
"""MOTA, IDF1, HOTA and what stands beside them, from who was where in every frame.

CLEAR MOT (Bernardin and Stiefelhagen, 2008), the identity measures (Ristani et al., 2016) and HOTA
(Luiten et al., 2020). NumPy and SciPy only; the numbers are TrackEval's, which the tests compare.
Counts are kept, not ratios, so that sequences are added before anything is divided.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

FloatArray = NDArray[np.floating]
IntArray = NDArray[np.integer]
Measures = dict[str, float | int]

ALPHAS = np.arange(0.05, 0.99, 0.05)  # HOTA's 19 thresholds
MOSTLY_TRACKED, MOSTLY_LOST = 0.8, 0.2
_EPS = float(np.finfo(np.float64).eps)
_KEEP = 1000.0  # a pair of the frame before outweighs every similarity


@dataclass(frozen=True)
class MatchedFrame:
    """One frame: T true people, R results, and how well each pair agrees.

    Attributes:
        truth: (T,) ids. results: (R,) ids. No id comes twice.
        similarity: (T, R) in [0, 1]: IoU of boxes, or OKS.
    """

    truth: IntArray
    results: IntArray
    similarity: FloatArray


@dataclass(frozen=True)
class Counts:
    """What the measures are made of; the counts of two sequences can be added.

    Attributes:
        hits, misses, false: of CLEAR MOT; ``switches`` of identity, ``fragments``: a person is
            found again after having been missed while in the picture.
        people, mostly_tracked, mostly_lost: true trajectories, found in more than 80 % and less
            than 20 % of their frames.
        overlap: sum of the similarities of the hits.
        id_hits, id_misses, id_false: of the best one-to-one assignment of whole trajectories.
        alpha_hits, alpha_misses, alpha_false: (19,) of HOTA.
        association, association_recall, association_precision: (19,) summed over alpha_hits.
        location: (19,) similarities of alpha_hits, summed.
    """

    hits: int
    misses: int
    false: int
    switches: int
    fragments: int
    people: int
    mostly_tracked: int
    mostly_lost: int
    overlap: float
    id_hits: int
    id_misses: int
    id_false: int
    alpha_hits: FloatArray
    alpha_misses: FloatArray
    alpha_false: FloatArray
    association: FloatArray
    association_recall: FloatArray
    association_precision: FloatArray
    location: FloatArray

    def __add__(self, other: Counts) -> Counts:
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


def count(frames: Sequence[MatchedFrame], threshold: float = 0.5) -> Counts:
    """Everything about one sequence, its frames in the order of time.

    Args:
        frames: also those with nobody in them.
        threshold: similarity from which CLEAR MOT and the identity measures take a pair.
    """
    frames = _numbered(frames)
    return Counts(*_clear(frames, threshold), *_identity(frames, threshold), *_hota(frames))


def measures(counts: Counts) -> Measures:
    """The numbers that are reported, as shares of 1; of nothing at all they are 0."""
    true = counts.hits + counts.misses
    found = counts.hits + counts.false
    identities = 2 * counts.id_hits + counts.id_misses + counts.id_false
    curves = by_threshold(counts)
    return {
        "MOTA": float(_share(counts.hits - counts.false - counts.switches, true)),
        "IDF1": float(_share(2 * counts.id_hits, identities)),
        **{name: float(values.mean()) for name, values in curves.items()},
        "AssRe": float(_share(counts.association_recall, counts.alpha_hits).mean()),
        "AssPr": float(_share(counts.association_precision, counts.alpha_hits).mean()),
        "LocA": float(_location(counts).mean()),
        "MOTP": float(_share(counts.overlap, counts.hits)),
        "IDP": float(_share(counts.id_hits, counts.id_hits + counts.id_false)),
        "IDR": float(_share(counts.id_hits, counts.id_hits + counts.id_misses)),
        "precision": float(_share(counts.hits, found)),
        "recall": float(_share(counts.hits, true)),
        "switches": counts.switches,
        "fragmentations": counts.fragments,
        "false_positives": counts.false,
        "misses": counts.misses,
        "people": counts.people,
        "mostly_tracked": counts.mostly_tracked,
        "mostly_lost": counts.mostly_lost,
        "true_boxes": true,
    }


def by_threshold(counts: Counts) -> dict[str, FloatArray]:
    """HOTA, DetA and AssA, (19,) each, at ``ALPHAS``; the measures are their means."""
    detection = _share(
        counts.alpha_hits, counts.alpha_hits + counts.alpha_misses + counts.alpha_false
    )
    association = _share(counts.association, counts.alpha_hits)
    return {"HOTA": np.sqrt(detection * association), "DetA": detection, "AssA": association}


def _share(part: FloatArray | float, whole: FloatArray | float) -> FloatArray:
    return np.asarray(part, np.float64) / np.maximum(1, whole)


def _location(counts: Counts) -> FloatArray:
    # Where nothing was hit, nothing lies wrong (TrackEval's reading as well).
    return np.maximum(1e-10, counts.location) / np.maximum(1e-10, counts.alpha_hits)


def _numbered(frames: Sequence[MatchedFrame]) -> list[MatchedFrame]:
    """The same with ids 0, 1, 2 ..., so that they can be rows of arrays."""

    def numbers(ids: Sequence[IntArray]) -> list[IntArray]:
        flat = np.concatenate([np.zeros(0, np.int64), *ids])
        inverse = np.unique(flat, return_inverse=True)[1]
        return np.split(inverse, np.cumsum([len(each) for each in ids])[:-1]) if ids else []

    truth, results = numbers([f.truth for f in frames]), numbers([f.results for f in frames])
    return [
        MatchedFrame(t, r, np.asarray(f.similarity, np.float64))
        for t, r, f in zip(truth, results, frames, strict=True)
    ]


def _counted(ids: Sequence[IntArray]) -> FloatArray:
    return np.bincount(np.concatenate([np.zeros(0, np.int64), *ids])).astype(np.float64)


def _clear(
    frames: Sequence[MatchedFrame], threshold: float
) -> tuple[int, int, int, int, int, int, int, int, float]:
    present = _counted([f.truth for f in frames])
    found, people = np.zeros(len(present)), len(present)
    last = np.full(people, -1)  # result that each person had when last found
    before = np.full(people, -1)  # the same, if that was in the last frame that had any result
    interrupted = np.zeros(people, bool)
    hits = misses = false = switches = fragments = 0
    overlap = 0.0
    for frame in frames:
        good = frame.similarity >= threshold - _EPS
        kept = before[frame.truth][:, None] == frame.results[None]
        score = np.where(good, frame.similarity + _KEEP * kept, 0)
        rows, columns = linear_sum_assignment(score, maximize=True)
        chosen = score[rows, columns] > _EPS
        rows, columns = rows[chosen], columns[chosen]
        who, result = frame.truth[rows], frame.results[columns]
        switches += int(((last[who] >= 0) & (last[who] != result)).sum())
        fragments += int(interrupted[who].sum())
        interrupted[frame.truth] = last[frame.truth] >= 0
        interrupted[who] = False
        if frame.similarity.size:  # TrackEval passes over frames without truth or results
            before[:] = -1
        before[who] = last[who] = result
        found[who] += 1
        hits, overlap = hits + len(who), overlap + float(frame.similarity[rows, columns].sum())
        misses, false = misses + len(frame.truth) - len(who), false + len(frame.results) - len(who)
    share = _share(found, present)
    mostly = int((share > MOSTLY_TRACKED).sum()), int((share < MOSTLY_LOST).sum())
    return hits, misses, false, switches, fragments, people, *mostly, overlap


def _identity(frames: Sequence[MatchedFrame], threshold: float) -> tuple[int, int, int]:
    true, found = _counted([f.truth for f in frames]), _counted([f.results for f in frames])
    together = np.zeros((len(true), len(found)))
    for frame in frames:
        rows, columns = np.nonzero(frame.similarity >= threshold)
        together[frame.truth[rows], frame.results[columns]] += 1
    # What is not matched misses or is false, so the least cost is the largest sum of hits.
    hits = int(together[linear_sum_assignment(together, maximize=True)].sum())
    return hits, int(true.sum()) - hits, int(found.sum()) - hits


def _hota(frames: Sequence[MatchedFrame]) -> tuple[FloatArray, ...]:
    true, found = _counted([f.truth for f in frames]), _counted([f.results for f in frames])
    alignment = _alignment(frames, true, found)
    hits, location = np.zeros(len(ALPHAS)), np.zeros(len(ALPHAS))
    together = np.zeros((len(ALPHAS), len(true), len(found)))
    for frame in frames:
        score = alignment[np.ix_(frame.truth, frame.results)] * frame.similarity
        rows, columns = linear_sum_assignment(score, maximize=True)
        reached = frame.similarity[rows, columns]
        good = reached[None] >= ALPHAS[:, None] - _EPS
        hits, location = hits + good.sum(1), location + (good * reached).sum(1)
        together[:, frame.truth[rows], frame.results[columns]] += good
    union = true[:, None] + found[None] - together
    sums = [
        (together * _share(together, whole)).sum((1, 2))
        for whole in (union, true[:, None], found[None])
    ]
    return hits, true.sum() - hits, found.sum() - hits, *sums, location


def _alignment(frames: Sequence[MatchedFrame], true: FloatArray, found: FloatArray) -> FloatArray:
    """(T, R) Jaccard index of whole trajectories with soft matches, which picks HOTA's pairs."""
    soft = np.zeros((len(true), len(found)))
    for frame in frames:
        similarity = frame.similarity
        union = similarity.sum(0)[None] + similarity.sum(1)[:, None] - similarity
        shared = np.divide(similarity, union, out=np.zeros_like(similarity), where=union > _EPS)
        soft[np.ix_(frame.truth, frame.results)] += shared
    return np.asarray(soft / np.maximum(_EPS, true[:, None] + found[None] - soft))
