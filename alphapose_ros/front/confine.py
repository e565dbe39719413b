# SPDX-License-Identifier: Apache-2.0
"""Which parameters name files, and what a peer on the network may put there."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.base.skeletons import SKELETONS
from alphapose_ros.registry.catalogue import MODELS

# Parameter -> what of ours it may name beside a file.
FILES = {
    "detector.weights": "model",
    "pose.weights": "model",
    "pose.skeleton": "skeleton",
    "pose.calibration": "model",
    "pose.face_weights": "model",
    "pose.hand_weights": "model",
    "reid.weights": "model",
}
_NAMES: dict[str, Collection[str]] = {"model": MODELS, "skeleton": SKELETONS}


def note(name: str) -> str:
    """What the parameter ``name`` of :data:`FILES` takes."""
    return f"a file only when the node is started, later the name of a known {FILES[name]}"


def confine(wanted: Mapping[str, Any], started: Mapping[str, Any]) -> None:
    """Files are named when the node is started; later, what is ours is chosen by its name.

    Whoever reaches the node over the network may set parameters, and shall not choose what it
    reads.

    Args:
        wanted: dotted name -> value that a parameter is to get.
        started: dotted name -> value that the node was started with, where one was given.

    Raises:
        ConfigError: names a parameter that would open another file.
    """
    for name in sorted(wanted.keys() & FILES.keys()):
        kind = FILES[name]
        if wanted[name] not in ("", started.get(name, ""), *_NAMES[kind]):
            raise ConfigError(
                f"{name}: expected the name of a known {kind}, nothing, or the file that the node "
                f"was started with, got {wanted[name]!r}"
            )
