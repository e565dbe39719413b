# SPDX-License-Identifier: Apache-2.0
"""Networks: nn.Modules, tensors in, tensors out. They know neither images nor people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from alphapose_ros.models.checkpoint import CheckpointInfo, load_checkpoint, save_checkpoint

__all__ = ["CheckpointInfo", "load_checkpoint", "save_checkpoint"]


def __getattr__(name: str) -> Any:
    """The loader's names, imported when they are asked for: one network needs not all others."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from alphapose_ros.models import checkpoint

    return getattr(checkpoint, name)
