# SPDX-License-Identifier: Apache-2.0
"""Pose networks from files: AlphaPose's checkpoints and this project's own, and back to files.

All about the network follows from keys and shapes. How its maps become joints does not: the caller
says it, or what :func:`save_checkpoint` wrote into the file, or the file's name, or what is known
of the published networks, in this order.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from alphapose_ros.base.errors import ConfigError, InputError, WeightsError
from alphapose_ros.base.skeletons import SKELETONS
from alphapose_ros.models.family import LIGHT, Architecture, architecture_of
from alphapose_ros.models.info import (
    COMBINED,
    COMBINED_TAILS,
    DECODES,
    NORMS,
    CheckpointInfo,
    default_info,
    no_split,
)
from alphapose_ros.models.state import State, fitted, without_prefix
from alphapose_ros.weights import as_int8, load_tensors

if TYPE_CHECKING:
    from alphapose_ros.models.light import LightPose

_METADATA_KEY = "alphapose_ros"


def load_checkpoint(path: str | Path, *, decode: str = "auto") -> tuple[nn.Module, CheckpointInfo]:
    """The pose network of a file, float32, in evaluation mode on the CPU, and what it is.

    Args:
        path: a safetensors file or a PyTorch checkpoint; only tensors are read from either.
        decode: one of ``DECODES`` where the caller knows better than file and name.

    Raises:
        ConfigError: an unknown ``decode``, or "combined" for a set that has no such split.
        WeightsError: missing, damaged, unsafe, of another network, or not fitting its own.
    """
    path = Path(path)
    if decode not in ("auto", *DECODES):
        raise ConfigError(f"decode: expected one of auto, {', '.join(DECODES)}, got {decode!r}")
    tensors = load_tensors(path)
    try:
        state = without_prefix(tensors)
        architecture = architecture_of(state)
        if decode == COMBINED and architecture.num_joints not in COMBINED_TAILS:
            raise ConfigError(no_split(f"{path}: decode", architecture.num_joints))
        info = default_info(architecture, path.name)
        info = _with_metadata(info, _metadata(path))
        network = _network_of(architecture, state)
    except WeightsError as error:
        raise WeightsError(f"{path}: {error}") from error
    parameters = sum(parameter.numel() for parameter in network.parameters())
    chosen = info.decode if decode == "auto" else decode
    return network, replace(info, decode=chosen, parameters=parameters)


def load_light_state(state: State) -> LightPose:
    """This project's light network of a state dict, its norms folded or still in place.

    The network is float32, in evaluation mode, and its norms are folded in either case.

    Raises:
        WeightsError: the tensors are not those of a light network.
    """
    from alphapose_ros.models.light import LightPose, fold_batch_norm

    architecture = architecture_of(state)
    if architecture.family != LIGHT:
        raise WeightsError(f"expected the light network, got one of {architecture.family}")
    build = partial(LightPose, architecture.num_joints, **architecture.options)
    if any(key.endswith("running_mean") for key in state):
        return fold_batch_norm(fitted(build, state))
    return fitted(lambda: fold_batch_norm(build()), state)


def save_checkpoint(
    network: nn.Module, info: CheckpointInfo, path: str | Path, *, int8: bool = False
) -> None:
    """Write a safetensors file from which :func:`load_checkpoint` makes the same two again.

    With ``int8`` nearly the same, see :func:`alphapose_ros.weights.as_int8`. An interrupted write
    leaves no half file under ``path``.

    Raises:
        InputError: ``path`` has another suffix, or ``info`` is about another network.
        WeightsError: not a pose network, or the file cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    path = Path(path)
    if path.suffix != ".safetensors":
        raise InputError(f"{path}: expected a name that ends in .safetensors")
    tensors = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
    found = architecture_of(tensors)
    for name in ("family", "num_joints"):
        if getattr(found, name) != getattr(info, name):
            raise InputError(
                f"{path}: expected a network with {name} {getattr(info, name)}, as the "
                f"information says, got {getattr(found, name)}"
            )
    metadata = {"format": "pt", _METADATA_KEY: json.dumps(dataclasses.asdict(info))}
    unfinished = path.with_suffix(".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(as_int8(tensors) if int8 else tensors, unfinished, metadata=metadata)
        unfinished.chmod(0o644)  # the writer makes it private
        unfinished.replace(path)
    except (SafetensorError, OSError) as error:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise WeightsError(f"{path}: cannot be written: {error}") from error


def _network_of(architecture: Architecture, state: State) -> nn.Module:
    if architecture.family == LIGHT:
        return load_light_state(state)
    return fitted(architecture.build, state)


def _metadata(path: Path) -> dict[str, Any]:
    """What :func:`save_checkpoint` put into a file; nothing in files of others."""
    if path.suffix != ".safetensors":
        return {}
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        text = (file.metadata() or {}).get(_METADATA_KEY, "{}")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"metadata: expected JSON, got {text[:40]!r}") from error
    if not isinstance(content, dict):
        raise WeightsError(f"metadata: expected a JSON object, got {text[:40]!r}")
    return content


