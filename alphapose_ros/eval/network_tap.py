# SPDX-License-Identifier: Apache-2.0
"""A pipeline's networks alone, on the inputs that it gave them: the floor of its time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from alphapose_ros.pipeline import PosePipeline
from alphapose_ros.pose.refiner import RefinedEstimator, whole_of
from alphapose_ros.reid.embedder import Embedder
from alphapose_ros.runtime.recording import Place


class NetworkTap:
    """Notes what a pipeline's networks are called with, and calls them again, alone.

    The arguments are kept as they are, not copied, so that the noting costs nothing; a network
    that writes into its own inputs would see them changed.

    Args:
        pipeline: tapped inside ``with``.
    """

    def __init__(self, pipeline: PosePipeline) -> None:
        self._places = _networks(pipeline)
        self._networks = {name: getattr(*place) for name, place in self._places.items()}
        self._calls: dict[str, list[tuple[Any, ...]]] = {}

    def __enter__(self) -> NetworkTap:
        for name, place in self._places.items():
            setattr(*place, self._noting(name))
        return self

    def __exit__(self, *_error: object) -> None:
        for name, place in self._places.items():
            setattr(*place, self._networks[name])

    @property
    def called(self) -> list[str]:
        """Networks that were called since :meth:`clear`."""
        return list(self._calls)

    def clear(self) -> None:
        """Forget the calls."""
        self._calls = {}

    @torch.inference_mode()
    def forward(self, name: str) -> None:
        """One network on all inputs that it had."""
        for arguments in self._calls[name]:
            self._networks[name](*arguments)

    def _noting(self, name: str) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            self._calls.setdefault(name, []).append(arguments)
            return self._networks[name](*arguments)

        return call


class _ReidPlace:
    """Where the re-identification network is held: in a frozen record."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder

    @property
    def run(self) -> Callable[..., Any]:
        return self._embedder.network.run

    @run.setter
    def run(self, network: Callable[..., Any]) -> None:
        self._embedder.network = replace(self._embedder.network, run=network)


def _networks(pipeline: PosePipeline) -> dict[str, Place]:
    """Where the networks are held; a detector may have none."""
    places: dict[str, Place] = {
        "detector": (pipeline.detector, "model"),
        "pose": (whole_of(pipeline.estimator), "network"),
    }
    if isinstance(pipeline.estimator, RefinedEstimator):
        for number, refiner in enumerate(pipeline.estimator.refiners, 1):
            places[f"part {number}"] = (refiner._network, "network")
    if pipeline.embedder is not None:
        places["reid"] = (_ReidPlace(pipeline.embedder), "run")
    return {
        name: place
        for name, place in places.items()
        if callable(getattr(place[0], place[1], None))
    }
