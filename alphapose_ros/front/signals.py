# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C as an event: a second one while things are being closed changes nothing."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


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

    With ``last`` the process has nothing more to do: once stopped, it ignores these signals until
    its end, which takes a moment in which a second one would look like a crash.

    ``ros2 launch`` can deliver SIGINT twice. Outside the main thread, where Python allows no
    handlers, the event is only an event.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {
        number: signal.signal(number, stop.signalled) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if last and stop.is_set() else handler)
