# SPDX-License-Identifier: Apache-2.0
"""The installed package by its own launch file: real networks, a real person, a clean end."""

from __future__ import annotations

import os
import time
import unittest

import launch
import launch_ros.substitutions
import launch_testing
import launch_testing.actions
import launch_testing.asserts
import rclpy
from alphapose_ros.msg import PoseArray
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_testing.util import KeepAliveProc
from lifecycle_msgs.srv import GetState


def generate_test_description() -> launch.LaunchDescription:
    """The demo: a picture of a person as a camera, and the node."""
    share = launch_ros.substitutions.FindPackageShare("alphapose_ros")
    demo = launch.actions.IncludeLaunchDescription(
        PythonLaunchDescriptionSource([share, "/launch/demo.launch.py"]),
        launch_arguments={
            "device": "cpu",
            "namespace": "robot",
            "rate": "5",
            "source": os.environ.get("ALPHAPOSE_TEST_SOURCE", ""),
        }.items(),
    )
    return launch.LaunchDescription([demo, KeepAliveProc(), launch_testing.actions.ReadyToTest()])


class TestRunning(unittest.TestCase):
    """While the demo runs."""

    def setUp(self) -> None:
        rclpy.init()
        self.node = rclpy.create_node("far_end")

    def tearDown(self) -> None:
        self.node.destroy_node()
        rclpy.shutdown()

    def test_people_come_out(self) -> None:
        """A person with a confirmed identity within a minute."""
        found: list[PoseArray] = []
        self.node.create_subscription(PoseArray, "/robot/poses", found.append, 10)
        end = time.monotonic() + 90
        while time.monotonic() < end:
            rclpy.spin_once(self.node, timeout_sec=0.5)
            if any(person.id > 0 for message in found for person in message.poses):
                break
        else:
            self.fail(f"nobody with an identity in {len(found)} messages")
        assert found[-1].skeleton == "halpe136"
        assert found[-1].header.frame_id == "camera_optical_frame"
        client = self.node.create_client(GetState, "/robot/alphapose_ros/get_state")
        assert client.wait_for_service(10)
        future = client.call_async(GetState.Request())
        rclpy.spin_until_future_complete(self.node, future, timeout_sec=10)
        assert future.result().current_state.label == "active"


@launch_testing.post_shutdown_test()
class TestEnd(unittest.TestCase):
    """After Ctrl-C."""

    def test_exit_codes(self, proc_info: object) -> None:
        """Everybody ended by themselves."""
        launch_testing.asserts.assertExitCodes(proc_info, process="pose_node")
        launch_testing.asserts.assertExitCodes(proc_info, process="play_node")
