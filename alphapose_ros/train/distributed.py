# SPDX-License-Identifier: Apache-2.0
"""Several processes train one network: the samples of a step are split, the sums are shared.

``torchrun --nproc-per-node 4 -m alphapose_ros train pose ...`` starts them. W processes see in
each step exactly the samples that one process would see. Losses that are means over a batch stay
what they are because every process has all outputs of the batch before it, those of the others
without gradient; the gradients of the weights are then added up. Batch norms that are not frozen
normalise each process' own share, and their moments are the mean of all. Only rank 0 writes files.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.runtime.devices import choose_device

_PATIENCE = timedelta(hours=3)  # while the first process asks a teacher about everybody
_NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class World:
    """The processes of a training, and which of them this one is.

    Attributes:
        rank: of this process. size: their number W. device: where this one computes.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = torch.device("cpu")

    @property
    def is_main(self) -> bool:
        """Whether this process writes the files."""
        return self.rank == 0

    def gather(self, part: Tensor) -> Tensor:
        """(B/W, ...) of each process -> (B, ...) in order of rank; only one's own has gradient.

        All parts must have one shape.
        """
        if self.size == 1:
            return part
        own = part.detach().contiguous()
        parts = [torch.empty_like(own) for _ in range(self.size)]
        distributed.all_gather(parts, own)
        parts[self.rank] = part
        return torch.cat(parts)

    def total(self, value: Tensor) -> Tensor:
        """Sum over all processes, without gradient."""
        out = value.detach().clone()
        if self.size > 1:
            distributed.all_reduce(out)
        return out

    @torch.no_grad()
    def share_sums(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its sum over all processes, in one message."""
        self._combine(list(tensors), 1.0)

    @torch.no_grad()
    def share_means(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its mean over all processes, in one message."""
        self._combine(list(tensors), 1.0 / self.size)

    @torch.no_grad()
    def copy_from_main(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by rank 0's."""
        if self.size > 1:
            for tensor in tensors:
                distributed.broadcast(tensor, 0)

    def agree(self, number: int) -> bool:
        """Whether all processes came with the same number."""
        if self.size == 1:
            return True
        numbers = self.gather(torch.tensor([number], device=self.device))
        return bool((numbers == number).all())

    def wait(self) -> None:
        """Return when all processes are here."""
        self.agree(0)

    def _combine(self, tensors: list[Tensor], factor: float) -> None:
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        distributed.all_reduce(flat)
        flat *= factor
        for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.copy_(part.view(tensor.shape))


@contextmanager
def joined(device: str) -> Iterator[World]:
    """The world that ``torchrun`` describes in the environment, or a world of one.

    Args:
        device: "auto", or a device of torch; several GPUs are told apart by LOCAL_RANK.

    Raises:
        ConfigError: the environment names a world but not all of it; or as ``choose_device``.
    """
    size = _number("WORLD_SIZE", 1)
    if size == 1:
        yield World(device=_device(device, None))
        return
    missing = [name for name in _NEEDED if name not in os.environ]
    if missing:
        raise ConfigError(
            f"WORLD_SIZE is {size}, expected {', '.join(missing)} as torchrun sets it"
        )
    rank = _number("RANK", 0)
    chosen = _device(device, _number("LOCAL_RANK", rank))
    on_gpu = chosen.type == "cuda"
    if on_gpu:
        torch.cuda.set_device(chosen)
    distributed.init_process_group(
        "nccl" if on_gpu else "gloo", rank=rank, world_size=size, timeout=_PATIENCE
    )
    try:
        yield World(rank, size, chosen)
    finally:
        distributed.destroy_process_group()


def _number(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))
    if not text.isdecimal() or (name == "WORLD_SIZE" and int(text) < 1):
        raise ConfigError(f"{name}: expected a number as torchrun sets it, got {text!r}")
    return int(text)


def _device(name: str, local_rank: int | None) -> torch.device:
    chosen = choose_device(name)
    if chosen.type == "cuda" and chosen.index is None and local_rank is not None:
        return choose_device(f"cuda:{local_rank}")
    return chosen
