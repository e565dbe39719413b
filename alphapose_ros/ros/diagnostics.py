# SPDX-License-Identifier: Apache-2.0
"""``/diagnostics``: a status for the node and for each camera, on a clock that never stops."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from diagnostic_updater import Updater
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.front.health import Health

# DiagnosticStatus.level is a byte, which rclpy holds as bytes of length one.
_LEVELS = (b"\x00", b"\x01", b"\x02")
_PERIOD, _FULL_NAME = "diagnostic_updater.period", "diagnostic_updater.use_fqn"
_SHORTEST_S, _LONGEST_S = 0.001, 86400.0


class Diagnostics:
    """Asks for everybody's health once a second.

    Args:
        node: one updater per node is all there can be.
        tasks: name -> what says how it is.

    Raises:
        ConfigError: a parameter of the updater has a wrong type or value.
    """

    def __init__(self, node: Node, tasks: Iterable[tuple[str, Callable[[], Health]]]) -> None:
        self._updater = Updater(node, period=_take_period(node))
        period_s = float(self._updater.period)
        node.undeclare_parameter(_PERIOD)
        node.declare_parameter(_PERIOD, period_s, ignore_override=True)
        self._updater.setHardwareID("none")
        # The updater's own timer stands still under use_sim_time without /clock, which is one of
        # the things to tell.
        node.destroy_timer(self._updater.timer)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._updater.timer = node.create_timer(period_s, self._updater.update, clock=steady)
        for name, judge in tasks:
            self._updater.add(name, _task(judge))


def _take_period(node: Node) -> float:
    """The period that the user gave, s; undeclared, as the updater declares its parameters itself.

    It is of the user's type, also an integer: rclpy refuses a default of another.

    Raises:
        ConfigError: a wrong type or value.
    """
    given: dict[str, Any] = {_PERIOD: 1.0, _FULL_NAME: False}
    for name in given:
        if node.has_parameter(name):
            given[name] = node.get_parameter(name).value
            node.undeclare_parameter(name)
    if not isinstance(given[_FULL_NAME], bool):
        raise ConfigError(f"{_FULL_NAME}: expected true or false, got {given[_FULL_NAME]!r}")
    period_s: float = given[_PERIOD]
    if type(period_s) not in (int, float) or not _SHORTEST_S <= period_s <= _LONGEST_S:
        raise ConfigError(
            f"{_PERIOD}: expected seconds from {_SHORTEST_S:g} to {_LONGEST_S:g}, got {period_s!r}"
        )
    return period_s


def _task(judge: Callable[[], Health]) -> Callable[[Any], Any]:
    def run(status: Any) -> Any:
        health = judge()
        status.summary(_LEVELS[health.level], health.message)
        for key, value in health.values.items():
            status.add(key, value)
        return status

    return run
