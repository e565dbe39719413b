# SPDX-License-Identifier: Apache-2.0
"""How much goes through a network at once, learnt from where the memory ended."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from math import ceil
from typing import TypeVar

import torch

from alphapose_ros.base.errors import InputError

log = logging.getLogger(__name__)

T = TypeVar("T")
CAMERAS = 8  # images at once through a detector: TensorRT plans for so many
FIRST_WAIT_S, LONGEST_WAIT_S = 30.0, 900.0  # before more is tried again
# PyTorch on a CPU, ONNX Runtime and NVIDIA's libraries have no error type of their own for it.
_WORDS = (
    "out of memory",
    "can't allocate memory",
    "failed to allocate memory",
    "status_alloc_failed",
    "bad_alloc",
)


class BatchLimit:
    """Splits a batch into parts that the memory holds, and remembers their size.

    Out of memory halves the part and goes on: nothing is lost, and the next batch begins with
    what held. Memory may be short for a while only, as where another process loads its models;
    so after a while a part of twice the size is tried again. One that holds is followed by the
    next step at once; one that does not costs a single call, and the wait until the next try
    doubles, up to a quarter of an hour.

    Args:
        most: rows in one part.
        what: goes through what, for the log: "the pose network".
        clock: seconds.
    """

    def __init__(
        self, most: int, what: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.most, self._what, self._clock = most, what, clock
        self._at_once, self._wait_s, self._again = most, FIRST_WAIT_S, 0.0

    @property
    def at_once(self) -> int:
        """Rows that are held to fit."""
        return self._at_once

    def run(self, count: int, forward: Callable[[slice], T]) -> list[T]:
        """``forward`` of every part of ``count`` rows, in order.

        Args:
            count: rows of the whole batch.
            forward: gets the rows of one part; all that takes memory for them belongs in it.

        Raises:
            RuntimeError, MemoryError, InputError: not even a single row fits; what ``forward``
                raised.
        """
        done: list[T] = []
        start = 0
        while start < count:
            part = slice(start, min(start + self._size(count - start), count))
            size = part.stop - part.start
            try:
                done.append(forward(part))
            except (RuntimeError, MemoryError, InputError) as error:
                if size == 1 or not is_out_of_memory(error):
                    raise
            else:
                self._held(size)
                start = part.stop
                continue
            # Not in the handler, where the error's traceback still holds the part's tensors.
            self._refused(size)
        return done

    def _size(self, waiting: int) -> int:
        """The next part's: of parts alike, as the last one of a few rows would gain little."""
        if self._at_once < min(waiting, self.most) and self._clock() >= self._again:
            return min(2 * self._at_once, self.most)
        return ceil(waiting / ceil(waiting / self._at_once))

    def _held(self, size: int) -> None:
        if size <= self._at_once:
            return
        self._at_once, self._wait_s = size, FIRST_WAIT_S
        log.info("%s: room for %d at once again", self._what, size)

    def _refused(self, size: int) -> None:
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()  # pieces of the part that was too large serve no smaller one
        if size > self._at_once:  # more was tried again, too early
            self._wait_s = min(2 * self._wait_s, LONGEST_WAIT_S)
        else:
            self._at_once = size // 2
            log.warning(
                "%s: out of memory at %d at once; %d from now on", self._what, size, size // 2
            )
        self._again = self._clock() + self._wait_s


def is_out_of_memory(error: Exception) -> bool:
    """Whether a runtime says so, of the device's memory or of the host's."""
    if isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError)):
        return True
    text = str(error).lower()
    return any(word in text for word in _WORDS)
