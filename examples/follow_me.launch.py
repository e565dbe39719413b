# SPDX-License-Identifier: Apache-2.0
"""The pose node and the follower: whoever raises a hand is followed.

``ros2 launch ./follow_me.launch.py image:=/camera/color/image_raw
depth:=/camera/aligned_depth_to_color/image_raw``
"""

from __future__ import annotations

import sys
from pathlib import Path

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, ExecuteProcess
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

FOLLOWER = Path(__file__).with_name("follow_me.py")
ARGUMENTS = {
    "image": ("image", "topic of the camera's images"),
    "depth": ("depth", "its depth images, aligned with the images"),
    "base_frame": ("base_link", "TF frame of the robot: x ahead, y left"),
    "fixed_frame": ("odom", "TF frame that stands on the ground"),
    "target": ("raised_hand", "whom to follow: raised_hand, nearest"),
    "stamped": ("false", "true: TwistStamped on cmd_vel"),
}


def generate_launch_description() -> LaunchDescription:
    """Arguments first, so that ``--show-args`` lists them."""
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    given = {name: LaunchConfiguration(name) for name in ARGUMENTS}
    pose = Node(
        package="alphapose_ros",
        executable="pose_node",
        name="alphapose_ros",
        parameters=[
            {
                "target": given["target"],
                "target_frame": given["base_frame"],
                "fixed_frame": given["fixed_frame"],
            }
        ],
        remappings=[("image", given["image"]), ("depth", given["depth"])],
        output="screen",
    )
    follower = ExecuteProcess(
        cmd=[
            *(sys.executable, str(FOLLOWER), "--ros-args"),
            *("-p", ["base_frame:=", given["base_frame"]]),
            *("-p", ["stamped:=", given["stamped"]]),
        ],
        output="screen",
    )
    return LaunchDescription([*declared, pose, follower])
