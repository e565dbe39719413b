# SPDX-License-Identifier: Apache-2.0
"""Mixed precision: the forward pass in half the bits where that is safe, weights in float32."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from alphapose_ros.base.errors import ConfigError

FLOAT32, BFLOAT16, FLOAT16 = PRECISIONS = ("float32", "bfloat16", "float16")


class Precision:
    """Autocast of one kind, and with float16 the scaling of the loss that keeps gradients alive.

    Args:
        name: one of ``PRECISIONS``. device: where the network runs.

    Raises:
        ConfigError: an unknown name, or one that this PyTorch lacks.
    """

    def __init__(self, name: str, device: torch.device | str) -> None:
        if name not in PRECISIONS:
            raise ConfigError(f"precision: expected one of {', '.join(PRECISIONS)}, got {name!r}")
        self.name, self._kind = name, torch.device(device).type
        self._scaler: Any = None
        if name == FLOAT16:
            if not hasattr(torch.amp, "GradScaler"):
                raise ConfigError(
                    f"precision: float16 needs PyTorch 2.3 or newer, got {torch.__version__}; "
                    "take bfloat16"
                )
            self._scaler = torch.amp.GradScaler(self._kind)

    def autocast(self) -> torch.autocast:
        """Context of the forward pass."""
        low = self.name != FLOAT32
        dtype = torch.float16 if self.name == FLOAT16 else torch.bfloat16
        return torch.autocast(self._kind, dtype=dtype, enabled=low)

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of ``loss``, times the scale, to the weights'."""
        (loss if self._scaler is None else self._scaler.scale(loss)).backward()

    def step(
        self,
        optimizer: torch.optim.Optimizer,
        parameters: Iterable[nn.Parameter],
        max_norm: float,
    ) -> bool:
        """Clip the gradients to ``max_norm`` (0: no limit) and step; False: not a finite norm.

        Without a scale nothing is changed in that case. With one it is an ordinary event, a scale
        that was too high: it is lowered, the weights stay, and the answer is True.
        """
        if self._scaler is not None:
            self._scaler.unscale_(optimizer)
        norm = nn.utils.clip_grad_norm_(parameters, max_norm if max_norm > 0 else float("inf"))
        if self._scaler is not None:
            self._scaler.step(optimizer)
            self._scaler.update()
            return True
        if not torch.isfinite(norm):
            return False
        optimizer.step()
        return True

    def state(self) -> dict[str, Any]:
        """What an exact continuation needs."""
        return {} if self._scaler is None else self._scaler.state_dict()

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`state` gave."""
        if self._scaler is not None and state:
            self._scaler.load_state_dict(state)
