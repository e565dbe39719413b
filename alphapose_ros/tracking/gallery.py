# SPDX-License-Identifier: Apache-2.0
"""Everybody who has an identity and a look, over all cameras of a process.

A track that is about to get its identity asks here first. It gets a lost one where it looks like
that person (``gallery_similarity``) and like nobody else (``gallery_margin``), be the other lost
too, in view, or asking in the same image. Nobody who is in view of a camera is given away.

Who was lost is remembered for ``gallery_s`` seconds of image time. Beyond those whom their own
trackers still wait for there are at most ``gallery_size``; the longest unseen leave first. Each is
a fixed number of vectors.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.tracking.association import match
from alphapose_ros.tracking.config import TrackerConfig
from alphapose_ros.tracking.look import Look

FloatArray = NDArray[np.floating]
BoolArray = NDArray[np.bool_]

_APART_S = 1.0  # a camera's first stamp may lie so far from the newest of the others
_BEHIND_S = 30.0  # no image comes as late as that: another's clock has jumped
SHARPNESS = 2.0  # a lead of one margin is odds of e^2, 7 to 1


@dataclass(frozen=True)
class Answer:
    """Who a new track is.

    Attributes:
        identity: of a lost person, 0 for somebody new.
        confidence: [0, 1] that this is right, as far as looks tell.
        undecided: somebody known looks much like this; another image may tell.
        look: of the person found, with the new track's; else the new track's own.
    """

    identity: int
    confidence: float
    undecided: bool
    look: Look


@dataclass
class _Known:
    identity: int
    owner: object  # the tracker that saw the person last
    look: Look
    seen_ns: int
    confidence: float
    visible: bool = True  # in the newest image of the owner

    def unseen_s(self, now_ns: int) -> float:
        """Seconds since then, by the gallery's clock."""
        return (now_ns - self.seen_ns) / 1e9


