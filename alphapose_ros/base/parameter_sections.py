# SPDX-License-Identifier: Apache-2.0
"""Whose a section of a ROS 2 parameter file is: names, namespaces and wildcards."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from alphapose_ros.base.errors import ConfigError


def sections_in(content: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Name and parameters of each section; namespaces may be levels of their own."""
    for key, value in content.items() if isinstance(content, Mapping) else ():
        if key == "ros__parameters":
            yield name, value
        elif isinstance(value, Mapping):
            yield from sections_in(value, f"{name}/{key}".replace("//", "/"))


def parameters_of(
    sections: Sequence[tuple[str, Any]], node: str, namespace: str | None, path: Path
) -> list[Any]:
    """The parameters of the sections that are meant for a node of this name, in their order.

    Args:
        sections: name and parameters of each.
        node: name of the node.
        namespace: of the node; None: not known, any.
        path: of the file, for the error.

    Raises:
        ConfigError: no section is meant for it, or those of several namespaces differ.
    """
    names = {name for name, _ in sections}
    if namespace is None:
        mine = _possible(names, node)
        twins = {name.lstrip("/"): v for name, v in sections if name in mine and "*" not in name}
        if any(values != next(iter(twins.values())) for values in twins.values()):
            got = " and ".join(twins)
            raise ConfigError(f"{path}: expected one section for {node}, got {got}, which differ")
    else:
        node = f"{namespace.strip('/')}/{node}".lstrip("/")
        mine = {name for name in names if _fits(name, f"/{node}")}
    if not mine:
        raise ConfigError(
            f"{path}: expected a section for all nodes (/**) or for {node}, got those of "
            f"{', '.join(sorted(name.lstrip('/') for name in names))}"
        )
    return [values for name, values in sections if name in mine]


def _possible(names: Set[str], node: str) -> Set[str]:
    """Sections for a node in whatever namespace."""
    named = {name for name in names if "*" not in name.rpartition("/")[2]}
    mine = {name for name in named if name.rpartition("/")[2] == node}
    return (mine or (named if len(named) == 1 else mine)) | (names - named)


def _fits(section: str, node: str) -> bool:
    """As ROS 2 compares: ``/*`` is any name, ``/**`` any number of them."""
    pattern = re.escape(section).replace(r"/\*\*", r"(/\w+)*").replace(r"/\*", r"/\w+")
    return re.fullmatch(pattern, node) is not None
