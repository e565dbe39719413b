# SPDX-License-Identifier: Apache-2.0
"""The examples as processes: what they say to messages, to silence and to SIGINT."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from domains import new_domain
from processes import running
from ros_helpers import ROOT, FarEnd, PoseArray, qos, set_stamp, stamp_ns, wait_for

from alphapose_ros.msg import BoundingBox, PersonPose, Skeleton  # isort: skip  (made by the build)
from geometry_msgs.msg import PointStamped, PoseStamped, TransformStamped, Twist  # isort: skip
from geometry_msgs.msg import TwistStamped, Vector3Stamped  # isort: skip
from std_msgs.msg import String  # isort: skip
from tf2_msgs.msg import TFMessage  # isort: skip
from visualization_msgs.msg import Marker  # isort: skip

NAMES = ["nose", "left_wrist", "left_elbow", "left_shoulder"]
STEP = 100_000_000


@pytest.fixture
def far() -> Iterator[FarEnd]:
    with FarEnd(new_domain()) as end:
        yield end


@contextmanager
def example(far: FarEnd, name: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The example as a user starts it; it must end on SIGINT without an error."""
    variables = {
        **os.environ,
        "ROS_DOMAIN_ID": str(far.context.get_domain_id()),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "PYTHONUNBUFFERED": "1",
    }
    given = ["--ros-args", *arguments] if arguments else []
    with running([sys.executable, str(ROOT / "examples" / name), *given], variables) as process:
        yield process
    lines = process.lines  # type: ignore[attr-defined]
    assert process.returncode == 0, lines
    assert "Traceback" not in "".join(lines)


def heard(*publishers: Any) -> None:
    wait_for(lambda: all(p.get_subscription_count() for p in publishers), "the example")


def skeleton(far: FarEnd) -> None:
    """Said once, before the example comes."""
    publisher = far.node.create_publisher(Skeleton, "/skeleton", qos(latched=True))
    publisher.publish(Skeleton(name="four", keypoint_names=NAMES))


def people(stamp: int, *poses: Any, frame: str = "floor") -> Any:
    message = PoseArray(skeleton="four", spatial_frame=frame, poses=list(poses))
    message.header.frame_id = "optical"
    set_stamp(message, stamp)
    return message


def person(identity: int, joints: Any, space: Any = (), state: int = PersonPose.TRACKED) -> Any:
    """``joints`` (4, 2) px and ``space`` (4, 3) m of the four joints."""
    flat = np.hstack([np.asarray(joints, float), np.full((4, 1), 0.9)]).ravel()
    return PersonPose(
        id=identity,
        state=state,
        box=BoundingBox(height=200.0),
        keypoints=flat.tolist(),
        keypoints_3d=np.ravel(space).astype(float).tolist(),
    )


def test_raised_hand(far: FarEnd) -> None:
    skeleton(far)
    poses = far.publisher("/front/poses", PoseArray)
    told = far.collect("/raised_hands", String)
    up = [[50, 100], [60, 60], [60, 90], [60, 120]]
    down = [[50, 100], [60, 180], [60, 150], [60, 120]]
    with example(far, "raised_hand.py", "-r", "poses:=front/poses"):
        heard(poses)
        time.sleep(1.0)  # the latched skeleton is on its way
        for i in range(20):
            there = [
                person(3, up if i < 10 else down),
                person(4, down),
                person(0, up),
                person(5, up, state=PersonPose.LOST),
            ]
            poses.publish(people(10**9 + i * STEP, *there))
            time.sleep(0.02)
        poses.publish(people(10**9 + 20 * STEP))
        wait_for(lambda: len(told) == 2, "a raised and a lowered hand")
    events = [json.loads(message.data) for message in told]
    assert events == [
        {"stamp_ns": 10**9 + 5 * STEP, "id": 3, "hand": "left", "up": True},
        {"stamp_ns": 10**9 + 15 * STEP, "id": 3, "hand": "left", "up": False},
    ]


