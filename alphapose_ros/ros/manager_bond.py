# SPDX-License-Identifier: Apache-2.0
"""The bond that nav2's lifecycle manager keeps with its nodes, where bondpy is installed."""

from __future__ import annotations

from typing import Any

from rclpy.node import Node

from alphapose_ros.base.errors import require

_HEARTBEAT_S, _TIMEOUT_S = 0.1, 4.0  # the manager's own


class ManagerBond:
    """A bond on the topic ``bond`` whose id is the node's name, from activate to deactivate.

    Raises:
        MissingDependencyError: bondpy is not installed.
    """

    def __init__(self, node: Node) -> None:
        self._bondpy = require(
            "bondpy.bondpy",
            needed_for="the parameter bond",
            install="sudo apt install ros-$ROS_DISTRO-bondpy",
        )
        self._node, self._bond = node, None

    def form(self) -> None:
        """Offer the bond."""
        bond: Any = self._bondpy.Bond(self._node, "bond", self._node.get_name())
        bond.heartbeat_period = _HEARTBEAT_S
        bond.heartbeat_timeout = _TIMEOUT_S
        bond.start()
        self._bond = bond

    def part(self) -> None:
        """End the bond, if there is one."""
        bond, self._bond = self._bond, None
        if bond is not None:
            bond.shutdown()
