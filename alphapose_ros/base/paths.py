# SPDX-License-Identifier: Apache-2.0
"""Paths as people type them."""

from __future__ import annotations

import os
from pathlib import Path


def expanded(text: str | Path) -> Path:
    """``~`` and ``~user`` become home folders.

    A name that only begins like one, as an editor's backup does, stays as it is, where
    ``Path.expanduser`` ends with an error.
    """
    return Path(os.path.expanduser(text))  # noqa: PTH111