def _with_metadata(info: CheckpointInfo, stored: Mapping[str, Any]) -> CheckpointInfo:
    """``info`` with what a file states, after a check of every value."""
    for name in ("family", "num_joints"):
        if stored.get(name, getattr(info, name)) != getattr(info, name):
            raise WeightsError(
                f"metadata: {name} is {stored[name]!r}, its tensors are of {getattr(info, name)!r}"
            )
    decode = stored.get("decode") or info.decode
    if decode not in ("", *DECODES):
        raise WeightsError(f"metadata: decode is {decode!r}, expected one of {DECODES}")
    if decode == COMBINED and info.num_joints not in COMBINED_TAILS:
        raise WeightsError(no_split("metadata: decode", info.num_joints))
    skeleton = stored.get("skeleton", info.skeleton)
    if skeleton != "" and len(SKELETONS.get(str(skeleton), ())) != info.num_joints:
        raise WeightsError(
            f"metadata: skeleton is {skeleton!r}, expected one of {info.num_joints} joints"
        )
    input_hw = _numbers(stored, "input_hw", info.input_hw, (int,))
    if any(side % 32 for side in input_hw):
        raise WeightsError(f"metadata: input_hw is {list(input_hw)}, expected multiples of 32")
    return replace(
        info,
        decode=decode,
        skeleton=skeleton,
        mean=_numbers(stored, "mean", info.mean, (int, float)),
        std=_numbers(stored, "std", info.std, (int, float)),
        input_hw=input_hw,
        untaught=_untaught(stored),
        tail_cut=_tail_cut(stored),
        norm=_norm(stored, info.norm),
    )


def _untaught(stored: Mapping[str, Any]) -> tuple[str, ...] | None:
    names = stored.get("untaught")
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise WeightsError(f"metadata: untaught is {names!r}, expected names of joints")
    return tuple(names)


def _tail_cut(stored: Mapping[str, Any]) -> float | None:
    value = stored.get("tail_cut")
    if value is not None and (type(value) not in (int, float) or not 0 <= value <= 1):
        raise WeightsError(f"metadata: tail_cut is {value!r}, expected a number from 0 to 1")
    return None if value is None else float(value)


def _norm(stored: Mapping[str, Any], default: str) -> str:
    value = stored.get("norm", default)
    if value not in NORMS:
        raise WeightsError(f"metadata: norm is {value!r}, expected one of {NORMS}")
    return str(value)


def _numbers(stored: Mapping[str, Any], name: str, default: Any, kinds: tuple[type, ...]) -> Any:
    """A tuple as long as the default; sizes and deviations must be above 0."""
    values = stored.get(name, default)
    sound = isinstance(values, (list, tuple)) and len(values) == len(default)
    sound = sound and all(type(value) in kinds and math.isfinite(value) for value in values)
    if not sound or (name != "mean" and min(values) <= 0):
        raise WeightsError(f"metadata: {name} is {values!r}, expected {len(default)} numbers")
    return tuple(values)
