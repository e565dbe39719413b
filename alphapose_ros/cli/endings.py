# SPDX-License-Identifier: Apache-2.0
"""How commands end that write files: a signal waits for whole files, a full disk is one line."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from alphapose_ros.cli.console import warn

FAILED = 1
_PATIENCE = 3  # signals; whoever sends so many does not want to wait for a pipe that hangs


@contextmanager
def signals_wait() -> Iterator[None]:
    """SIGINT and SIGTERM inside take effect at its end, so that files are written whole.

    The third one acts at once. Where an error ends the block it goes on, not the signal.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)
        handler = before[signal.Signals(number)]
        if len(came) >= _PATIENCE and callable(handler):
            handler(number, frame)

    before = {
        number: handler
        for number in (signal.SIGINT, signal.SIGTERM)
        if callable(handler := signal.getsignal(number))  # others ignore or end: left alone
    }
    try:
        for number in before:
            signal.signal(number, note)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        signal.raise_signal(came[0])


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
