# SPDX-License-Identifier: Apache-2.0
"""Weight files: tensors read without running code, and written whole.

PyTorch is loaded by the first file that is read: whoever only hashes one needs none of it.
"""

from __future__ import annotations

import hashlib
import pickle
import struct
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alphapose_ros.base.errors import WeightsError

if TYPE_CHECKING:
    from torch import Tensor

# What PyTorch's reader raises on files that were cut short or altered.
_DAMAGED = (
    RuntimeError, EOFError, OSError, ValueError, LookupError, TypeError, AttributeError,
    AssertionError, struct.error,
)  # fmt: skip


OPENVINO = ".xml"
_SCALE = ".scale"  # behind the name of int8 values: (output channels, groups), float16
_INT8_MOST = 127
_GROUP = 32
_LEAST_SCALE = 6e-8  # float16's smallest


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Named tensors from a safetensors file or a PyTorch checkpoint, in their stored precision.

    What :func:`as_int8` stored comes back as float32. Only tensors are read: a pickle that would
    run code is refused.

    Raises:
        WeightsError: missing, damaged, or not a table of tensors.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: expected a weight file, there is none")
    from safetensors import SafetensorError
    from safetensors.torch import load_file
    from torch import Tensor

    if path.suffix == ".safetensors":
        try:
            return _from_int8(load_file(path))
        except (SafetensorError, *_DAMAGED) as error:
            raise WeightsError(f"{path}: not a usable safetensors file: {error}") from error
    if path.suffix == ".onnx":
        raise WeightsError(
            f"{path}: expected a file of tensors, got an ONNX graph, which pose.weights and "
            "detector.name: onnx take"
        )
    content = load_checkpoint(path)
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        raise WeightsError(f"{path}: expected a table of tensors, got {type(content).__name__}")
    return content


def load_checkpoint(path: Path) -> Any:
    """The content of a PyTorch checkpoint: tensors, numbers, text and containers of them.

    Raises:
        WeightsError: missing, damaged, or a pickle that would run code.
    """
    import torch

    try:
        with warnings.catch_warnings():
            # Of a file that is about to be refused, and the error below says it better.
            warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path}: refused, the file is not plain tensors (it may run code when loaded)"
        ) from error
    except _DAMAGED as error:
        raise WeightsError(
            f"{path}: not a usable checkpoint: {type(error).__name__}: {error}"
        ) from error


def as_int8(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights as int8, half of float16, with a scale for every 32 inputs of an output channel.

    A weight is off by 1/220 of the largest of its group at most. What has fewer inputs stays as
    it is: depthwise convolutions are 1 % of all bytes and cost 1.4 AP in int8 (pose_fast), where
    all other layers cost nothing. Networks run in floats as before: it is the file that becomes
    small.
    """
    import torch

    out: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        rows = tensor.detach().float().flatten(1) if tensor.dim() > 1 else tensor[None]
        width = rows.shape[1]
        if not tensor.is_floating_point() or tensor.dim() < 2 or width < _GROUP or not len(rows):
            out[name] = tensor
            continue
        grouped = rows.unflatten(1, (-1, _GROUP if width % _GROUP == 0 else width))
        most = grouped.abs().amax(2).clamp_min(_LEAST_SCALE * _INT8_MOST)
        scale = (most / _INT8_MOST).half()
        values = (grouped / scale.float()[..., None]).round().clamp(-_INT8_MOST, _INT8_MOST)
        out[name] = values.to(torch.int8).view(tensor.shape)
        out[name + _SCALE] = scale
    return out


def _from_int8(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    import torch

    out = dict(tensors)
    for name, values in tensors.items():
        if values.dtype == torch.int8 and name + _SCALE in tensors:
            scale = out.pop(name + _SCALE).float()
            if scale.ndim != 2 or len(scale) != len(values):  # one row would be taken for all
                raise ValueError(
                    f"{name}{_SCALE}: expected a row for each of {len(values)} output channels, "
                    f"got {tuple(scale.shape)}"
                )
            grouped = values.float().flatten(1).unflatten(1, (scale.shape[1], -1))
            out[name] = (grouped * scale[..., None]).view(values.shape)
    return out


def save_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    """Write a safetensors file; an interrupted write leaves no half file under ``path``."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, partial)
    partial.chmod(0o644)  # the writer makes it private
    partial.replace(path)


def parts_of(path: Path) -> list[Path]:
    """The files that a model is: one, or of OpenVINO's .xml also the weights beside it."""
    return [path, path.with_suffix(".bin")] if path.suffix.lower() == OPENVINO else [path]


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
