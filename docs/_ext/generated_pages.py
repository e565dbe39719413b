# SPDX-License-Identifier: Apache-2.0
"""Fills ``<!-- generated: NAME -->`` in the pages with what the source says at that moment."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import command_reference
import interface_reference
import parameter_reference
from sphinx.application import Sphinx
from sphinx.ext.autodoc.mock import mock

Generator = Callable[[Path], str]  # root of the repository -> Markdown

GENERATORS: dict[str, Generator] = {
    "parameters": parameter_reference.parameters,
    "messages": interface_reference.messages,
    "topics": interface_reference.topics,
    "services": interface_reference.services,
    "commands": command_reference.commands,
}
MARK = re.compile(r"^<!-- generated: (\w+) -->$", re.MULTILINE)


def filled(text: str, root: Path) -> str:
    """The page with every mark replaced; an unknown name is a KeyError."""
    return MARK.sub(lambda found: GENERATORS[found[1]](root), text)


def _read(app: Sphinx, _name: str, source: list[str]) -> None:
    with mock(app.config.autodoc_mock_imports):
        source[0] = filled(source[0], Path(app.config.source_tree))


def _outdated(app: Sphinx, *_: Any) -> list[str]:
    """Generated pages are always written anew: the source may have changed."""
    return [
        name
        for name in app.env.found_docs
        if MARK.search(Path(app.env.doc2path(name)).read_text(encoding="utf-8"))
    ]


def setup(app: Sphinx) -> dict[str, Any]:
    """Join Sphinx."""
    app.connect("source-read", _read)
    app.connect("env-get-outdated", _outdated)
    return {"parallel_read_safe": True}
