# SPDX-License-Identifier: Apache-2.0
"""What the results of a batch depend on, and one hash of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from alphapose_ros import __version__
from alphapose_ros.config import PipelineConfig
from alphapose_ros.weights import parts_of, sha256_of

# How many threads work does not change what comes out.
_WITHOUT_EFFECT = ("threads",)


@dataclass(frozen=True)
class BatchOptions:
    """What is read of each recording and written for it.

    Attributes:
        topic: image topic of bags; empty: every camera.
        max_frames: end after so many; 0: all.
        images: annotated images in the bags too.
    """

    topic: str = ""
    max_frames: int = 0
    images: bool = False


def describe(config: PipelineConfig, options: BatchOptions) -> dict[str, Any]:
    """Key -> value of all that the results depend on; files that are named count by content.

    Raises:
        OSError: a file that is named cannot be read.
    """
    values = dict(_flat({**asdict(config.resolved()), "batch": asdict(options)}))
    kept = {key: value for key, value in values.items() if key not in _WITHOUT_EFFECT}
    files = {
        f"{key} (sha256)": " ".join(sha256_of(each) for each in parts_of(Path(value)))
        for key, value in kept.items()
        if isinstance(value, str) and value and Path(value).is_file()
    }
    return {"version": __version__, **kept, **files}


def fingerprint(settings: Mapping[str, Any]) -> str:
    """16 hex digits that stand for the settings."""
    text = json.dumps(settings, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, list(value) if isinstance(value, tuple) else value
