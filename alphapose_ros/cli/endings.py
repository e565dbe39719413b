# SPDX-License-Identifier: Apache-2.0
"""How commands end that write files: a signal waits for whole files, a full disk is one line."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from alphapose_ros.cli.console import warn
from alphapose_ros.front.insistence import insistence

FAILED, TERMINATED = 1, 143


class Interruption:
    """What the first SIGINT or SIGTERM does to a command: the stack unwinds, files are closed.

    Others do nothing here; one that comes later ends the process, see
    :mod:`alphapose_ros.front.insistence`.
    """

    def __init__(self) -> None:
        self.came = 0
        self._holds = 0
        self._waits = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        """The signals' handler."""
        if self.came:
            return
        self.came = number
        if self._holds:
            self._waits = True
        else:
            self._unwind()

    @contextmanager
    def held(self) -> Iterator[None]:
        """A signal inside takes effect at the end; where an error ends the block, not at all."""
        self._holds += 1
        try:
            yield
        finally:
            self._holds -= 1
        if self._waits and not self._holds:
            self._waits = False
            self._unwind()

    def _unwind(self) -> None:
        if self.came == signal.SIGTERM:
            raise SystemExit(TERMINATED)
        raise KeyboardInterrupt


@contextmanager
def interruptible(*, last: bool) -> Iterator[None]:
    """A command's answer to signals: the first ends it in order, a second one at once.

    A SIGINT that the process was told to ignore, as in the background of a shell, stays ignored.

    Args:
        last: nothing comes after the command: once a signal has come, this stays so until the
            process ends.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are somebody else's there
        return
    interruption = Interruption()
    before = {
        number: signal.getsignal(number)
        for number in (signal.SIGINT, signal.SIGTERM)
        if number == signal.SIGTERM or signal.getsignal(number) != signal.SIG_IGN
    }

    def to_the_end() -> bool:
        taken_over = any(signal.getsignal(number) is not interruption for number in before)
        return last and (bool(interruption.came) or taken_over)  # as by a node that was stopped

    try:
        for number in before:
            signal.signal(number, interruption)
        with insistence(to_the_end=to_the_end):
            yield
    finally:
        if not to_the_end():
            for number, handler in before.items():
                signal.signal(number, handler)


@contextmanager
def signals_wait() -> Iterator[None]:
    """SIGINT and SIGTERM inside take effect at its end, so that files are written whole.

    Where an error ends the block it goes on, not the signal. A second signal waits for nothing.
    """
    handler = signal.getsignal(signal.SIGTERM)
    if isinstance(handler, Interruption):
        with handler.held():
            yield
    else:
        yield


@contextmanager
def full_disk_is_one_line() -> Iterator[None]:
    """A disk that is full or broken ends the command with 1 and a line that names the file."""
    from alphapose_ros.io.part import DISK_FAULTS

    try:
        yield
    except OSError as error:
        if error.filename is None or error.errno not in DISK_FAULTS:
            raise
        warn(f"{error.filename}: {error.strerror}")
        raise SystemExit(FAILED) from error
