# SPDX-License-Identifier: Apache-2.0
"""The message types on the wire and in bags: ROS 2's own and those of this package's ``msg/``.

The definitions are read from the ``.msg`` files themselves, so a field exists once.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from alphapose_ros.base.errors import SourceError, require

PACKAGE = "alphapose_ros"
_INSTALL = "install it with: pip install 'rosbags>=0.11.6'"


def message_directory() -> Path:
    """The folder of this package's ``.msg`` files: in a wheel, a source tree or a ROS workspace.

    Raises:
        SourceError: none of the three places has them; the message names all of them.
    """
    package = Path(__file__).resolve().parents[1]
    prefixes = [p for p in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if p]
    places = [
        package / "share" / "msg",
        package.parent / "msg",
        *(Path(prefix) / "share" / PACKAGE / "msg" for prefix in prefixes),
    ]
    for place in places:
        if (place / "PoseArray.msg").is_file():
            return place
    raise SourceError(
        f"message definitions: expected PoseArray.msg in one of {', '.join(map(str, places))}"
    )


def message_typestore() -> Any:
    """A new ``rosbags`` typestore: ROS 2 Jazzy's messages and ``alphapose_ros/msg/*``.

    Jazzy's definitions of the types used here are those of Humble and later, byte for byte on
    the wire.

    Raises:
        MissingDependencyError: ``rosbags`` is not installed.
        SourceError: this package's ``.msg`` files were not found.
    """
    typesys = require(
        "rosbags.typesys", needed_for="reading and writing messages", install=_INSTALL
    )
    store = typesys.get_typestore(getattr(typesys.Stores, "ROS2_JAZZY", typesys.Stores.LATEST))
    types: dict[str, Any] = {}
    for path in sorted(message_directory().glob("*.msg")):
        name = f"{PACKAGE}/msg/{path.stem}"
        types.update(typesys.get_types_from_msg(path.read_text(encoding="utf-8"), name))
    store.register(types)
    return store
