# SPDX-License-Identifier: Apache-2.0
"""PyTorch itself: eager or compiled, in full or half precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from alphapose_ros.runtime.config import RuntimeOptions
from alphapose_ros.runtime.fold import folded

_DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16}


class TorchRunner:
    """A module in evaluation mode on the device, called under ``inference_mode``.

    Its batch norms are folded into the convolutions before them (:mod:`.fold`).

    Half precisions run under autocast: weights stay float32, and what a module does under
    ``torch.autocast(enabled=False)``, as decoding, stays so as well.

    Args:
        module: images (N, C, H, W) -> one or more tensors.
        options: name ``torch`` or ``compile``, precision and device.
    """

    def __init__(self, module: nn.Module, options: RuntimeOptions) -> None:
        self.module = folded(module.eval()).to(options.device)
        self._device = torch.device(options.device)
        self._dtype = _DTYPES.get(options.precision)
        self._call: Callable[..., Any] = self.module
        self._compiled = options.name == "compile"
        if self._compiled:
            # On a GPU the mode records CUDA graphs, one for every shape.
            mode = "reduce-overhead" if self._device.type == "cuda" else "default"
            self._call = torch.compile(self.module, mode=mode, dynamic=False)

    @torch.inference_mode()
    def __call__(self, images: Tensor) -> tuple[Tensor, ...]:
        """The module's outputs for images (N, C, H, W)."""
        count = len(images)
        if self._compiled:
            images = _padded(images)
        images = images.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self._device.type, self._dtype, enabled=self._dtype is not None):
            found = self._call(images)
        outputs = found if isinstance(found, tuple) else (found,)
        if self._compiled:  # the graph's own memory is written again by the next call
            outputs = tuple(out[:count].clone() for out in outputs)
        return tuple(out.float() for out in outputs)


def _padded(images: Tensor) -> Tensor:
    """Up to the next power of two, with zeros: every batch size is compiled once."""
    wanted = 1 << max(len(images) - 1, 0).bit_length()
    if wanted == len(images):
        return images
    return torch.cat([images, images.new_zeros((wanted - len(images), *images.shape[1:]))])
