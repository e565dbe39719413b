# SPDX-License-Identifier: Apache-2.0
"""YAML without aliases, which ROS 2's own reader of parameter files refuses too.

A few lines of aliases of aliases stand for more values than a machine can hold.
"""

from __future__ import annotations

from typing import Any

import yaml

_DEPTH = 50  # sections in sections; the deepest of ours has three


class _PlainLoader(yaml.SafeLoader):
    """The safe loader, without aliases, and of limited depth."""

    _depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """As in the base class, or an error with the line."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(
                None, None, "aliases (*name) are not supported", self.peek_event().start_mark
            )
        if self._depth >= _DEPTH:
            mark = self.peek_event().start_mark
            raise yaml.composer.ComposerError(None, None, "nested too deeply", mark)
        self._depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        """As in the base class, or an error with the line: ``2024-13-01`` looks like a date."""
        try:
            return super().construct_object(node, deep)
        except (ValueError, LookupError, AttributeError, OverflowError) as error:
            problem = f"this is no value ({error})"
            raise yaml.constructor.ConstructorError(
                None, None, problem, node.start_mark
            ) from error


def read_yaml(text: str) -> Any:
    """Plain values, lists and mappings.

    Raises:
        yaml.YAMLError: not YAML, with aliases or scalars that are no value, or nested more than
            50 deep.
    """
    return yaml.load(text, _PlainLoader)  # noqa: S506 (made from the safe loader)
