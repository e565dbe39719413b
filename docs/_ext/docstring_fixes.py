# SPDX-License-Identifier: Apache-2.0
"""What Sphinx would misread in docstrings: a property's colon, a name that ends in "_"."""

from __future__ import annotations

import re
from typing import Any

from sphinx.application import Sphinx

_BEFORE_NAPOLEON, _AFTER = 400, 600  # Napoleon's own is 500
_TARGET = re.compile(r"(?<=\w)_(?=[\"'\s,.;:)]|$)")


def escaped(line: str) -> str:
    """``left_hand_`` outside of code is no link."""
    parts = line.split("``")
    parts[::2] = [_TARGET.sub(r"\\_", part) for part in parts[::2]]
    return "``".join(parts)


def setup(app: Sphinx) -> dict[str, Any]:
    """Join Sphinx."""
    written: dict[str, list[str]] = {}

    def keep(_app: Any, what: str, name: str, _obj: Any, _options: Any, lines: list[str]) -> None:
        lines[:] = map(escaped, lines)
        if what == "property":
            written[name] = list(lines)

    def restore(_app: Any, _what: str, name: str, _obj: Any, _o: Any, lines: list[str]) -> None:
        if name in written:  # Napoleon takes what stands before a colon for the type
            lines[:] = written.pop(name)

    app.connect("autodoc-process-docstring", keep, priority=_BEFORE_NAPOLEON)
    app.connect("autodoc-process-docstring", restore, priority=_AFTER)
    return {"parallel_read_safe": True}
