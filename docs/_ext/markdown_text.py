# SPDX-License-Identifier: Apache-2.0
"""Plain text as Markdown: escaping and tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_ROLE = re.compile(r":\w+:`~?([^`]+)`")


def plain(text: str) -> str:
    """A sentence of a docstring or comment, so that nothing in it is read as markup.

    Double backticks and roles of reStructuredText become code.
    """
    text = _ROLE.sub(r"``\1``", " ".join(text.split()))
    parts = text.split("``")
    for number in range(0, len(parts), 2):
        parts[number] = re.sub(r"([\\*_\[\]<>|`{}])", r"\\\1", parts[number])
    parts[1::2] = [part.replace("|", "\\|") for part in parts[1::2]]
    return "``".join(parts)


def code(text: object) -> str:
    """As code; nothing where there is nothing."""
    shown = str(text).replace("|", "\\|")
    return f"`{shown}`" if shown else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are Markdown already."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
