# SPDX-License-Identifier: Apache-2.0
"""rclpy's message classes by their short names: the namespace that ``output`` writes with."""

from __future__ import annotations

import importlib
from typing import Any

from alphapose_ros.base.errors import MissingDependencyError
from alphapose_ros.output.messages import buffer
from alphapose_ros.output.packages import PACKAGE_OF


class RosClasses:
    """``RosClasses().Marker`` is ``visualization_msgs.msg.Marker``; imported when first used."""

    sequence = staticmethod(buffer)

    def __getattr__(self, name: str) -> Any:
        if name not in PACKAGE_OF:
            raise AttributeError(name)
        package, short = PACKAGE_OF[name]
        found = message_class(f"{package}/msg/{short}")
        setattr(self, name, found)
        return found


def message_class(name: str) -> Any:
    """The class of ``pkg/msg/Name``.

    Raises:
        AttributeError: this version of the package has no such message.
        MissingDependencyError: the package is not built or not sourced.
    """
    package, kind, short = name.split("/")
    try:
        module = importlib.import_module(f"{package}.{kind}")
    except ImportError as error:
        raise MissingDependencyError(
            f"{name} is needed and {package} cannot be imported ({error}); source its workspace, "
            f"or install it with: sudo apt install ros-$ROS_DISTRO-{package.replace('_', '-')}"
        ) from error
    return getattr(module, short)