class Gallery:
    """Share one among all trackers whose people may meet. Safe between threads.

    ``lock`` is re-entrant; a tracker holds it while it works on an image, so that no other camera
    takes a person whom it is about to find again.

    Time is that of the stamps, but cameras' clocks may lie apart: what is heard from one for the
    first time is taken to be of now, as is what lies half a minute behind the newest. Time never
    goes back: a camera that is late shows its people now, or others would seem lost beside them.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._known: dict[int, _Known] = {}
        self._shifts: dict[object, int] = {}  # ns from an owner's clock to the gallery's
        self._now_ns: int | None = None  # the newest stamp, on the gallery's clock

    def __len__(self) -> int:
        return len(self._known)

    @property
    def nbytes(self) -> int:
        """Bytes of all vectors."""
        with self.lock:
            return sum(known.look.nbytes for known in self._known.values())

    def note(
        self,
        owner: object,
        seen: Sequence[tuple[int, Look, float]],
        stamp_ns: int,
        config: TrackerConfig,
    ) -> None:
        """Who is in an image of ``owner``; its others are lost from now on, the overdue leave.

        Args:
            owner: the tracker, as a key.
            seen: identity, look and confidence of each person.
            stamp_ns: of the image.
            config: the limits.
        """
        with self.lock:
            stamp_ns = self._time(owner, stamp_ns)
            for known in self._known.values():
                known.visible &= known.owner is not owner
            for identity, look, confidence in seen:
                self._known[identity] = _Known(identity, owner, look, stamp_ns, confidence)
            self._clear(stamp_ns, config)

    def gone(self, owner: object, identities: Sequence[int]) -> set[int]:
        """Which of these identities ``owner`` need not wait for: other cameras have found them."""
        with self.lock:
            known = (self._known.get(identity) for identity in identities)
            mine = {each.identity for each in known if each and each.owner is owner}
            return set(identities) - mine

    def ask(
        self,
        owner: object,
        looks: Sequence[Look],
        present: Collection[int],
        stamp_ns: int,
        config: TrackerConfig,
    ) -> list[Answer]:
        """Who these new tracks of one image are. A person found belongs to ``owner`` at once.

        Args:
            owner: the tracker, as a key.
            looks: of the new tracks.
            present: identities that others in the same image have.
            stamp_ns: of the image.
            config: the limits.
        """
        with self.lock:
            stamp_ns = self._time(owner, stamp_ns)
            known = [self._known[identity] for identity in sorted(self._known)]
            lost = np.array(
                [
                    each.identity not in present and _is_lost(each, stamp_ns, config)
                    for each in known
                ],
                bool,
            )
            recent = [each.unseen_s(stamp_ns) <= config.gallery_s for each in known]
            free = lost & np.array(recent, bool)
            # Another camera may see the same person; whom this one sees is somebody else.
            possible = free | np.array([each.owner is not owner for each in known], bool) & ~lost
            similarity = _similarity(looks, [each.look for each in known])
            found = _distinct(similarity, free, config)
            belief = _belief(np.where(possible, similarity, -np.inf), config)
            near = config.gallery_similarity - config.gallery_margin
            answers = []
            for i, look in enumerate(looks):
                if i in found:
                    person = known[found[i]]
                    self._give(person, owner, look, stamp_ns)
                    person.confidence *= float(belief[i, found[i]])
                    answers.append(Answer(person.identity, person.confidence, False, person.look))
                else:
                    similar = (similarity[i, possible] >= near).any()
                    blind = look.mean is None and free.any()
                    answers.append(Answer(0, float(belief[i, -1]), bool(similar or blind), look))
            return answers

    def forget(self, owner: object) -> None:
        """Everybody whom this tracker saw last, and its clock."""
        with self.lock:
            self._shifts.pop(owner, None)
            self._known = {i: k for i, k in self._known.items() if k.owner is not owner}

    def _time(self, owner: object, stamp_ns: int) -> int:
        """The gallery's clock, moved on by an owner's stamp where that is ahead of it."""
        now_ns = stamp_ns if self._now_ns is None else self._now_ns
        apart_ns = stamp_ns + self._shifts.get(owner, 0) - now_ns
        strange = owner not in self._shifts and abs(apart_ns) > _APART_S * 1e9
        if strange or apart_ns < -_BEHIND_S * 1e9:
            self._shifts[owner] = now_ns - stamp_ns
        self._now_ns = max(now_ns, stamp_ns + self._shifts.setdefault(owner, 0))
        return self._now_ns

    def _give(self, person: _Known, owner: object, look: Look, stamp_ns: int) -> None:
        person.look.absorb(look)
        person.owner, person.seen_ns, person.visible = owner, stamp_ns, True

    def _clear(self, stamp_ns: int, config: TrackerConfig) -> None:
        """Forget who is lost for too long, then the longest unseen of too many."""
        unseen = {i: known.unseen_s(stamp_ns) for i, known in self._known.items()}
        waited = config.max_lost_s
        old = [i for i in unseen if unseen[i] > waited]
        old.sort(key=lambda i: (unseen[i], -i))
        over = {i for i in old if unseen[i] > config.gallery_s} | set(old[config.gallery_size :])
        self._known = {i: known for i, known in self._known.items() if i not in over}


def _is_lost(known: _Known, stamp_ns: int, config: TrackerConfig) -> bool:
    """Out of view, or in view of a camera that has fallen silent."""
    return not known.visible or known.unseen_s(stamp_ns) > config.max_lost_s


def _similarity(asking: Sequence[Look], known: Sequence[Look]) -> FloatArray:
    """(Q, E) cosine of the mean look and the closest exemplar; -inf where nothing is known."""
    out = np.full((len(asking), len(known)), -np.inf)
    rows = [i for i, look in enumerate(asking) if look.mean is not None]
    columns = [j for j, look in enumerate(known) if len(look.weights)]
    if rows and columns:
        means = np.stack([look.mean for i in rows if (look := asking[i]).mean is not None])
        exemplars = [known[j].exemplars for j in columns]
        starts = np.cumsum([0] + [len(each) for each in exemplars[:-1]])
        cosine = means @ np.concatenate(exemplars).T
        out[np.ix_(rows, columns)] = np.maximum.reduceat(cosine, starts, axis=1)
    return out


def _distinct(similarity: FloatArray, free: BoolArray, config: TrackerConfig) -> dict[int, int]:
    """Asking -> known for the best pairs that no other person, known or asking, comes near."""
    asking, known = (range(count) for count in similarity.shape)
    allowed = np.where(free, similarity, -np.inf)
    out = {}
    for pair in match(allowed, asking, known, config.gallery_similarity):
        others = np.delete(similarity[pair.person], pair.row).max(initial=-np.inf)
        rivals = np.delete(similarity[:, pair.row], pair.person).max(initial=-np.inf)
        if pair.similarity - max(others, rivals) >= config.gallery_margin:
            out[pair.person] = pair.row
    return out


def _belief(similarity: FloatArray, config: TrackerConfig) -> FloatArray:
    """(Q, E + 1) chances to be each of the known, and last to be somebody new.

    Softmax in units of the margin; somebody new is as likely as a known person whose similarity
    is just enough.
    """
    scale = max(config.gallery_margin, 1e-3) / SHARPNESS
    logits = (similarity - config.gallery_similarity) / scale
    logits = np.concatenate([logits, np.zeros((len(logits), 1))], 1)
    chances = np.exp(logits - logits.max(1, keepdims=True))
    return chances / chances.sum(1, keepdims=True)
