# SPDX-License-Identifier: Apache-2.0
"""``alphapose-ros node``: the live node."""

from __future__ import annotations

import argparse
import os
from importlib.util import find_spec
from pathlib import Path

from alphapose_ros.base.errors import InputError, MissingDependencyError
from alphapose_ros.cli.console import Commands, add_command, add_pipeline_options

_EXAMPLES = """\
fronts:
  ros   the rclpy node: what ros2 launch alphapose_ros pose.launch.py starts
  dds   joins the DDS domain by itself: no ROS 2 needs to be installed, ROS 2 nodes with
        rmw_cyclonedds_cpp or rmw_fastrtps_cpp hear it and are heard; it has no services,
        parameter calls, TF, depth, target, detections or humans
  auto  ros where this package is built in a sourced workspace, dds where no ROS 2 is installed;
        a ROS 2 that is not sourced, or in which this package is not built, is a mistake, and it
        says so

ROS_DOMAIN_ID, ROS_AUTOMATIC_DISCOVERY_RANGE (the same on both sides) and ROS_STATIC_PEERS count as
for any ROS 2 node. Options count more than the file. Names are remapped as by ros2 run, the
node's name by __node:=NAME and its namespace by __ns:=/SPACE.

examples:
  alphapose-ros node --front dds image:=/front/image_raw
  alphapose-ros node --params-file config/pose.yaml poses:=/people
"""
_FRONTS = ("auto", "ros", "dds")
_ROS_ROOT = Path("/opt/ros")


def register(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "node",
        "The live node: images in, poses and markers out, over ROS 2's middleware.",
        epilog=_EXAMPLES,
    )
    parser.set_defaults(handler=run)
    parser.add_argument("--front", choices=_FRONTS, default="auto", help="default: auto")
    parser.add_argument(
        "remaps", nargs="*", metavar="NAME:=TOPIC", help="remapped names, such as image:=/cam"
    )
    add_pipeline_options(parser)


def run(args: argparse.Namespace) -> int:
    """Run the chosen front until it is interrupted."""
    from alphapose_ros.config import NODE_NAME

    remaps = parse_remaps(args.remaps)
    args.node_name = remaps.get("__node", NODE_NAME)  # whose section of a file counts
    args.node_namespace = remaps.get("__ns", "/")
    if choose_front(args.front) == "ros":
        from alphapose_ros.ros.main import run as run_ros

        return run_ros(arguments=["pose_node", *ros_arguments(args, remaps)])
    from alphapose_ros.cli.pipelines import load_config, make_pipeline
    from alphapose_ros.dds.names import NodeNames
    from alphapose_ros.dds.pose_node import serve

    _, config = load_config(args)
    return serve(config, NodeNames(remaps=remaps), lambda: make_pipeline(args))


def parse_remaps(texts: list[str]) -> dict[str, str]:
    """``name:=topic`` -> {name: topic}.

    Raises:
        InputError: another form, or a name twice.
    """
    remaps: dict[str, str] = {}
    for text in texts:
        name, sign, topic = text.partition(":=")
        if not (sign and name and topic):
            raise InputError(f"{text}: expected a remap such as image:=/front/image_raw")
        if name in remaps:
            raise InputError(f"{text}: {name} is remapped twice")
        remaps[name] = topic
    return remaps


def ros_arguments(args: argparse.Namespace, remaps: dict[str, str]) -> list[str]:
    """The command line of an rclpy node that means the same.

    Raises:
        ConfigError: the file has an unknown key, a wrong type or value.
    """
    from alphapose_ros.cli.pipelines import load_config

    load_config(args)  # rcl's own reading of the file says less about mistakes
    out = ["--params-file", str(Path(args.params_file).resolve())] if args.params_file else []
    for name in ("preset", "device", "runtime", "threads"):
        if getattr(args, name):
            out += ["-p", f"{name}:={getattr(args, name)}"]
    for name, topic in remaps.items():
        out += ["-r", f"{name}:={topic}"]
    return ["--ros-args", *out] if out else []


def choose_front(wanted: str) -> str:
    """``ros`` or ``dds``, or the reason why not.

    Raises:
        MissingDependencyError: ``ros`` was asked for and is not there, or ``auto`` found a ROS 2
            that cannot be used: then the user may have meant another node than the one that would
            start.
    """
    if wanted == "dds":
        return wanted
    remedy = "start the embedded front with: alphapose-ros node --front dds"
    distributions = installed_ros()
    if find_spec("rclpy") is not None:
        if find_spec("alphapose_ros.msg") is not None:
            return "ros"
        raise MissingDependencyError(
            "rclpy is here, but this package's messages are not: build it with colcon and source "
            f"the workspace's install/setup.bash, or {remedy}"
        )
    if distributions:
        setup = _ROS_ROOT / distributions[0] / "setup.bash"
        raise MissingDependencyError(
            f"ROS 2 {', '.join(distributions)} is installed but not sourced; "
            f"source {setup}, or {remedy}"
        )
    if wanted == "ros":
        raise MissingDependencyError(f"the ros front needs ROS 2 (rclpy); without it, {remedy}")
    return "dds"


def installed_ros() -> list[str]:
    """Names of the ROS 2 distributions under /opt/ros, and of the sourced one."""
    found = {path.parent.name for path in _ROS_ROOT.glob("*/setup.bash")}
    if os.environ.get("ROS_DISTRO") and os.environ.get("ROS_VERSION") == "2":
        found.add(os.environ["ROS_DISTRO"])
    return sorted(found)
