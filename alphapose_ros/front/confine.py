# SPDX-License-Identifier: Apache-2.0
"""Which parameters name files, and what a peer on the network may put there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.registry.catalogue import MODELS

FILES = (
    "detector.weights",
    "pose.weights",
    "pose.calibration",
    "pose.face_weights",
    "pose.hand_weights",
    "reid.weights",
)
NOTE = "a file only when the node is started, later the name of a known model"


def confine(wanted: Mapping[str, Any], started: Mapping[str, Any]) -> None:
    """Files are named when the node is started; later, models are chosen by their names.

    Whoever reaches the node over the network may set parameters, and shall not choose what it
    reads.

    Args:
        wanted: dotted name -> value that a parameter is to get.
        started: dotted name -> value that the node was started with, where one was given.

    Raises:
        ConfigError: names a parameter that would open another file.
    """
    for name in sorted(wanted.keys() & set(FILES)):
        if wanted[name] not in ("", started.get(name, ""), *MODELS):
            raise ConfigError(
                f"{name}: expected the name of a known model, nothing, or the file that the node "
                f"was started with, got {wanted[name]!r}"
            )
