# SPDX-License-Identifier: Apache-2.0
"""DDS domains for tests that run side by side."""

from __future__ import annotations

import os
from itertools import count

_FIRST, _LAST = 101, 230  # lower ones are the demo's own, higher ones have no free ports
# The processes of one parallel run share the domains out among themselves.
_WORKERS = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_SHARE = (_LAST - _FIRST + 1) // _WORKERS
_numbers = count(os.getpid())


def new_domain() -> int:
    """A domain of the test's own, 101..230, another one at each call."""
    return _FIRST + _WORKER * _SHARE + next(_numbers) % _SHARE
