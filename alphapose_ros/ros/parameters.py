# SPDX-License-Identifier: Apache-2.0
"""The configuration dataclasses as ROS parameters: typed, described, ranged, checked live.

A key exists once, as a field of a dataclass; here it becomes a parameter.
"""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    ParameterType,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.base.settings import Setting, options_of, unquoted_off
from alphapose_ros.config import PipelineConfig, build, nested, split_parameters
from alphapose_ros.front.config import CameraTopics, NodeConfig
from alphapose_ros.front.confine import FILES, confine, note

Configs = tuple[PipelineConfig, NodeConfig]

_MAX_INTEGER = 2**63 - 1
_TYPES = {
    bool: ParameterType.PARAMETER_BOOL,
    int: ParameterType.PARAMETER_INTEGER,
    float: ParameterType.PARAMETER_DOUBLE,
    str: ParameterType.PARAMETER_STRING,
    list: ParameterType.PARAMETER_STRING_ARRAY,
}
# What rclpy declares itself, and the diagnostics take up.
_FOREIGN = (
    "use_sim_time",
    "qos_overrides.",
    "start_type_description_service",
    "diagnostic_updater.",
)
_AT_BIRTH = ("autostart", "bond")  # looked at once, when the node is made


@dataclasses.dataclass(frozen=True)
class Declared:
    """One parameter: its type, default, description, limits, and whether it can ever change."""

    name: str
    kind: type
    default: Any
    help: str
    limits: Setting
    read_only: bool = False


class NodeParameters:
    """Declares the parameters of a node and keeps its configurations up to date.

    Args:
        node: made with ``automatically_declare_parameters_from_overrides``, so that keys which
            nobody knows are seen and refused.
        on_change: called with valid new configurations before they count; what it raises as
            ConfigError refuses the change.

    Raises:
        ConfigError: an unknown key, a wrong type or a value out of range among the overrides.
    """

    def __init__(self, node: Node, on_change: Callable[[Configs, set[str]], None]) -> None:
        self._node, self._on_change = node, on_change
        given = self._take_overrides()
        self.configs = self._build(given)
        self._declared = {item.name: item for item in self._parameters("cameras" in given)}
        self._values: dict[str, Any] = {}
        self._started = given
        for item in self._declared.values():
            value = unquoted_off(given.get(item.name, item.default), item.limits)
            value = float(value) if item.kind is float else value
            self._values[item.name] = value
            node.declare_parameter(item.name, value, descriptor(item), ignore_override=True)
        if hasattr(node, "add_pre_set_parameters_callback"):
            node.add_pre_set_parameters_callback(self._widen)
        else:  # Humble: its parameter services call these two
            for name in ("set_parameters", "set_parameters_atomically"):
                setattr(node, name, self._widened(getattr(node, name)))
        node.add_on_set_parameters_callback(self._on_set)

    def _take_overrides(self) -> dict[str, Any]:
        """What the user gave; undeclared again, to be declared with types and limits."""
        node, found = self._node, {}
        given: dict[str, Any] = node.get_parameters_by_prefix("")  # rclpy annotates it wrongly
        for name, parameter in given.items():
            if name.startswith(_FOREIGN):
                continue
            found[name] = _plain(parameter.value)
            node.undeclare_parameter(name)
        return found

    def _build(self, values: Mapping[str, Any]) -> Configs:
        ours, others = split_parameters(nested(values))
        return build(PipelineConfig, ours), NodeConfig.from_parameters(others)

    def _parameters(self, listed: bool) -> Iterator[Declared]:
        for kind in (PipelineConfig, NodeConfig):
            for option in options_of(kind):
                if option.key != "cameras":
                    fixed = option.key in _AT_BIRTH
                    yield Declared(
                        option.key, option.kind, option.default, option.help, option.limits, fixed
                    )
        text = "names of the cameras; without any there is one"
        # An empty list has no type in rclpy, and one parameter without a value hides all others
        # from `ros2 param dump`: no name is the list of an empty one, as elsewhere in ROS 2.
        yield Declared("cameras", list, [""], text, Setting(live=False), True)
        for camera in self.configs[1].cameras if listed else ():
            for option in options_of(CameraTopics, f"{camera.name}."):
                if not option.key.endswith(".name"):
                    yield Declared(
                        option.key, str, option.default, option.help, Setting(live=False), True
                    )

    def _widen(self, parameters: list[Parameter]) -> list[Parameter]:
        """An integer is accepted where a float is meant, false where "off" is."""
        out = []
        for parameter in parameters:
            known = self._declared.get(parameter.name)
            if known and known.kind is float and parameter.type_ == Parameter.Type.INTEGER:
                parameter = Parameter(
                    parameter.name, Parameter.Type.DOUBLE, float(parameter.value)
                )
            elif known and unquoted_off(parameter.value, known.limits) == "off":
                parameter = Parameter(parameter.name, Parameter.Type.STRING, "off")
            out.append(parameter)
        return out

    def _widened(self, method: Callable[..., Any]) -> Callable[[list[Parameter]], Any]:
        """``method`` of parameters, which gets them widened."""
        return lambda parameter_list: method(self._widen(parameter_list))

    def _on_set(self, parameters: list[Parameter]) -> SetParametersResult:
        ours = {p.name: _plain(p.value) for p in parameters if p.name in self._declared}
        if not ours:
            return SetParametersResult(successful=True)
        changed = {name for name, value in ours.items() if self._values[name] != value}
        try:
            confine({name: ours[name] for name in changed}, self._started)
            configs = self._build(self._values | ours)
            self._on_change(configs, changed)
        except ConfigError as error:
            return SetParametersResult(successful=False, reason=str(error))
        self.configs, self._values = configs, self._values | ours
        return SetParametersResult(successful=True)

    def fixed(self, names: set[str]) -> list[str]:
        """Those that the networks or topics must be set up anew for."""
        return sorted(name for name in names if not self._declared[name].limits.live)


def descriptor(item: Declared) -> ParameterDescriptor:
    """What ``ros2 param describe`` shows."""
    limits = item.limits
    notes = [limits.expected] if limits != Setting(live=limits.live) else []
    if item.name in FILES:
        notes.append(note(item.name))
    if not limits.live and not item.read_only:
        notes.append("can change while the node is unconfigured")
    out = ParameterDescriptor(
        name=item.name,
        type=_TYPES[item.kind],
        description=item.help,
        additional_constraints="; ".join(notes),
        read_only=item.read_only,
    )
    if item.kind is float and (limits.low is not None or limits.high is not None):
        low = -sys.float_info.max if limits.low is None else limits.low
        high = sys.float_info.max if limits.high is None else float(limits.high)
        # ROS ranges include their ends: the smallest float above stands for "above".
        low = math.nextafter(low, math.inf) if limits.above else float(low)
        out.floating_point_range = [FloatingPointRange(from_value=low, to_value=high, step=0.0)]
    elif item.kind is int and (limits.low is not None or limits.high is not None):
        low = -_MAX_INTEGER if limits.low is None else int(limits.low)
        high = _MAX_INTEGER if limits.high is None else int(limits.high)
        out.integer_range = [IntegerRange(from_value=low, to_value=high, step=0)]
    return out


def _plain(value: Any) -> Any:
    """Arrays of rclpy as lists."""
    return value if isinstance(value, (bool, int, float, str)) else list(value or [])
