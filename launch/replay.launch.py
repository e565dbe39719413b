# SPDX-License-Identifier: Apache-2.0
"""Play a bag to the pose node: ``ros2 launch alphapose_ros replay.launch.py bag:=B image:=/cam``.

The bag's clock is the node's clock. Every argument of pose.launch.py is taken too.
"""

from __future__ import annotations

from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

POSE = Path(__file__).with_name("pose.launch.py")
ARGUMENTS = {
    "bag": ("", "folder or file of the bag; needed"),
    "rate": ("1.0", "how fast it is played"),
    "loop": ("false", "true: again and again; people start over each time"),
}


def play(context: LaunchContext) -> list[ExecuteProcess]:
    """``ros2 bag play`` with a clock."""
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    if not Path(given["bag"]).exists() or not given["bag"]:
        raise RuntimeError(f"bag: expected a bag's folder or file, got {given['bag']!r}")
    command = ["ros2", "bag", "play", given["bag"], "--clock", "100", "--rate", given["rate"]]
    if given["loop"].lower() == "true":
        command.append("--loop")
    return [ExecuteProcess(cmd=command, output="screen")]


def generate_launch_description() -> LaunchDescription:
    """The node first, so that it hears the first image."""
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    node = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(POSE)), launch_arguments=[("use_sim_time", "true")]
    )
    return LaunchDescription([*declared, node, OpaqueFunction(function=play)])
