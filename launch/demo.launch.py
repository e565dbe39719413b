# SPDX-License-Identifier: Apache-2.0
"""The pose node without a camera: ``ros2 launch alphapose_ros demo.launch.py source:=clip.mp4``.

A video, a folder of images or a camera's index is played as a camera on the topic ``image``, again
and again. Without a source it is a clip of pedestrians from the package ``opencv-doc``: installed,
kept from the last time, or downloaded with apt-get (some 100 MB, no root needed). Where none of
that works, scikit-image's photograph of a person moves through the picture. Every argument of
pose.launch.py is taken too; ``image`` is then also where the recording is published.
"""

from __future__ import annotations

from pathlib import Path

from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

POSE = Path(__file__).with_name("pose.launch.py")
ARGUMENTS = {
    "source": (
        "",
        "video, folder of images or camera index; empty: pedestrians of the package opencv-doc, "
        "downloaded the first time (100 MB), or else a photograph",
    ),
    "rate": ("0.0", "images per second of what is played; 0: the source's own"),
}


def camera(context: LaunchContext) -> list[Node]:
    """The recording as a camera."""
    source, rate, topic, space = (
        LaunchConfiguration(name).perform(context)
        for name in ("source", "rate", "image", "namespace")
    )
    return [
        Node(
            package="alphapose_ros",
            executable="play_node",
            namespace=space,
            arguments=[source] if source else [],
            parameters=[{"rate": float(rate), "loop": True}],
            remappings=[("image", topic)] if topic else [],
            output="screen",
        )
    ]


def generate_launch_description() -> LaunchDescription:
    """The node and its camera."""
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in ARGUMENTS.items()
    ]
    node = IncludeLaunchDescription(PythonLaunchDescriptionSource(str(POSE)))
    return LaunchDescription([*declared, node, OpaqueFunction(function=camera)])
