# SPDX-License-Identifier: Apache-2.0
"""The launch file's command line is one that the node takes; ROS 2's launch is stood in for."""

from __future__ import annotations

import argparse
import runpy
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from alphapose_ros.cli import build_parser
from alphapose_ros.cli.node import parse_remaps


class Declared(NamedTuple):
    name: str
    default_value: str
    description: str


class Process(NamedTuple):
    cmd: list[str]
    name: str
    output: str


class Configuration(NamedTuple):
    name: str

    def perform(self, context: dict[str, str]) -> str:
        return context[self.name]


class Opaque(NamedTuple):
    function: Any


@pytest.fixture
def launch_file(root: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    launch, actions, substitutions = (
        ModuleType(name) for name in ("launch", "launch.actions", "launch.substitutions")
    )
    launch.LaunchContext, launch.LaunchDescription = dict, list
    actions.DeclareLaunchArgument = Declared
    actions.ExecuteProcess, actions.OpaqueFunction = Process, Opaque
    substitutions.LaunchConfiguration = Configuration
    for module in (launch, actions, substitutions):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    module = runpy.run_path(str(root / "launch" / "pose.launch.py"))
    return module["generate_launch_description"]()


def node_arguments(description: list[Any], **given: str) -> argparse.Namespace:
    *declared, opaque = description
    defaults = {item.name: item.default_value for item in declared}
    assert set(given) <= set(defaults)
    (process,) = opaque.function(defaults | given)
    assert process.cmd[1:3] == ["-m", "alphapose_ros"]
    return build_parser().parse_args(process.cmd[3:])


def test_it_starts_the_embedded_front_with_the_packages_parameters(launch_file, root) -> None:
    args = node_arguments(launch_file)
    assert args.front == "dds"
    assert Path(args.params_file) == root / "config" / "pose.yaml"
    assert (args.preset, args.device) == (None, None)
    assert parse_remaps(args.remaps) == {"image": "image"}


def test_every_argument_reaches_the_node(launch_file) -> None:
    args = node_arguments(
        launch_file, image="/front/image_raw", params_file="my.yaml", device="cpu", namespace="/r1"
    )
    assert (args.params_file, args.device) == ("my.yaml", "cpu")
    assert parse_remaps(args.remaps) == {"image": "/front/image_raw", "__ns": "/r1"}


def test_a_preset_goes_with_the_file(launch_file) -> None:
    assert node_arguments(launch_file, preset="nano").preset == "nano"
