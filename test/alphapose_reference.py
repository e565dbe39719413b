# SPDX-License-Identifier: Apache-2.0
"""Key lists and outputs of the original networks, and the weights that the outputs belong to."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

SHARED = Path(__file__).parents[2] / "shared"
KEYS = SHARED / "alphapose_keys"
VECTORS = SHARED / "alphapose_vectors"
needs_shared = pytest.mark.skipif(
    not (KEYS.is_dir() and VECTORS.is_dir()),
    reason=f"PARITY WITH ALPHAPOSE NOT CHECKED: {KEYS} or {VECTORS} is absent",
)


def key_list(name: str) -> dict[str, tuple[int, ...]]:
    rows = (line.split("\t") for line in (KEYS / f"{name}.tsv").read_text().splitlines())
    return {
        key: () if shape == "scalar" else tuple(map(int, shape.split("x"))) for key, shape in rows
    }


def meta_state(name: str) -> dict[str, torch.Tensor]:
    """The tensors of a key list, without memory."""
    return {key: torch.empty(shape, device="meta") for key, shape in key_list(name).items()}


def stated_tensor(key: str, shape: tuple[int, ...]) -> torch.Tensor:
    """The weights that the reference outputs were made with (README of the vectors)."""
    if key.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    rng = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode())))
    if key.endswith("running_var"):
        value = rng.uniform(0.5, 1.5, shape)
    elif len(shape) >= 2:
        value = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
    elif key.endswith("bn3.weight"):
        value = rng.uniform(0.1, 0.3, shape)
    elif key.endswith("weight"):
        value = rng.uniform(0.8, 1.2, shape)
    else:
        value = 0.1 * rng.standard_normal(shape)
    return torch.from_numpy(np.asarray(value, np.float32))


def stated_state(name: str) -> dict[str, torch.Tensor]:
    return {key: stated_tensor(key, shape) for key, shape in key_list(name).items()}


def assert_output_is_the_original_one(network: nn.Module, name: str) -> None:
    rng = np.random.Generator(np.random.PCG64(0))
    crops = torch.from_numpy(rng.uniform(-0.48, 0.55, (2, 3, 256, 192)).astype(np.float32))
    with np.load(VECTORS / f"{name}.npz") as file:
        expected, channels = file["output"], file["channels"]
    with torch.inference_mode():
        output = network.eval()(crops).numpy()[:, channels]
    assert output.shape == expected.shape == (2, len(channels), 64, 48)
    assert np.abs(output - expected).max() <= 1e-4 * np.abs(expected).max()
