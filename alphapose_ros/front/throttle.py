# SPDX-License-Identifier: Apache-2.0
"""A camera sends 30 bad images a second; the log needs one line."""

from __future__ import annotations

import time


class Throttle:
    """Lets one line per key through in ``period_s``."""

    def __init__(self, period_s: float = 10.0) -> None:
        self._period_s = period_s
        self._last: dict[str, float] = {}

    def __call__(self, key: str) -> bool:
        """True where the line may be written now."""
        now = time.monotonic()
        if key in self._last and now - self._last[key] < self._period_s:
            return False
        self._last[key] = now
        return True
