# SPDX-License-Identifier: Apache-2.0
"""Who comes back and is known again, and who comes for the first time and is taken for another."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

WINDOW_S = 3.0  # an identity is what a person has most of in so long, of time in the picture
LEAST_S = 1.5  # shorter appearances are not asked about
_HOLDER = 3  # frames from which an identity was somebody's
_BREAK_S = 1.5  # unseen for so long is an absence: a new appearance begins


@dataclass(frozen=True)
class Sighting:
    """One frame: when, and the identity that each person in the picture was given, 0 if none."""

    time_s: float
    given: Mapping[int, int]


@dataclass(frozen=True)
class Reentries:
    """What came of returns and first appearances; two can be added.

    Attributes:
        kept: the person had the identity from before again. renewed: a new one. mistaken: one
            that had been another person's. unnamed: none within ``WINDOW_S``.
        newcomers: people who came after the beginning. thefts: got another person's identity.
    """

    kept: int = 0
    renewed: int = 0
    mistaken: int = 0
    unnamed: int = 0
    newcomers: int = 0
    thefts: int = 0

    def __add__(self, other: Reentries) -> Reentries:
        return Reentries(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @property
    def returns(self) -> int:
        """All returns that were asked about."""
        return self.kept + self.renewed + self.mistaken + self.unnamed


def reentries(frames: Sequence[Sighting], away_s: float = 10.0) -> Reentries:
    """Judge the returns of one sequence.

    Args:
        frames: in the order of time.
        away_s: a return counts after an absence of at least so long. Who had no identity before
            it is not asked about.
    """
    held: dict[int, Counter[int]] = defaultdict(Counter)  # identity -> frames with each person
    appearances = _appearances(frames)
    out = Counter[str]()
    events = sorted(
        (stay[0][0], name, k)
        for name, stays in appearances.items()
        for k, stay in enumerate(stays)
    )
    waiting = iter(frames)
    frame = next(waiting, None)
    for begin, name, k in events:
        while frame is not None and frame.time_s < begin:
            for who, identity in frame.given.items():
                held[identity][who] += identity != 0
            frame = next(waiting, None)
        stay = appearances[name][k]
        if stay[-1][0] - begin < LEAST_S:
            continue
        now = _most([pair for pair in stay if pair[0] <= begin + WINDOW_S])
        foreign = any(n >= _HOLDER for who, n in held[now].items() if who != name)
        if k == 0:
            if begin > frames[0].time_s + LEAST_S:
                out["newcomers"] += 1
                out["thefts"] += now != 0 and foreign
            continue
        if begin - appearances[name][k - 1][-1][0] < away_s:
            continue
        named = [pair for before in appearances[name][:k] for pair in before if pair[1]]
        then = _most([pair for pair in named if pair[0] >= named[-1][0] - WINDOW_S])
        if then == 0:
            continue
        own = "kept" if now == then else "mistaken" if foreign else "renewed"
        out["unnamed" if now == 0 else own] += 1
    return Reentries(**{f.name: int(out[f.name]) for f in fields(Reentries)})


def _appearances(frames: Sequence[Sighting]) -> dict[int, list[list[tuple[float, int]]]]:
    """Person -> stays in the picture, each a list of (time, identity)."""
    out: dict[int, list[list[tuple[float, int]]]] = defaultdict(list)
    for frame in frames:
        for name, identity in frame.given.items():
            stays = out[name]
            if not stays or frame.time_s - stays[-1][-1][0] > _BREAK_S:
                stays.append([])
            stays[-1].append((frame.time_s, identity))
    return out


def _most(pairs: Sequence[tuple[float, int]]) -> int:
    """The identity that was given most often, 0 if none was."""
    counts = Counter(identity for _, identity in pairs if identity)
    return counts.most_common(1)[0][0] if counts else 0
