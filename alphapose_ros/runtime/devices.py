# SPDX-License-Identifier: Apache-2.0
"""Which device the networks run on."""

from __future__ import annotations

import logging

import torch

from alphapose_ros.base.errors import ConfigError

log = logging.getLogger(__name__)


def choose_device(name: str) -> torch.device:
    """``auto`` is CUDA where there is one, else the CPU with a warning.

    Raises:
        ConfigError: no such device, or CUDA was asked for by name and is not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        log.warning("no CUDA device: the networks run on the CPU")
        return torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ConfigError(f"device: expected auto, cpu or cuda, got {name!r}") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ConfigError(
            f"device: expected one of {torch.cuda.device_count()} CUDA devices, got {name!r}"
        )
    return device
