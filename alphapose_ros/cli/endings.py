# SPDX-License-Identifier: Apache-2.0
"""How commands end: a signal waits for whole files, an error and a full disk are one line."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from alphapose_ros.base.errors import AlphaPoseError
from alphapose_ros.cli.console import STDOUT, flush, warn
from alphapose_ros.front.insistence import insistence
from alphapose_ros.io.part import DISK_FAULTS

FAILED, BAD_INPUT, INTERRUPTED, READER_LEFT, TERMINATED = 1, 2, 130, 141, 143


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


def exit_code(command: Callable[[], int]) -> int:
    """What a command ends with: its own code, or its error's, which is one line on stderr.

    What was said last is brought to stdout here, where a reader that left and a disk that is full
    are known; Python would do so too late for an exit code, and with a traceback.

    Raises:
        SystemExit: of argparse, or of a signal.
    """
    leaves: SystemExit | None = None
    try:
        code = _judged(command)
    except SystemExit as end:
        leaves, code = end, end.code if isinstance(end.code, int) else FAILED
    unsaid = _judged(_flushed)
    if leaves and not unsaid:
        raise leaves
    return code or unsaid


def _judged(command: Callable[[], int]) -> int:
    try:
        return _unwrapped(command)
    except AlphaPoseError as error:
        warn(" ".join(str(error).split()))
        return BAD_INPUT
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == __package__.partition(".")[0]:
            raise  # a file of this package is missing: a broken install, show where
        warn(
            f"the Python package {error.name!r} is not installed; "
            "alphapose-ros doctor says how to get what is missing"
        )
        return BAD_INPUT
    except OSError as error:
        if error.filename == STDOUT:
            _say_no_more()
        if isinstance(error, BrokenPipeError) and error.filename is not None:
            return READER_LEFT  # of an output: stdout and all others are named; head has enough
        full = error.errno in DISK_FAULTS
        if error.filename is None and not full:  # a bug or a broken machine: show where
            raise
        warn(f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror))
        return FAILED if full else BAD_INPUT
    except KeyboardInterrupt:
        warn("interrupted")
        return INTERRUPTED


def _unwrapped(command: Callable[[], int]) -> int:
    """What is raised from a signal's exception is that one; Python 3.11 wraps it in imports."""
    try:
        return command()
    except Exception as error:
        cause = error.__cause__
        while cause is not None and not isinstance(cause, (KeyboardInterrupt, SystemExit)):
            cause = cause.__cause__
        if cause is None:
            raise
        raise cause from None


def _flushed() -> int:
    flush()
    return 0


def _say_no_more() -> None:
    """What still waits for stdout goes nowhere, or Python would try again at its end."""
    with suppress(OSError):  # not a file, as in tests
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
