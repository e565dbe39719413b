# SPDX-License-Identifier: Apache-2.0
"""Every test that the page on reliability names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

_NAMED = re.compile(r"`(?:test/)?(test_\w+\.py)::(\w+)(\[[^]`]*\])?`")


def named(text: str) -> list[tuple[str, str]]:
    return [(found[1], found[2]) for found in _NAMED.finditer(text)]


def functions_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_test_in_the_table_exists(root: Path) -> None:
    rows = named((root / "docs" / "reliability.md").read_text(encoding="utf-8"))
    assert len(rows) > 30
    for file, name in rows:
        assert name in functions_of(root / "test" / file), f"{file}::{name}"


def test_every_fault_test_is_in_the_table(root: Path) -> None:
    rows = set(named((root / "docs" / "reliability.md").read_text(encoding="utf-8")))
    with_rows = {file for file, _ in rows}
    for path in (root / "test").glob("test_faults_*.py"):
        assert path.name in with_rows, f"{path.name} has no row in docs/reliability.md"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("| a | b | `test_x.py::test_y` | c |", [("test_x.py", "test_y")]),
        ("`test/test_x.py::test_y[slow]`", [("test_x.py", "test_y")]),
        ("`test_x.py`, test_x.py::test_y", []),
    ],
)
def test_names_are_found_in_a_table(text: str, found: list[tuple[str, str]]) -> None:
    assert named(text) == found
