#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Where people point: hears ``poses`` and ``skeleton``, tells where their arms' lines end.

    python3 pointing.py --ros-args -p fixed_frame:=odom

``pointed_at`` (PointStamped, on the plane z = floor of the fixed frame), ``pointing_direction``
(Vector3Stamped, length 1) and ``pointing_marker`` (for RViz). Needs depth; without it only the
direction in the image is known: x to the right, y downwards, z 0, in the image's frame.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

Points = Mapping[str, Any]  # name of a joint -> its coordinates; unseen ones are absent


def seen(names: Sequence[str], flat: Sequence[float], scores: Sequence[float]) -> Points:
    """The joints with coordinates and a score of at least 0.3, of 2-D or 3-D ones laid flat."""
    points = np.asarray(flat, float).reshape(len(names), -1)
    good = np.isfinite(points).all(1) & (np.asarray(scores) >= 0.3)
    return {name: points[k] for k, name in enumerate(names) if good[k]}


def arm(points: Points, side: str) -> tuple[Any, Any] | None:
    """Hand and unit direction of a stretched arm, in m or px; None if it is bent or not seen.

    The hand is the index finger's tip, else its first joint, else the wrist; the direction runs
    from the elbow. Stretched: the elbow bends by less than 40 degrees.
    """
    joints = ("shoulder", "elbow", "wrist", "hand_index_1", "hand_index_4")
    shoulder, elbow, *ends = (points.get(f"{side}_{joint}") for joint in joints)
    end = next((p for p in reversed(ends) if p is not None), None)
    if end is None or shoulder is None or elbow is None:
        return None
    upper, lower = elbow - shoulder, end - elbow
    lengths = np.linalg.norm(upper) * np.linalg.norm(lower)
    if lengths < 1e-6 or upper @ lower < np.cos(np.radians(40)) * lengths:
        return None
    return end, lower / np.linalg.norm(lower)


def floor_hit(hand: Any, direction: Any, floor: float, reach: float = 8.0) -> Any:
    """(3,) where a ray meets the plane z = floor; None if it does not within ``reach`` m."""
    if direction[2] >= -1e-6 or hand[2] < floor:
        return None
    length = (floor - hand[2]) / direction[2]
    return hand + length * direction if length <= reach else None


def rotated(vector: Any, quaternion: Any) -> Any:
    """(3,) turned by a unit quaternion x, y, z, w."""
    axis, w = np.asarray(quaternion[:3]), quaternion[3]
    turn = 2 * np.cross(axis, vector)
    return vector + w * turn + np.cross(axis, turn)


def xyz(vector: Any) -> dict[str, float]:
    """As the fields of a message."""
    return dict(zip("xyz", map(float, vector), strict=True))


def pointing() -> Any:
    """The node. ROS is imported here, so that the part above is tested without it."""
    import tf2_ros
    from alphapose_ros.msg import PersonPose, PoseArray, Skeleton
    from geometry_msgs.msg import Point, PointStamped, Vector3, Vector3Stamped
    from rclpy.duration import Duration
    from rclpy.node import Node
    from rclpy.qos import DurabilityPolicy, QoSProfile
    from rclpy.time import Time
    from std_msgs.msg import Header
    from visualization_msgs.msg import Marker

    class Pointing(Node):
        def __init__(self) -> None:
            super().__init__("pointing")
            self.fixed_frame = self.declare_parameter("fixed_frame", "odom").value
            self.floor = self.declare_parameter("floor", 0.0).value  # m, in the fixed frame
            # Who lets an arm hang points at nothing: 25 degrees to straight down at least.
            self.lift = np.cos(np.radians(25.0))
            self.names: dict[str, list[str]] = {}  # of each skeleton
            self.tf = tf2_ros.Buffer()
            self.listener = tf2_ros.TransformListener(self.tf, self)
            self.points = self.create_publisher(PointStamped, "pointed_at", 10)
            self.directions = self.create_publisher(Vector3Stamped, "pointing_direction", 10)
            self.markers = self.create_publisher(Marker, "pointing_marker", 10)
            # Transient local: the skeleton was said once, before this node came.
            latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
            self.create_subscription(Skeleton, "skeleton", self.on_skeleton, latched)
            self.create_subscription(PoseArray, "poses", self.on_poses, 10)

        def on_skeleton(self, message: Any) -> None:
            self.names[message.name] = list(message.keypoint_names)

        def on_poses(self, message: Any) -> None:
            names = self.names.get(message.skeleton)
            for person in message.poses if names else ():
                if person.state != PersonPose.TRACKED or not person.id:
                    continue
                flat, space = np.reshape(person.keypoints, (-1, 3)), person.keypoints_3d
                points = seen(names, space if len(space) else flat[:, :2], flat[:, 2])
                tell = self.tell_3d if len(space) else self.tell_2d
                for side in ("left", "right"):
                    if ray := arm(points, side):
                        tell(message, Marker(ns=f"{side}_arm", id=person.id), ray)

        def tell_2d(self, message: Any, _: Any, ray: tuple[Any, Any]) -> None:
            self.get_logger().warning("no depth: only directions in the image", once=True)
            if ray[1][1] < self.lift:
                vector = Vector3(**xyz([*ray[1], 0]))
                self.directions.publish(Vector3Stamped(header=message.header, vector=vector))

        def tell_3d(self, message: Any, mark: Any, ray: tuple[Any, Any]) -> None:
            hand, direction = ray
            header = Header(stamp=message.header.stamp, frame_id=self.fixed_frame)
            if message.spatial_frame != self.fixed_frame:
                frames = self.fixed_frame, message.spatial_frame
                try:  # where the camera was when it saw this
                    found = self.tf.lookup_transform(*frames, Time.from_msg(header.stamp))
                except tf2_ros.TransformException as error:
                    self.get_logger().warning(f"{error}", throttle_duration_sec=5.0)
                    return
                t, q = found.transform.translation, found.transform.rotation
                turn, shift = [q.x, q.y, q.z, q.w], np.array([t.x, t.y, t.z])
                hand, direction = rotated(hand, turn) + shift, rotated(direction, turn)
            if -direction[2] >= self.lift:
                return
            way = Vector3(**xyz(direction))
            self.directions.publish(Vector3Stamped(header=header, vector=way))
            at = floor_hit(hand, direction, self.floor)
            tip = hand + direction if at is None else at
            mark.header, mark.points = header, [Point(**xyz(hand)), Point(**xyz(tip))]
            mark.scale.x, mark.scale.y, mark.color.g, mark.color.a = 0.02, 0.05, 1.0, 1.0
            mark.lifetime = Duration(seconds=0.5).to_msg()
            self.markers.publish(mark)
            if at is not None:
                self.points.publish(PointStamped(header=header, point=mark.points[1]))

    return Pointing()


def main() -> None:
    """Spin until SIGINT or SIGTERM."""
    import rclpy
    from rclpy.executors import ExternalShutdownException

    rclpy.init()
    with suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(pointing())
    rclpy.try_shutdown()


if __name__ == "__main__":
    main()
