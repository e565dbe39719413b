# SPDX-License-Identifier: Apache-2.0
"""Numbers for people and tracks, shared by all cameras of a process and never reused in a run."""

from __future__ import annotations

import itertools
import threading


class IdentitySource:
    """Hands out identities and track numbers, each from 1 upwards. Safe between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._identities = itertools.count(1)
        self._tracks = itertools.count(1)

    def new_identity(self) -> int:
        """The number of a person who was never seen before."""
        with self._lock:
            return next(self._identities)

    def new_track(self) -> int:
        """The number of a track that begins, of a new person or of one who was lost."""
        with self._lock:
            return next(self._tracks)
