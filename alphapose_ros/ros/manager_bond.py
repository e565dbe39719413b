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
        self._node = node
        self._bond: Any = None

    def form(self) -> None:
        """Offer the bond."""
        self.close()
        bond: Any = self._bondpy.Bond(self._node, "bond", self._node.get_name())
        bond.heartbeat_period = _HEARTBEAT_S
        bond.heartbeat_timeout = _TIMEOUT_S
        bond.start()
        self._bond = bond

    def part(self) -> None:
        """End the bond, if there is one; it goes on telling the manager so for a moment."""
        if self._bond is not None:
            self._bond.break_bond()

    def close(self) -> None:
        """Forget the bond. On the executor's thread.

        Its own ``shutdown`` destroys what the executor still waits for, and so ends the node.
        """
        bond, self._bond = self._bond, None
        if bond is None:
            return
        with bond.lock:
            bond.is_shutdown = True  # ends its thread
            bond.condition.notify_all()
        for timer in (bond.connect_timer, bond.heartbeat_timer, bond.disconnect_timer):
            timer.cancel()
        self._node.destroy_subscription(bond.sub)
        self._node.destroy_publisher(bond.pub)
