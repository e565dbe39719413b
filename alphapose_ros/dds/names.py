# SPDX-License-Identifier: Apache-2.0
"""The embedded node's name, namespace and remaps: what rcl does for a node of ROS 2."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from alphapose_ros.base.errors import ConfigError

_NAME = re.compile(r"(~|/|~/)?[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*")
_TOKEN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class NodeNames:
    """Names as ROS 2 lists them.

    Attributes:
        node_name, namespace: the remaps ``__node`` and ``__ns`` override them.
        remaps: ROS remapping rules, ``{"image": "/front/image_raw"}``.
    """

    node_name: str = "alphapose_ros"
    namespace: str = "/"
    remaps: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not _TOKEN.fullmatch(self.name):
            raise ConfigError(f"node name: expected letters, digits and _, got {self.name!r}")
        space = self.full_namespace
        if space != "/" and not _NAME.fullmatch(space):
            raise ConfigError(f"namespace: expected a ROS namespace such as /robot, got {space!r}")
        self.resolve("image")

    @property
    def name(self) -> str:
        """The node's name after ``__node``."""
        return self.remaps.get("__node", self.node_name)

    @property
    def full_namespace(self) -> str:
        """The namespace after ``__ns``, with a leading and no trailing slash; ``/`` alone."""
        return "/" + self.remaps.get("__ns", self.namespace).strip("/")

    def resolve(self, name: str) -> str:
        """The absolute topic of ``name``: ``image``, ``~/x`` or ``/a/b``, after all remaps.

        Raises:
            ConfigError: not a ROS name.
        """
        absolute = self.expand(name)
        for source, target in self.remaps.items():
            if not source.startswith("__") and self.expand(source) == absolute:
                return self.expand(target)
        return absolute

    def expand(self, name: str) -> str:
        """The absolute topic of ``name`` before remapping.

        Raises:
            ConfigError: not a ROS name.
        """
        if not _NAME.fullmatch(name):
            raise ConfigError(f"topic: expected a ROS name such as /front/image_raw, got {name!r}")
        if name.startswith("/"):
            return name
        namespace = self.full_namespace.rstrip("/")
        if name.startswith("~"):
            return f"{namespace}/{self.name}/{name[1:].lstrip('/')}"
        return f"{namespace}/{name}"
