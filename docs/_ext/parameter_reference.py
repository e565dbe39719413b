# SPDX-License-Identifier: Apache-2.0
"""Every parameter, from the configuration dataclasses."""

from __future__ import annotations

import ast
import dataclasses
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from markdown_text import code, plain, table

from alphapose_ros.base.settings import Option, Setting, options_of
from alphapose_ros.config import PipelineConfig
from alphapose_ros.front.config import CameraTopics, NodeConfig

HEAD = ("parameter", "default", "meaning")


def parameters(root: Path) -> str:
    """Tables of all parameters, section by section."""
    once = fixed_parameters(root)
    parts = []
    for kind, title in ((PipelineConfig, "The pipeline"), (NodeConfig, "The node")):
        parts.append(f"## {title}\n\n{_table(_own(kind), once)}")
        for name, section in _sections(kind):
            parts.append(f"### {name}\n\n{plain(_summary(section))}\n")
            parts.append(_table(options_of(section, f"{name}."), once))
    cameras = [item for item in options_of(CameraTopics, "NAME.") if item.key != "NAME.name"]
    listed = Option(
        "cameras", list, "", "names of the cameras; without any there is one", Setting()
    )
    parts.append("### Several cameras\n\nTopics of each camera stand below its name.\n")
    parts.append(_table([listed, *cameras], {"cameras", *(item.key for item in cameras)}))
    return "\n".join(parts)


def fixed_parameters(root: Path) -> set[str]:
    """Those that are read when the node is made, and never again."""
    tree = ast.parse((root / "alphapose_ros/ros/parameters.py").read_text(encoding="utf-8"))
    (value,) = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_AT_BIRTH"
    ]
    return set(ast.literal_eval(value))


def _table(options: Any, once: set[str]) -> str:
    rows = [
        (
            code(option.key),
            code(_shown(option.default)),
            f"{plain(option.help)} *{plain(_type(option))}; {_changes(option, once)}*",
        )
        for option in options
    ]
    return table(HEAD, rows)


def _changes(option: Option, once: set[str]) -> str:
    if option.key in once:
        return "read once"
    return "live" if option.limits.live else "unconfigured"


def _type(option: Option) -> str:
    limited = option.limits != Setting(live=option.limits.live)
    kind = "list of str" if option.kind is list else option.kind.__name__
    return kind + (f", {option.limits.expected}" if limited else "")


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return '""' if value == "" else str(value)


def _own(kind: type) -> Iterator[Option]:
    return (item for item in options_of(kind) if "." not in item.key and item.key != "cameras")


def _sections(kind: type) -> Iterator[tuple[str, type]]:
    types = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        if dataclasses.is_dataclass(types[field.name]):
            yield field.name, types[field.name]


def _summary(kind: type) -> str:
    return (kind.__doc__ or "").partition("Attributes:")[0]
