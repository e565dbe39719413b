# SPDX-License-Identifier: Apache-2.0
"""Which samples a step takes: positions, split into pieces and among processes."""

from __future__ import annotations

from collections.abc import Iterator

from torch.utils.data import Sampler

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.train.distributed import World


class PositionSampler(Sampler[int]):
    """Positions ``start * batch .. steps * batch``: sample p of a run depends on p alone.

    Each step's are cut into ``pieces`` and each piece among the processes; ``share`` is how many
    of a piece fall to one process, the loader's batch size.

    Raises:
        ConfigError: a step's samples cannot be divided so.
    """

    def __init__(
        self,
        start: int,
        steps: int,
        batch: int,
        *,
        pieces: int = 1,
        world: World = World(),  # noqa: B008 (frozen)
    ) -> None:
        if batch % (pieces * world.size):
            raise ConfigError(
                f"batch size: expected a multiple of {pieces} pieces times {world.size} "
                f"processes, got {batch}"
            )
        self.share = batch // (pieces * world.size)
        self._range = range(start * pieces, steps * pieces)
        self._world = world

    def __iter__(self) -> Iterator[int]:
        whole = self.share * self._world.size
        for piece in self._range:
            first = piece * whole + self._world.rank * self.share
            yield from range(first, first + self.share)

    def __len__(self) -> int:
        return len(self._range) * self.share
