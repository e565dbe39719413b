# SPDX-License-Identifier: Apache-2.0
"""What the launch files start; ROS 2's launch is stood in for, so that it runs anywhere."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import pytest

from alphapose_ros.config import PipelineConfig, build, split_parameters
from alphapose_ros.front.config import NodeConfig


class Declared(NamedTuple):
    name: str
    default_value: str
    description: str


class Configuration(NamedTuple):
    name: str

    def perform(self, context: dict[str, str]) -> str:
        return context[self.name]


class Prefix(NamedTuple):
    package: str
    installed = frozenset({"rviz2"})

    def perform(self, context: dict[str, str]) -> str:
        if self.package not in self.installed:
            raise KeyError(self.package)  # what ament_index_python's error is
        return "/opt/ros/jazzy"


class Value(NamedTuple):
    value: Configuration  # text is refused where another type is wanted
    value_type: type


def action(kind: str) -> Any:
    return lambda *args, **fields: SimpleNamespace(kind=kind, args=args, **fields)


@pytest.fixture
def loaded(root: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The description of a launch file by name."""
    names = (
        "launch", "launch.actions", "launch.substitutions",
        "launch.launch_description_sources", "launch_ros", "launch_ros.actions",
        "launch_ros.parameter_descriptions", "launch_ros.event_handlers",
        "launch_ros.substitutions",
    )  # fmt: skip
    modules = {name: ModuleType(name) for name in names}
    modules["launch"].LaunchContext, modules["launch"].LaunchDescription = dict, list
    actions = modules["launch.actions"]
    actions.DeclareLaunchArgument = Declared
    for kind in (
        "ExecuteProcess", "OpaqueFunction", "IncludeLaunchDescription", "LogInfo",
        "RegisterEventHandler",
    ):  # fmt: skip
        setattr(actions, kind, action(kind))
    modules["launch.substitutions"].LaunchConfiguration = Configuration
    modules["launch.launch_description_sources"].PythonLaunchDescriptionSource = str
    for kind in ("LifecycleNode", "Node"):
        setattr(modules["launch_ros.actions"], kind, action(kind))
    modules["launch_ros.parameter_descriptions"].ParameterValue = Value
    modules["launch_ros.substitutions"].FindPackagePrefix = Prefix
    modules["launch_ros.event_handlers"].OnStateTransition = action("OnStateTransition")
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)

    def load(name: str) -> list[Any]:
        module = runpy.run_path(str(root / "launch" / f"{name}.launch.py"))
        return module["generate_launch_description"]()

    return load


def started(description: list[Any], **given: str) -> list[Any]:
    """What the arguments make of the description."""
    declared = [item for item in description if isinstance(item, Declared)]
    assert all(item.description for item in declared)
    (opaque,) = [i for i in description if getattr(i, "kind", "") == "OpaqueFunction"]
    return opaque.function({item.name: item.default_value for item in declared} | given)


def test_nothing_given_passes_nothing(loaded) -> None:
    (node,) = started(loaded("pose"))
    assert (node.kind, node.package, node.executable) == (
        "LifecycleNode", "alphapose_ros", "pose_node"
    )  # fmt: skip
    assert (node.parameters, node.remappings, node.namespace) == ([], [], "")


def test_every_argument_reaches_the_node(loaded) -> None:
    (node,) = started(
        loaded("pose"),
        image="/front/image_raw",
        depth="/front/depth",
        params_file="my.yaml",
        device="cpu",
        preset="nano",
        autostart="false",
        use_sim_time="true",
        namespace="/r1",
        name="eyes",
    )
    assert node.remappings == [("image", "/front/image_raw"), ("depth", "/front/depth")]
    assert (node.namespace, node.name) == ("/r1", "eyes")
    file, *parameters = node.parameters
    assert file == "my.yaml"  # first, so that arguments win
    given = {name: value for item in parameters for name, value in item.items()}
    assert given == {
        name: Value(Configuration(name), kind)
        for name, kind in {
            "device": str,
            "preset": str,
            "autostart": bool,
            "use_sim_time": bool,
        }.items()
    }


def test_every_parameter_of_the_launch_file_is_one_of_the_nodes(loaded, root: Path) -> None:
    module = runpy.run_path(str(root / "launch" / "pose.launch.py"))
    samples = {str: "", bool: False, int: 0}
    values = {name: samples[kind] for name, kind in module["PARAMETERS"].items()}
    del values["use_sim_time"]  # every node's
    given = {"device": "cpu", "image_transport": "raw", "target": "nearest"}
    ours, others = split_parameters(values | given)
    assert build(PipelineConfig, ours)
    assert NodeConfig.from_parameters(others)


def test_rviz_on_request(loaded, root: Path) -> None:
    node, rviz = started(loaded("pose"), rviz="true", target_frame="map", namespace="r1")
    assert node.kind == "LifecycleNode"
    assert (rviz.package, rviz.namespace) == ("rviz2", "r1")
    assert rviz.arguments == ["-d", str(root / "config" / "pose.rviz"), "-f", "map"]
    assert Path(rviz.arguments[1]).is_file()


def test_without_rviz_a_line_says_so_and_the_node_goes_on(
    loaded, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Prefix, "installed", frozenset())
    node, line = started(loaded("pose"), rviz="true")
    assert (node.kind, line.kind) == ("LifecycleNode", "LogInfo")
    assert "rviz2 is not installed" in line.msg
    (node,) = started(loaded("pose"))  # nobody asked
    assert node.kind == "LifecycleNode"


def test_a_bag_brings_its_clock(loaded, tmp_path: Path) -> None:
    description = loaded("replay")
    (include,) = [i for i in description if getattr(i, "kind", "") == "IncludeLaunchDescription"]
    assert Path(include.args[0]).is_file()
    assert ("use_sim_time", "true") in include.launch_arguments
    _, handler = started(description, bag=str(tmp_path), loop="true")
    (event,) = handler.args
    assert (event.goal_state, event.handle_once) == ("active", True)  # nothing is played before
    assert description.index(include) == len(description) - 1  # the handler is there first
    (process,) = event.entities
    assert process.cmd[:4] == ["ros2", "bag", "play", str(tmp_path)]
    assert {"--clock", "--loop"} <= set(process.cmd)
    with pytest.raises(RuntimeError, match="bag: expected"):
        started(description, bag="nowhere.mcap")


def test_the_demo_needs_no_camera(loaded) -> None:
    (camera,) = started(loaded("demo"), image="", namespace="r1")
    assert (camera.executable, camera.arguments, camera.namespace) == ("play_node", [], "r1")
    (camera,) = started(loaded("demo"), image="/cam", namespace="", source="a.mp4", rate="5")
    assert camera.arguments == ["a.mp4"]
    assert camera.parameters == [{"rate": 5.0, "loop": True}]
    assert camera.remappings == [("image", "/cam")]
