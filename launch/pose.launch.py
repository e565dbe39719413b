# SPDX-License-Identifier: Apache-2.0
"""Start the pose node: ``ros2 launch alphapose_ros pose.launch.py image:=/camera/image_raw``.

This version starts the embedded front, a DDS participant of its own whose topics every ROS 2 node
on the same domain hears. It is no rclpy node: no services, no parameter calls, no TF.
"""

from __future__ import annotations

import sys
from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess, OpaqueFunction
from launch.substitutions import LaunchConfiguration

# launch/ and config/ lie side by side, in the source tree and in share/alphapose_ros.
CONFIG = Path(__file__).parents[1] / "config" / "pose.yaml"
ARGUMENTS = {
    "image": ("image", "topic of the camera's images"),
    "params_file": (str(CONFIG), "parameters; every key is explained in the default file"),
    "preset": ("", "bundled set of models that replaces the file's: nano"),
    "device": ("", "replaces the file's: auto, cpu, cuda, cuda:1"),
    "namespace": ("", "put before every relative topic"),
}


def start(context: LaunchContext) -> list[ExecuteProcess]:
    """The node as a process; arguments left empty leave the word to the file."""
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    command = [sys.executable, "-m", "alphapose_ros", "node", "--front", "dds"]
    for name in ("params_file", "preset", "device"):
        command += [f"--{name.replace('_', '-')}", given[name]] if given[name] else []
    command += [f"image:={given['image']}"]
    command += [f"__ns:={given['namespace']}"] if given["namespace"] else []
    return [ExecuteProcess(cmd=command, name="alphapose", output="screen")]


def generate_launch_description() -> LaunchDescription:
    """Arguments first, so that ``--show-args`` lists them."""
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=start)])
