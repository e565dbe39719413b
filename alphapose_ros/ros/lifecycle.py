# SPDX-License-Identifier: Apache-2.0
"""Requests for transitions that a state does not have, answered instead of raised."""

from __future__ import annotations

import logging
from typing import Any

from lifecycle_msgs.msg import Transition
from rclpy.lifecycle import LifecycleNode

logger = logging.getLogger("alphapose_ros.node")
_PREFIX = "TRANSITION_"


def refuse_impossible(node: LifecycleNode) -> None:
    """Answer ``change_state`` with success=False where rclpy lets rcl's error end the process.

    nav2's lifecycle manager, for one, configures a node that ``autostart`` has activated already.
    rclpy has no public way to this service: where a version keeps it elsewhere, nothing is done.
    """
    service = getattr(node, "_service_change_state", None)
    change = getattr(service, "callback", None)
    if service is None or change is None:
        return

    def answer(request: Any, response: Any) -> Any:
        try:
            return change(request, response)
        except RuntimeError as error:  # rclpy's RCLError; its own name is private
            why = str(error).partition(", at ")[0]  # without rcl's file and line
            logger.warning("refused the transition %s: %s", _name(request.transition), why)
            response.success = False
            return response

    service.callback = answer


def _name(transition: Any) -> str:
    """As ``ros2 lifecycle list`` says it; of one that does not exist the number."""
    for name in dir(Transition):
        if name.startswith(_PREFIX) and getattr(Transition, name) == transition.id:
            return name.removeprefix(_PREFIX).lower()
    return str(transition.id)
