# SPDX-License-Identifier: Apache-2.0
"""A custom skeleton inside a weight file or a graph, so that the file alone says what it finds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from alphapose_ros.base.errors import InputError, WeightsError
from alphapose_ros.base.skeletons import SKELETONS, Skeleton, get_skeleton

_KEY = "alphapose_ros.skeleton"
_ABOUT_NAME, _ABOUT_JOINTS = "skeleton", "own_skeleton"  # keys of what a graph says of itself


def add_skeleton(path: Path, skeleton: Skeleton) -> None:
    """Put ``skeleton`` into the metadata of a safetensors file; all else in it stays.

    An interrupted write leaves the file as it was.
    """
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    with safe_open(path, framework="pt") as file:
        metadata = dict(file.metadata() or {})
    partial = path.with_suffix(".partial")
    save_file(load_file(path), partial, metadata=metadata | {_KEY: skeleton_text(skeleton)})
    partial.chmod(0o644)  # the writer makes it private
    partial.replace(path)


def stored_skeleton(path: Path) -> Skeleton | None:
    """The skeleton inside a weight file; None where there is none.

    Raises:
        WeightsError: what is there is no skeleton, or has the name of a known one.
    """
    if path.suffix != ".safetensors":
        return None
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(_KEY)
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path}: not a usable safetensors file: {error}") from error
    if text is None:
        return None
    try:
        return skeleton_from_text(text)
    except InputError as error:
        raise WeightsError(f"{path}: {error}") from error


def described_skeleton(skeleton: Skeleton) -> dict[str, Any]:
    """What an exported graph says of its joints: the name of a known set, all of another."""
    name = {_ABOUT_NAME: skeleton.name}
    if skeleton.name in SKELETONS:
        return name
    return {**name, _ABOUT_JOINTS: json.loads(skeleton_text(skeleton))}


def skeleton_described(about: Mapping[str, Any]) -> Skeleton | None:
    """The skeleton of what :func:`described_skeleton` wrote; None where nothing is said.

    Raises:
        InputError: what is said is no skeleton, or of another name.
        ConfigError: it is the name of no known set.
    """
    name = about.get(_ABOUT_NAME)
    if _ABOUT_JOINTS not in about:
        return get_skeleton(str(name)) if name else None
    own = skeleton_from_text(json.dumps(about[_ABOUT_JOINTS]))
    if name != own.name:
        raise InputError(f"stored skeleton: expected {name!r}, got {own.name!r}")
    return own


def skeleton_text(skeleton: Skeleton) -> str:
    """All of a skeleton as JSON."""
    content = {
        "name": skeleton.name,
        "keypoint_names": skeleton.keypoint_names,
        "parts": {name: [part.start, part.stop] for name, part in skeleton.parts.items()},
        "edges": skeleton.edges,
        "flip_pairs": skeleton.flip_pairs,
        "sigmas": [float(value) for value in skeleton.sigmas],
    }
    return json.dumps(content)


def skeleton_from_text(text: str) -> Skeleton:
    """What :func:`skeleton_text` wrote.

    Raises:
        InputError: it is something else.
    """
    try:
        content: dict[str, Any] = json.loads(text)
        made = Skeleton(
            name=str(content["name"]),
            keypoint_names=tuple(map(str, content["keypoint_names"])),
            parts={str(k): slice(int(a), int(b)) for k, (a, b) in content["parts"].items()},
            edges=tuple((int(a), int(b)) for a, b in content["edges"]),
            flip_pairs=tuple((int(a), int(b)) for a, b in content["flip_pairs"]),
            sigmas=np.array(content["sigmas"], np.float32),
        )
    except InputError as error:
        raise InputError(f"stored skeleton: {error}") from error
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise InputError(f"stored skeleton: expected one as JSON, got {text[:60]!r}") from error
    if made.name in SKELETONS:
        raise InputError(f"stored skeleton: {made.name!r} is the name of a known set")
    return made
