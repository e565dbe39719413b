# SPDX-License-Identifier: Apache-2.0
"""What a network is called with, for timing it alone and for calibrating its int8 form."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

Place = tuple[object, str]  # who holds the network, and under which name


@contextmanager
def recorded(places: Mapping[str, Place]) -> Iterator[dict[str, list[tuple[Any, ...]]]]:
    """Filled with the arguments of every call of each network; who is not called stays out."""
    calls: dict[str, list[tuple[Any, ...]]] = {}
    before = {name: getattr(owner, attribute) for name, (owner, attribute) in places.items()}
    for name, (owner, attribute) in places.items():
        setattr(owner, attribute, _keeping(before[name], calls, name))
    try:
        yield calls
    finally:
        for name, (owner, attribute) in places.items():
            setattr(owner, attribute, before[name])


def _keeping(
    network: Callable[..., Any], calls: dict[str, list[tuple[Any, ...]]], name: str
) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        kept = (a.clone() if isinstance(a, torch.Tensor) else a for a in arguments)
        calls.setdefault(name, []).append(tuple(kept))
        return network(*arguments)

    return call
