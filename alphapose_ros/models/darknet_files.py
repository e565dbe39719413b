# SPDX-License-Identifier: Apache-2.0
"""A Darknet network from its `.weights` file and the cfg that belongs to it.

The format: three 32 bit numbers (major, minor, revision), the count of images seen in training
(64 bit from version 0.2 on, else 32), then float32 values without names, convolution by
convolution: biases, with a norm its scales, means and variances, and the kernel.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from alphapose_ros.base.errors import WeightsError
from alphapose_ros.models.darknet import DarknetNetwork
from alphapose_ros.models.darknet_cfg import CfgSection, parse_cfg, read_cfg
from alphapose_ros.models.darknet_standard import STANDARD_NAMES, standard_cfg

INPUT_STRIDE = 32  # the sides of an input are multiples of it
_VERSION = struct.Struct("<3i")


def load_darknet(weights: str | Path, cfg: str | Path | None = None) -> DarknetNetwork:
    """The network of a weights file, in evaluation mode, its norms folded.

    Args:
        weights: the `.weights` file.
        cfg: the file that describes the network; None: see :func:`find_cfg`.

    Raises:
        WeightsError: a file is missing or damaged, the two do not belong together, or the network
            takes no input of any multiple of :data:`INPUT_STRIDE`.
    """
    path = Path(weights)
    if not path.is_file():
        raise WeightsError(f"{path}: expected a Darknet weights file, there is none")
    network = DarknetNetwork(find_cfg(path) if cfg is None else read_cfg(cfg)).eval()
    if INPUT_STRIDE % network.stride:
        raise WeightsError(
            f"{path}: expected a network of a stride that divides {INPUT_STRIDE}, "
            f"got {network.stride}"
        )
    network.load_state_dict(read_weights(path, network))
    network.fold_norms()
    return network


def find_cfg(weights: Path) -> tuple[CfgSection, ...]:
    """The cfg beside a weights file, of the same name, or the standard one of that name.

    Raises:
        WeightsError: there is none of either kind, or it cannot be used.
    """
    beside = weights.with_suffix(".cfg")
    if beside.is_file():
        return read_cfg(beside)
    name = weights.stem.lower()
    if name in STANDARD_NAMES:
        return parse_cfg(standard_cfg(name), f"{name}.cfg (built in)")
    raise WeightsError(
        f"{weights}: expected its cfg at {beside}, there is none; known without one are only "
        f"{', '.join(STANDARD_NAMES)}"
    )


def read_weights(path: Path, network: DarknetNetwork) -> dict[str, Tensor]:
    """The values of a weights file under the names that they have in ``network``.

    Raises:
        WeightsError: the file cannot be read, or has another size than the network's weights.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"{path}: not a readable weights file: {error.strerror}") from error
    header = _header_bytes(path, data)
    entries = list(network.stored())
    expected = header + 4 * sum(shape.numel() for _, shape in entries)
    if len(data) != expected:
        raise WeightsError(
            f"{path}: expected {expected} bytes for the network of its cfg, got {len(data)}"
        )
    values = torch.from_numpy(np.frombuffer(data, "<f4", offset=header).astype(np.float32))
    parts = values.split([shape.numel() for _, shape in entries])
    return {name: part.view(shape) for (name, shape), part in zip(entries, parts, strict=True)}


def _header_bytes(path: Path, data: bytes) -> int:
    if len(data) < _VERSION.size:
        raise WeightsError(
            f"{path}: expected at least {_VERSION.size} bytes of header, got {len(data)}"
        )
    major, minor, _ = _VERSION.unpack_from(data)
    long_count = major * 10 + minor >= 2 and major < 1000 and minor < 1000
    return _VERSION.size + (8 if long_count else 4)
