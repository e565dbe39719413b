# SPDX-License-Identifier: Apache-2.0
"""Who is found again in spite of changed boxes: a network on all that reid_views shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from alphapose_ros.eval.reid import (
    Embedded,
    attention_report,
    embed_both,
    movement_report,
    rank,
)
from alphapose_ros.eval.reid_views import BASE, CONDITIONS, GALLERY, Changed, Who
from alphapose_ros.models.reid import ReidNet, unpacked_guidance


def evaluate_views(network: nn.Module, changed: Changed) -> dict[str, Any]:
    """Rank-1, mAP and movements with intervals; of a network with attention maps, those too.

    ``matched`` counts the queries of whom there is another picture; the others have no say.
    """
    network.eval()
    guidance: dict[str, list[Tensor]] = {name: [] for name in changed.views}
    found = {
        name: embed_both(network, _noting(changed.batches(name), guidance[name]))
        for name in changed.views
    }
    ranks: dict[str, Any] = {}
    matched = 0
    for name in CONDITIONS:
        for attended, embeddings in found[name].items():
            ranking = rank(
                _embedded(embeddings, changed.queries),
                _embedded(found[GALLERY][attended], changed.gallery),
                changed.itself,
            )
            matched = len(ranking.hits)
            ranks[f"{name}, {'attention' if attended else 'none'}"] = {
                "rank1": ranking.rank1,
                "mean_ap": ranking.mean_ap,
                **_intervals(ranking.interval()),
            }
    moved = {
        name: vars(movement_report(found[BASE], found[name]))
        for name in CONDITIONS
        if name != BASE and len(changed.queries)
    }
    attention = {}
    if isinstance(network, ReidNet):
        attention = {
            name: vars(attention_report(network, torch.cat(guidance[name]))) for name in CONDITIONS
        }
    return {
        "people": len(np.unique(changed.queries.identities)),
        "queries": len(changed.queries),
        "gallery": len(changed.gallery),
        "matched": matched,
        "ranking": ranks,
        "movement": moved,
        "attention": attention,
    }


def _noting(batches: Iterable[Tensor], guidance: list[Tensor]) -> Iterator[Tensor]:
    """The batches; what guides them is kept in passing."""
    for crops in batches:
        guidance.append(unpacked_guidance(crops))
        yield crops


def _embedded(embeddings: NDArray[np.floating], who: Who) -> Embedded:
    return Embedded(embeddings, who.identities, who.cameras)


def _intervals(found: Mapping[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
    return {f"{name}_95": interval for name, interval in found.items()}