def test_pointing(far: FarEnd) -> None:
    skeleton(far)
    poses = far.publisher("/poses", PoseArray)
    transforms = far.node.create_publisher(TFMessage, "/tf_static", qos(latched=True))
    shift = TransformStamped(child_frame_id="camera")
    shift.header.frame_id = "floor"
    shift.transform.translation.x, shift.transform.translation.z = 2.0, 1.0
    shift.transform.rotation.w = 1.0
    transforms.publish(TFMessage(transforms=[shift]))
    points = far.collect("/pointed_at", PointStamped)
    ways = far.collect("/pointing_direction", Vector3Stamped)
    marks = far.collect("/pointing_marker", Marker)
    flat = [[90, 20], [50, 20], [30, 20], [10, 20]]
    # wrist 1 m above the floor, the arm goes down and ahead at 45 degrees; the nose is unseen
    space = np.array([[np.nan] * 3, [0.4, 0, 0], [0.2, 0, 0.2], [0.0, 0, 0.4]])
    with example(far, "pointing.py", "-p", "fixed_frame:=floor") as process:
        heard(poses)

        def found() -> bool:
            poses.publish(people(10**9 + 7, person(7, flat, space), frame="camera"))
            time.sleep(0.05)
            return bool(points and ways and marks)

        wait_for(found, "a point")
        before = len(ways)
        poses.publish(people(2 * 10**9, person(0, flat, space), frame="camera"))
        poses.publish(people(2 * 10**9))
        poses.publish(people(3 * 10**9, person(7, flat), frame="camera"))
        poses.publish(people(4 * 10**9, person(7, flat), frame="camera"))
        wait_for(lambda: ways and stamp_ns(ways[-1]) == 4 * 10**9, "directions in the image")
    at = points[0]
    assert (at.header.frame_id, stamp_ns(at)) == ("floor", 10**9 + 7)
    np.testing.assert_allclose([at.point.x, at.point.y, at.point.z], [3.4, 0, 0], atol=1e-6)
    assert (marks[0].id, marks[0].ns, marks[0].type) == (7, "left_arm", Marker.ARROW)
    way = ways[0].vector
    np.testing.assert_allclose([way.x, way.y, way.z], [0.5**0.5, 0, -(0.5**0.5)], atol=1e-6)
    last = ways[-1]
    assert last.header.frame_id == "optical"
    assert (last.vector.x, last.vector.y, last.vector.z) == (1, 0, 0)
    assert not [w for w in ways[before:] if stamp_ns(w) == 2 * 10**9]
    assert sum("no depth" in line for line in process.lines) == 1


def target(stamp: int, x: float, y: float, frame: str = "base_link") -> Any:
    message = PoseStamped()
    message.header.frame_id = frame
    set_stamp(message, stamp)
    message.pose.position.x, message.pose.position.y = x, y
    message.pose.orientation.w = 1.0
    return message


def drive(
    publisher: Any, said: list[Any], condition: Any, x: float, y: float, **more: Any
) -> None:
    """Show the person at x, y until ``condition`` holds for the last command."""

    def step() -> bool:
        publisher.publish(target(time.time_ns(), x, y, **more))
        time.sleep(0.05)
        return bool(said) and condition(said[-1])

    wait_for(step, "a command")


def is_zero(twist: Any) -> bool:
    return twist.linear.x == twist.angular.z == 0


def test_follow_me_turns_and_stops_when_the_target_vanishes(far: FarEnd) -> None:
    targets = far.publisher("/target", PoseStamped)
    said = far.collect("/cmd_vel", Twist)
    with example(far, "follow_me.py"):
        heard(targets)
        time.sleep(0.3)
        assert not said  # nobody yet: nothing to say
        drive(targets, said, lambda t: t.linear.x > 0 and t.angular.z > 0, 3.0, 1.0)
        drive(targets, said, lambda t: t.linear.x > 0 and t.angular.z < 0, 3.0, -1.0)
        wait_for(lambda: is_zero(said[-1]), "a stop after the last target", 5)
        time.sleep(1.5)
        count_ = len(said)
        time.sleep(0.5)
        assert len(said) == count_  # the topic is left to others
        drive(targets, said, lambda t: t.linear.x > 0, 3.0, 0.0)
        drive(targets, said, is_zero, 0.4, 0.0)  # too near
        drive(targets, said, lambda t: t.linear.x > 0, 3.0, 0.0)
        targets.publish(target(time.time_ns() - 10**10, 3.0, 0.0))  # an old stamp
        wait_for(lambda: is_zero(said[-1]), "a stop", 5)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_follow_me_ends_with_a_stop(far: FarEnd, number: int) -> None:
    targets = far.publisher("/target", PoseStamped)
    said = far.collect("/cmd_vel", TwistStamped)
    with example(far, "follow_me.py", "-p", "stamped:=true", "-p", "max_linear:=0.3") as process:
        heard(targets)
        drive(targets, said, lambda t: t.twist.linear.x == 0.3, 3.0, 0.0)
        process.send_signal(number)
        assert process.wait(10) == 0
        wait_for(lambda: is_zero(said[-1].twist), "the last command")
    assert said[-1].header.frame_id == "base_link"


def test_follow_me_through_tf(far: FarEnd) -> None:
    targets = far.publisher("/target", PoseStamped)
    transforms = far.node.create_publisher(TFMessage, "/tf_static", qos(latched=True))
    said = far.collect("/cmd_vel", Twist)
    with example(far, "follow_me.py") as process:
        heard(targets)

        def refused() -> bool:
            targets.publish(target(time.time_ns(), 3.0, 0.0, "camera"))
            time.sleep(0.05)
            return any("no transform to base_link" in line for line in process.lines)

        wait_for(refused, "a warning")
        assert all(map(is_zero, said))
        turned = TransformStamped(child_frame_id="camera")  # its x is the robot's left
        turned.header.frame_id = "base_link"
        turned.transform.rotation.z = turned.transform.rotation.w = 0.5**0.5
        transforms.publish(TFMessage(transforms=[turned]))
        drive(targets, said, lambda t: t.angular.z == 1.0, 3.0, 0.0, frame="camera")
    assert is_zero(said[-1])
