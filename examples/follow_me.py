#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Follow a person: drives a robot behind the pose node's ``target``.

    python3 follow_me.py --ros-args -p base_frame:=base_link -p stamped:=true

It stops for nothing but the person: put a collision monitor between ``cmd_vel`` and the base.

With Nav2 you need none of it: remap ``target`` to ``goal_update`` for its ``follow_point.xml``, or
give ``pose_topic: target`` or ``tracked_frame: person_<id>`` to its action ``FollowObject``.
"""

from __future__ import annotations

import math
import signal
import threading
import time
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Limits:
    """How the robot follows; lengths in m, speeds in m/s and rad/s."""

    distance: float = 1.5  # it stays this far from the person
    too_near: float = 0.7  # nearer than this it does not even turn
    max_linear: float = 0.5
    max_angular: float = 1.0
    linear_gain: float = 0.8  # m/s per metre too far
    angular_gain: float = 1.5  # rad/s per radian off


def velocity(x: float, y: float, limits: Limits) -> tuple[float, float]:
    """Forward and turning speed towards a person at x (ahead) and y (left), m (REP-103).

    Positive turning is to the left. The robot never drives backwards, slows down while the person
    is to the side and only turns when they are behind. An unknown place stops it.
    """
    away, bearing = math.hypot(x, y), math.atan2(y, x)
    if not math.isfinite(away) or away < limits.too_near:
        return 0.0, 0.0
    linear = limits.linear_gain * (away - limits.distance) * max(math.cos(bearing), 0.0)
    angular = limits.angular_gain * bearing
    turn = min(max(angular, -limits.max_angular), limits.max_angular)
    return min(max(linear, 0.0), limits.max_linear), turn


def moved(point: Any, translation: Any, rotation: Any) -> Any:
    """(3,) point in another frame; ``rotation`` is a unit quaternion x, y, z, w."""
    p, (*axis, w) = np.asarray(point, float), rotation
    turn = 2 * np.cross(axis, p)
    return p + w * turn + np.cross(axis, turn) + translation


def follow_me() -> Any:
    """The node. ROS is imported here, so that the part above is tested without it."""
    import tf2_ros
    from geometry_msgs.msg import PoseStamped, Twist, TwistStamped
    from rclpy.clock import Clock, ClockType
    from rclpy.node import Node
    from rclpy.time import Time
    from std_msgs.msg import Header

    class FollowMe(Node):
        def __init__(self) -> None:
            super().__init__("follow_me")
            given = {n: self.declare_parameter(n, v).value for n, v in asdict(Limits()).items()}
            self.limits = Limits(**given)
            self.timeout_s = self.declare_parameter("timeout_s", 0.5).value
            self.base_frame = self.declare_parameter("base_frame", "base_link").value
            self.stamped = self.declare_parameter("stamped", False).value
            self.target: Any = None
            self.heard = self.moved = -math.inf  # seconds of a clock that never stands still
            self.tf = tf2_ros.Buffer()
            self.listener = tf2_ros.TransformListener(self.tf, self)
            kind = TwistStamped if self.stamped else Twist
            self.publisher = self.create_publisher(kind, "cmd_vel", 1)
            self.create_subscription(PoseStamped, "target", self.on_target, 1)
            # Steady time: a simulation that pauses must not keep the last command alive.
            self.create_timer(0.05, self.drive, clock=Clock(clock_type=ClockType.STEADY_TIME))

        def on_target(self, message: Any) -> None:
            self.target, self.heard = message, time.monotonic()

        def drive(self) -> None:
            now = time.monotonic()
            late = now - self.heard > self.timeout_s
            linear, angular = (0.0, 0.0) if late else self.command()
            if linear or angular:
                self.moved = now
            if now - self.moved <= 1.0:  # say "stop" for a second, then leave the topic to others
                self.send(linear, angular)

        def command(self) -> tuple[float, float]:
            header, at = self.target.header, self.target.pose.position
            if self.age_s(header.stamp) > self.timeout_s:
                return self.refuse("the target's stamp is old, 0 or from another clock")
            place = [at.x, at.y, at.z]
            if header.frame_id != self.base_frame:
                try:  # the newest: where the person stood, seen from where the robot is now
                    found = self.tf.lookup_transform(self.base_frame, header.frame_id, Time())
                except tf2_ros.TransformException as error:
                    return self.refuse(f"no transform to {self.base_frame}: {error}")
                stamp = found.header.stamp
                if stamp.sec and self.age_s(stamp) > self.timeout_s:  # 0: all of it is static
                    return self.refuse(f"the transform to {self.base_frame} is old")
                t, q = found.transform.translation, found.transform.rotation
                place = moved(place, [t.x, t.y, t.z], [q.x, q.y, q.z, q.w])
            return velocity(place[0], place[1], self.limits)

        def age_s(self, stamp: Any) -> float:
            """How far a stamp is from now; one from the future is as bad as an old one."""
            return abs((self.get_clock().now() - Time.from_msg(stamp)).nanoseconds) / 1e9

        def refuse(self, why: str) -> tuple[float, float]:
            self.get_logger().warning(f"standing still: {why}", throttle_duration_sec=5.0)
            return 0.0, 0.0

        def send(self, linear: float, angular: float) -> None:
            twist = Twist()
            twist.linear.x, twist.angular.z = linear, angular
            header = Header(stamp=self.get_clock().now().to_msg(), frame_id=self.base_frame)
            stamped = TwistStamped(header=header, twist=twist)
            self.publisher.publish(stamped if self.stamped else twist)

    return FollowMe()


def main() -> None:
    """Spin until SIGINT or SIGTERM, then stop the robot."""
    import rclpy
    from rclpy.duration import Duration
    from rclpy.signals import SignalHandlerOptions

    # rclpy's own handlers would close the publisher before the last command.
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    node = follow_me()
    try:
        while not ended.is_set():
            rclpy.spin_once(node, timeout_sec=0.1)
    finally:
        node.send(0.0, 0.0)
        node.publisher.wait_for_all_acked(Duration(seconds=0.5))
        rclpy.shutdown()


if __name__ == "__main__":
    main()
