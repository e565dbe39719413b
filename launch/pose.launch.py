# SPDX-License-Identifier: Apache-2.0
"""Start the pose node: ``ros2 launch alphapose_ros pose.launch.py image:=/camera/image_raw``.

An argument that stays empty passes nothing, so that the file's value stands.
"""

from __future__ import annotations

from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node
from launch_ros.parameter_descriptions import ParameterValue
from launch_ros.substitutions import FindPackagePrefix

# launch/ and config/ lie side by side, in the source tree and in share/alphapose_ros.
CONFIG = Path(__file__).parents[1] / "config"

ARGUMENTS = {
    "image": "topic of one camera's images; several cameras are listed in a params_file",
    "camera_info": "its calibration; empty: camera_info beside the images",
    "depth": "its depth images, aligned with the images",
    "params_file": f"parameters; every key is explained in {CONFIG / 'pose.yaml'}",
    "preset": "set of models that replaces the file's: nano, fast, balanced or accurate",
    "device": "auto, cpu, cuda, cuda:1",
    "image_transport": "raw or compressed",
    "target_frame": "TF frame of 3-D positions and markers",
    "fixed_frame": "TF frame in which velocities are measured, such as odom",
    "target": "whom to follow as target: off, id, nearest (to the camera) or raised_hand",
    "target_id": "the identity, where target is id",
    "use_sim_time": "true: the time is that of /clock",
    "autostart": "false: a lifecycle manager configures and activates the node",
    "namespace": "put before every relative topic",
    "name": "of the node",
    "log_level": "debug, info, warn or error",
    "rviz": "true: RViz, where it is installed, with markers and the annotated image",
}
DEFAULTS = {"name": "alphapose_ros", "log_level": "info", "rviz": "false"}
TOPICS = ("image", "camera_info", "depth")
PARAMETERS = {  # and their types
    "preset": str,
    "device": str,
    "image_transport": str,
    "target_frame": str,
    "fixed_frame": str,
    "target": str,
    "target_id": int,
    "use_sim_time": bool,
    "autostart": bool,
}


def start(context: LaunchContext) -> list[Node | LogInfo]:
    """The node, and RViz if wanted."""
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    parameters: list[object] = [given["params_file"]] if given["params_file"] else []
    parameters += [
        {name: ParameterValue(LaunchConfiguration(name), value_type=kind)}
        for name, kind in PARAMETERS.items()
        if given[name]
    ]
    # A node's logger has the namespace in its name, with dots.
    logger = ".".join([*filter(None, given["namespace"].split("/")), given["name"]])
    node = LifecycleNode(
        package="alphapose_ros",
        executable="pose_node",
        name=given["name"],
        namespace=given["namespace"],
        parameters=parameters,
        remappings=[(name, given[name]) for name in TOPICS if given[name]],
        arguments=["--ros-args", "--log-level", f"{logger}:={given['log_level']}"],
        output="screen",
        emulate_tty=True,
    )
    if given["rviz"].lower() not in ("true", "1", "yes"):
        return [node]
    return [node, rviz(context, given)]


def rviz(context: LaunchContext, given: dict[str, str]) -> Node | LogInfo:
    """RViz on the node's topics; where it is not installed, a line that says so."""
    try:
        FindPackagePrefix("rviz2").perform(context)
    except LookupError:  # as a node that cannot be found it would end the whole launch
        return LogInfo(
            msg="rviz2 is not installed: going on without RViz "
            "(sudo apt install ros-$ROS_DISTRO-rviz2)"
        )
    sim_time = given["use_sim_time"].lower() == "true"
    frame = ["-f", given["target_frame"]] if given["target_frame"] else []
    return Node(
        package="rviz2",
        executable="rviz2",
        namespace=given["namespace"],
        arguments=["-d", str(CONFIG / "pose.rviz"), *frame],
        parameters=[{"use_sim_time": sim_time}],
        output="screen",
    )


def generate_launch_description() -> LaunchDescription:
    """Arguments first, so that ``--show-args`` lists them."""
    declared = [
        DeclareLaunchArgument(name, default_value=DEFAULTS.get(name, ""), description=text)
        for name, text in ARGUMENTS.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=start)])
