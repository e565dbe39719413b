# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C as an event; a second one while things are being closed ends the process at once."""

from __future__ import annotations

import atexit
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from alphapose_ros.front.insistence import insistence


class Stop(threading.Event):
    """Set by a signal; inside :meth:`leaving` a signal ends the process instead."""

    def __init__(self) -> None:
        super().__init__()
        self._leaving = False

    @contextmanager
    def leaving(self) -> Iterator[None]:
        """A signal inside ends the process at once, with 0: nothing has begun that must be ended.

        Loading networks takes seconds. An exception would not do: raised while a library in C++
        calls back into Python, it aborts the process.
        """
        self._leaving = True
        try:
            yield
        finally:
            self._leaving = False

    def signalled(self, *_: object) -> None:
        """The signals' handler."""
        self.set()
        if self._leaving:
            os._exit(0)


@contextmanager
def stop_signals(*, last: bool = False) -> Iterator[Stop]:
    """An event that SIGINT and SIGTERM set; the handlers before are put back.

    A second one, more than a moment later, ends the process with 130 or 143, see
    :mod:`front.insistence`: ``ros2 launch`` can deliver one Ctrl-C twice.

    With ``last`` the process has nothing more to do: once stopped, this stays so until its very
    end, which takes a moment in which a second signal would look like a crash.

    Outside the main thread, where Python allows no handlers, the event is only an event.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def to_the_end() -> bool:
        return last and stop.is_set()

    if last:  # before what is loaded inside: it is called after what that has to end
        atexit.register(lambda: _ignore() if stop.is_set() else None)
    before = {
        number: signal.signal(number, stop.signalled) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        with insistence(to_the_end=to_the_end):
            yield stop
    finally:
        if not to_the_end():
            for number, handler in before.items():
                signal.signal(number, handler)


def _ignore() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
