# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C as an event: a second one while things are being closed changes nothing."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def stop_signals(*, last: bool = False) -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set; the handlers before are put back.

    With ``last`` the process has nothing more to do: once stopped, it ignores these signals until
    its end, which takes a moment in which a second one would look like a crash.

    ``ros2 launch`` can deliver SIGINT twice. Outside the main thread, where Python allows no
    handlers, the event is only an event.
    """
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {
        number: signal.signal(number, lambda *_: stop.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if last and stop.is_set() else handler)
