# SPDX-License-Identifier: Apache-2.0
"""Play a bag to the pose node: ``ros2 launch alphapose_ros replay.launch.py bag:=B image:=/cam``.

The bag begins when the node is active, and its clock is the node's clock. Every argument of
pose.launch.py is taken too.
"""

from __future__ import annotations

from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    LogInfo,
    OpaqueFunction,
    RegisterEventHandler,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.event_handlers import OnStateTransition

POSE = Path(__file__).with_name("pose.launch.py")
ARGUMENTS = {
    "bag": ("", "folder or file of the bag; needed"),
    "rate": ("1.0", "how fast it is played"),
    "loop": ("false", "true: again and again; people start over each time"),
}


def play(context: LaunchContext) -> list[LogInfo | RegisterEventHandler]:
    """``ros2 bag play`` with a clock, as soon as the node hears."""
    given = {name: LaunchConfiguration(name).perform(context) for name in ARGUMENTS}
    if not Path(given["bag"]).exists() or not given["bag"]:
        raise RuntimeError(f"bag: expected a bag's folder or file, got {given['bag']!r}")
    command = ["ros2", "bag", "play", given["bag"], "--clock", "100", "--rate", given["rate"]]
    if given["loop"].lower() == "true":
        command.append("--loop")
    player = ExecuteProcess(cmd=command, output="screen")
    active = OnStateTransition(goal_state="active", entities=[player], handle_once=True)
    return [LogInfo(msg="the bag waits for the node"), RegisterEventHandler(active)]


def generate_launch_description() -> LaunchDescription:
    """The handler first, then the node that it waits for."""
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    node = IncludeLaunchDescription(
        PythonLaunchDescriptionSource(str(POSE)), launch_arguments=[("use_sim_time", "true")]
    )
    return LaunchDescription([*declared, OpaqueFunction(function=play), node])
