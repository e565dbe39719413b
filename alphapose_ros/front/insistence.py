# SPDX-License-Identifier: Apache-2.0
"""Whoever sends SIGINT or SIGTERM a second time does not want to wait: the process ends at once.

The first signal is answered by Python's handlers, which run when the main thread comes to them.
A main thread that waits in C (for a network, a device, a file system) does not; so the second one
is seen by a thread of its own, to which the interpreter writes every signal as it comes.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

SAME_S = (
    0.5  # Ctrl-C under ``ros2 launch`` comes from the terminal and from launch: once, not twice
)
_ENDING = (signal.SIGINT, signal.SIGTERM)
_OVER = 0  # the number of no signal
_pipes: set[int] = set()  # of this process, as its signals are; never more than one
_WORDS = b"\nsecond signal: ended at once, what was being written is not finished\n"


class Insistence:
    """Counts the signals of one process from its first on.

    Args:
        clock: seconds.
        leave: ends the process with an exit code.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        leave: Callable[[int], object] = os._exit,
    ) -> None:
        self._clock, self._leave = clock, leave
        self._first_s: float | None = None

    def came(self, number: int) -> None:
        """A signal came. The second one leaves, with the code that a shell gives such an end."""
        if number not in _ENDING:
            return
        now = self._clock()
        if self._first_s is None:
            self._first_s = now
        elif now - self._first_s > SAME_S:
            with suppress(OSError):
                os.write(2, _WORDS)
            self._leave(128 + number)


@contextmanager
def insistence(*, to_the_end: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Inside, a second SIGINT or SIGTERM ends the process with 130 or 143, whatever it is doing.

    A signal that Python does not handle, because it is ignored for instance, does not count.
    Nothing is done outside the main thread, where Python allows no handlers, and where the
    signals are watched already.

    Args:
        to_the_end: asked when the block ends; true: until the process ends.
    """
    if threading.current_thread() is not threading.main_thread() or _watched():
        yield
        return
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    _pipes.add(write)
    watch = threading.Thread(target=_watch, args=(read,), name="signals", daemon=True)
    watch.start()
    try:
        yield
    finally:
        if not to_the_end():
            _let_go(write)
            os.write(write, bytes([_OVER]))  # not closed: a child may hold it open
            watch.join()
            os.close(read)
            os.close(write)


def _watch(read: int) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)  # they are the main thread's to answer
    seen = Insistence()
    while True:
        for number in os.read(read, 64):
            if number == _OVER:
                return
            seen.came(number)


def _watched() -> bool:
    """Whether somebody gets the signals' numbers already."""
    found = signal.set_wakeup_fd(-1)
    if found != -1:
        signal.set_wakeup_fd(found)
    return found != -1


def _let_go(write: int) -> None:
    found = signal.set_wakeup_fd(-1)
    if found not in (write, -1):  # somebody else's by now
        signal.set_wakeup_fd(found)
    _pipes.discard(write)


def _in_child() -> None:
    """A child's signals are its own: after a fork it would write them into its parent's pipe."""
    for write in tuple(_pipes):
        _let_go(write)


os.register_at_fork(after_in_child=_in_child)
