# SPDX-License-Identifier: Apache-2.0
"""``/diagnostics``: a status for the node and for each camera, on a clock that never stops."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from diagnostic_updater import Updater
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from alphapose_ros.front.health import Health

# DiagnosticStatus.level is a byte, which rclpy holds as bytes of length one.
_LEVELS = (b"\x00", b"\x01", b"\x02")


class Diagnostics:
    """Asks for everybody's health once a second.

    Args:
        node: one updater per node is all there can be.
        tasks: name -> what says how it is.
    """

    def __init__(self, node: Node, tasks: Iterable[tuple[str, Callable[[], Health]]]) -> None:
        self._updater = Updater(node)
        self._updater.setHardwareID("none")
        # The updater's own timer stands still under use_sim_time without /clock, which is one of
        # the things to tell.
        node.destroy_timer(self._updater.timer)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._updater.timer = node.create_timer(
            float(self._updater.period), self._updater.update, clock=steady
        )
        for name, judge in tasks:
            self._updater.add(name, _task(judge))


def _task(judge: Callable[[], Health]) -> Callable[[Any], Any]:
    def run(status: Any) -> Any:
        health = judge()
        status.summary(_LEVELS[health.level], health.message)
        for key, value in health.values.items():
            status.add(key, value)
        return status

    return run
