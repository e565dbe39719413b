# SPDX-License-Identifier: Apache-2.0
"""The launch files in ROS 2's real launch, with stand-ins for what they start."""

from __future__ import annotations

import itertools
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from domains import new_domain
from processes import running
from ros_helpers import ROOT, wait_for

LAUNCH = """
import sys
from launch import LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch import LaunchDescription

source = PythonLaunchDescriptionSource(sys.argv[1])
arguments = [tuple(word.split(":=")) for word in sys.argv[2:]]
service = LaunchService()
service.include_launch_description(
    LaunchDescription([IncludeLaunchDescription(source, launch_arguments=arguments)])
)
sys.exit(service.run())
"""
NOTES = f"""#!{sys.executable}
import json, pathlib, sys
path = pathlib.Path(__file__).with_name("said.json")
path.with_suffix(".part").write_text(json.dumps(sys.argv[1:]))
path.with_suffix(".part").replace(path)
"""
NODE = f"""#!{sys.executable}
import pathlib, sys, time
sys.path[:0] = [{str(ROOT)!r}, {str(Path(__file__).parent)!r}]
from alphapose_ros.ros.main import run
from fake_pipeline import fake_pipelines
make = fake_pipelines()
def load(config):
    time.sleep(2)
    pathlib.Path(__file__).with_name("loaded").touch()
    return make(config)
sys.exit(run(load, arguments=sys.argv))
"""


@pytest.fixture
def prefix(tmp_path: Path) -> Path:
    """Where the package seems to be installed."""
    for folder in ("share/ament_index/resource_index/packages", "share/alphapose_ros"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "share/ament_index/resource_index/packages/alphapose_ros").touch()
    return tmp_path


def put(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script)
    path.chmod(0o755)
    return path


def launched(prefix: Path, name: str, *arguments: str) -> Any:
    """A launch file in a process; ``lines`` are what it and its processes say."""
    found = os.environ.get("AMENT_PREFIX_PATH", "")
    variables = {
        **os.environ,
        "AMENT_PREFIX_PATH": f"{prefix}:{found}",
        "PATH": f"{prefix / 'bin'}:{os.environ['PATH']}",
        "ROS_LOG_DIR": str(prefix / "log"),
        "ROS_DOMAIN_ID": str(new_domain()),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "PYTHONUNBUFFERED": "1",
    }
    file = str(ROOT / "launch" / f"{name}.launch.py")
    return running([sys.executable, "-c", LAUNCH, file, *arguments], variables)


def parameters_of(argv: list[str]) -> dict[str, Any]:
    """What a node is given on its command line."""
    out: dict[str, Any] = {}
    for flag, word in itertools.pairwise(argv):
        if flag == "--params-file":
            for section in yaml.safe_load(Path(word).read_text()).values():
                out |= section["ros__parameters"]
        elif flag == "-p":
            name, _, value = word.partition(":=")
            out[name] = yaml.safe_load(value)
    return out


def test_every_argument_is_a_parameter_of_its_type(prefix: Path) -> None:
    given = {
        "preset": "nano", "device": "cpu", "image_transport": "raw", "target_frame": "map",
        "fixed_frame": "odom", "target": "off", "target_id": 7, "use_sim_time": True,
        "autostart": False,
    }  # fmt: skip
    put(prefix / "lib/alphapose_ros/pose_node", NOTES)
    said = prefix / "lib/alphapose_ros/said.json"
    words = [f"{name}:={json.dumps(value).strip(chr(34))}" for name, value in given.items()]
    with launched(prefix, "pose", "image:=/front/image_raw", "namespace:=/r1", *words) as launch:
        wait_for(lambda: said.exists() or launch.poll() is not None, "the node")
    assert said.exists(), launch.lines
    argv = json.loads(said.read_text())
    assert parameters_of(argv) == given
    assert "image:=/front/image_raw" in argv
    assert "__ns:=/r1" in argv
    assert "r1.alphapose_ros:=info" in argv


@pytest.mark.parametrize("installed", [True, False])
def test_rviz_where_there_is_one(
    prefix: Path, installed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it the node starts all the same."""
    monkeypatch.setenv("AMENT_PREFIX_PATH", "")  # a real one stays out of sight
    put(prefix / "lib/alphapose_ros/pose_node", NOTES)
    if installed:
        put(prefix / "lib/rviz2/rviz2", NOTES)
        (prefix / "share/ament_index/resource_index/packages/rviz2").touch()
    folders = ["alphapose_ros", "rviz2"] if installed else ["alphapose_ros"]
    said = [prefix / "lib" / name / "said.json" for name in folders]
    with launched(prefix, "pose", "image:=/front/image_raw", "rviz:=true") as launch:
        wait_for(
            lambda: all(file.exists() for file in said) or launch.poll() is not None, "the node"
        )
    assert all(file.exists() for file in said), launch.lines


def test_a_bag_waits_until_the_node_hears(prefix: Path) -> None:
    node = put(prefix / "lib/alphapose_ros/pose_node", NODE)
    player = put(prefix / "bin/ros2", NOTES)
    bag = prefix / "bag"
    bag.mkdir()
    with launched(prefix, "replay", f"bag:={bag}", "image:=/cam") as launch:
        said = player.with_name("said.json")
        wait_for(lambda: said.exists() or launch.poll() is not None, "the player")
    assert said.exists(), launch.lines
    assert json.loads(said.read_text())[:3] == ["bag", "play", str(bag)]
    assert said.stat().st_mtime_ns > node.with_name("loaded").stat().st_mtime_ns
    assert launch.returncode == 0, launch.lines
