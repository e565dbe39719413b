# SPDX-License-Identifier: Apache-2.0
"""Re-identification measured: rank-1 and mAP as on Market-1501, and what the attention does.

Market's protocol (Zheng et al., ICCV 2015): of a query's ranking its own person in pictures of its
own camera is taken out, and so is whoever has no name. A query without any match left has no say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from alphapose_ros.base.errors import InputError
from alphapose_ros.models.reid import ReidNet, unpacked_guidance
from alphapose_ros.reid.masking import masked, masked_again

FloatArray = NDArray[np.floating]
IntArray = NDArray[np.integer]
_ON_PERSON = 0.3  # of the own guidance's peak, from which a cell is the person's


@dataclass(frozen=True)
class Embedded:
    """Embeddings with names: (N, D) of unit length, identities (N,), cameras (N,) or -1."""

    embeddings: FloatArray
    identities: IntArray
    cameras: IntArray

    def __post_init__(self) -> None:
        counts = {len(self.embeddings), len(self.identities), len(self.cameras)}
        if len(counts) > 1:
            raise InputError(f"Embedded: expected as many rows in each field, got {counts}")


@dataclass(frozen=True)
class Ranking:
    """What a ranking is worth.

    Attributes:
        hits: (Q,) whether the first of the ranking is the person. precisions: (Q,) AP.
        identities: (Q,) of the queries that have a match at all.
    """

    hits: NDArray[np.bool_]
    precisions: FloatArray
    identities: IntArray

    @property
    def rank1(self) -> float:
        """Share of queries whose nearest picture shows the person; NaN without queries."""
        return float(self.hits.mean()) if len(self.hits) else float("nan")

    @property
    def mean_ap(self) -> float:
        """Mean AP over the queries; NaN without queries."""
        return float(self.precisions.mean()) if len(self.precisions) else float("nan")

    def interval(self, *, draws: int = 1000, seed: int = 0) -> dict[str, tuple[float, float]]:
        """95 % intervals of rank1 and mean_ap over people drawn with replacement."""
        people, rows = np.unique(self.identities, return_inverse=True)
        if len(people) == 0:
            return {"rank1": (np.nan, np.nan), "mean_ap": (np.nan, np.nan)}
        counts = np.bincount(rows, minlength=len(people))
        sums = {
            "rank1": np.bincount(rows, self.hits, len(people)),
            "mean_ap": np.bincount(rows, self.precisions, len(people)),
        }
        rng = np.random.default_rng(seed)
        chosen = rng.integers(0, len(people), (draws, len(people)))
        weights = counts[chosen].sum(1)
        return {
            name: tuple(np.percentile(total[chosen].sum(1) / weights, [2.5, 97.5]).tolist())
            for name, total in sums.items()
        }


def rank(queries: Embedded, gallery: Embedded, itself: IntArray | None = None) -> Ranking:
    """Rank the gallery for every query.

    Args:
        queries: whom to look for.
        gallery: where.
        itself: (Q,) each query's own row of the gallery, which is left out; -1 for none.

    Raises:
        InputError: embeddings of different lengths.
    """
    if queries.embeddings.shape[1:] != gallery.embeddings.shape[1:]:
        raise InputError(
            f"rank: expected embeddings of one length, got {queries.embeddings.shape[1:]} and "
            f"{gallery.embeddings.shape[1:]}"
        )
    hits: list[bool] = []
    precisions: list[float] = []
    people: list[int] = []
    similarity = queries.embeddings @ gallery.embeddings.T
    for row, person in enumerate(queries.identities):
        same = gallery.identities == person
        camera = queries.cameras[row]
        junk = (same & (gallery.cameras == camera)) if camera >= 0 else np.zeros(len(same), bool)
        kept = ~junk & (gallery.identities >= 0)
        if itself is not None and itself[row] >= 0:
            kept[itself[row]] = False
        if person < 0 or not (same & kept).any():
            continue
        order = np.argsort(-similarity[row][kept], kind="stable")
        right = same[kept][order]
        at = np.flatnonzero(right)
        hits.append(bool(right[0]))
        precisions.append(float(np.mean(np.arange(1, len(at) + 1) / (at + 1))))
        people.append(int(person))
    return Ranking(np.array(hits, bool), np.array(precisions), np.array(people, np.int64))


@dataclass(frozen=True)
class AttentionReport:
    """What the attention maps of some crops look like; means over those with a known pose.

    Attributes:
        crops: how many have one.
        contrast: highest over lowest value of a map; 1 is uniform.
        on_person: share of crops whose highest cell lies on the person, or beside the joints'
            cells.
        weight_on_person: share of the pooling weights on the person's cells.
        area_of_person: share of the cells that are the person's: what uniform weights would give.
    """

    crops: int
    contrast: float
    on_person: float
    weight_on_person: float
    area_of_person: float


@torch.inference_mode()
def attention_report(network: ReidNet, guidance: Tensor) -> AttentionReport:
    """Measure the attention on guidance (N, G, h, w); the maps are averaged to one first."""
    own = guidance[:, :-1].amax(1)
    known = own.amax((1, 2)) > 0
    own, guidance = own[known], guidance[known]
    if len(guidance) == 0:
        nothing = float("nan")
        return AttentionReport(0, nothing, nothing, nothing, nothing)
    maps = network.attention(guidance)
    weights = 1 + network.gain.clamp_min(0)[:, None, None] * maps
    weights = (weights / weights.sum((2, 3), keepdim=True)).mean(1)
    attention = maps.mean(1)
    person = own >= _ON_PERSON * own.amax((1, 2), keepdim=True)
    contrast = attention.amax((1, 2)) / attention.amin((1, 2))
    peaks = attention.flatten(1).argmax(1)
    hit = person.flatten(1).gather(1, peaks[:, None])[:, 0]
    return AttentionReport(
        len(guidance),
        float(contrast.mean()),
        float(hit.float().mean()),
        float((weights * person).sum((1, 2)).mean()),
        float(person.float().mean()),
    )


def movement(before: FloatArray, after: FloatArray) -> FloatArray:
    """How far unit embeddings (N, D) moved, (N,): 1 - cosine, 0 for not at all."""
    return np.asarray(1 - (before * after).sum(1))


@dataclass(frozen=True)
class MovementReport:
    """How far a change inside the box moves the embedding, with and without attention.

    Attributes:
        attended, plain: mean movement. ratio: of the two; at most 0.5 is asked for.
        interval: 95 % of the ratio, over crops drawn with replacement.
    """

    attended: float
    plain: float
    ratio: float
    interval: tuple[float, float]


def movement_report(
    before: Mapping[bool, FloatArray], after: Mapping[bool, FloatArray], *, seed: int = 0
) -> MovementReport:
    """Compare movements of the embeddings with (True) and without (False) attention.

    Raises:
        InputError: no crops at all.
    """
    moved = {way: movement(before[way], after[way]) for way in (True, False)}
    count = len(moved[True])
    if count == 0:
        raise InputError("movement: expected at least one crop, got none")
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, count, (1000, count))
    ratios = moved[True][chosen].mean(1) / np.maximum(moved[False][chosen].mean(1), 1e-12)
    attended, plain = float(moved[True].mean()), float(moved[False].mean())
    low, high = np.percentile(ratios, [2.5, 97.5]).tolist()
    return MovementReport(attended, plain, attended / max(plain, 1e-12), (low, high))


@torch.inference_mode()
def embed_both(network: nn.Module, batches: Iterable[Tensor]) -> dict[bool, FloatArray]:
    """Unit embeddings of packed crops with (True) and without (False) attention.

    A network that takes RGB in 0..255 and knows of no pose has its attention at the input, see
    :func:`~alphapose_ros.reid.masking.masked`. One batch at least, if only an empty one.
    """
    network.eval()
    found: dict[bool, list[Tensor]] = {}
    for crops in batches:
        for way, embeddings in _embedded(network, crops).items():
            found.setdefault(way, []).append(functional.normalize(embeddings, dim=1))
    return {way: torch.cat(parts).numpy() for way, parts in found.items()}


def _embedded(network: nn.Module, crops: Tensor) -> dict[bool, Tensor]:
    if not isinstance(network, ReidNet):
        pixels = (crops[:, :3] + 1) * 127.5
        return {True: network(masked(pixels, unpacked_guidance(crops))), False: network(pixels)}
    out = network.both(crops)
    attended = network.both(masked_again(crops)) if network.masks else out
    return {True: attended.attended_neck, False: out.plain_neck}
