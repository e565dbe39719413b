# SPDX-License-Identifier: Apache-2.0
"""Parameters searched two at a time, the others fixed, until no pair gets better (RMPE)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Values = Mapping[str, float]
Pair = tuple[str, str]


@dataclass(frozen=True)
class Found:
    """Outcome of a search.

    Attributes:
        values: the best.
        score: of them.
        start: score of the values that it began with.
        rounds: passes over all pairs, the last of which changed nothing unless rounds ran out.
        tried: different values that were judged.
    """

    values: dict[str, float]
    score: float
    start: float
    rounds: int
    tried: int


def search_pairs(
    start: Values,
    pairs: Sequence[Pair],
    factors: Sequence[float],
    score: Callable[[Values], float],
    *,
    rounds: int = 3,
    limits: Mapping[str, tuple[float, float]] | None = None,
) -> Found:
    """Maximise ``score`` over all combinations of factors on two parameters at once.

    A value is replaced only by a strictly better one, the nearer factors first, so that the
    outcome is the same each time and stays where nothing is gained.

    Args:
        start: parameter -> value.
        pairs: of parameters, in the order of the search; a name alone goes with itself.
        factors: that the current value is multiplied by; 1 is always among them.
        score: of a set of values; higher is better.
        rounds: most passes.
        limits: parameter -> lowest and highest value.
    """
    near = sorted({1.0, *factors}, key=lambda factor: (max(factor, 1 / factor), factor))
    known: dict[tuple[float, ...], float] = {}
    names = tuple(start)

    def judged(values: Values) -> float:
        key = tuple(round(values[name], 9) for name in names)
        if key not in known:
            known[key] = score(values)
        return known[key]

    best = dict(start)
    first = top = judged(best)
    done = 0
    while done < rounds:
        done += 1
        before = top
        for pair in pairs:
            center = dict(best)
            for steps in itertools.product(near, repeat=len(set(pair))):
                moved = dict(center)
                for name, factor in zip(dict.fromkeys(pair), steps, strict=True):
                    low, high = (limits or {}).get(name, (float("-inf"), float("inf")))
                    moved[name] = min(max(center[name] * factor, low), high)
                value = judged(moved)
                if value > top:
                    best, top = moved, value
        if top == before:
            break
    return Found(best, top, first, done, len(known))
