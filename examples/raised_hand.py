#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who raises which hand: hears ``poses`` and ``skeleton``, tells ``raised_hands``.

    python3 raised_hand.py --ros-args -r poses:=front/poses

Each change is one std_msgs/String of JSON: {"stamp_ns": 7, "id": 3, "hand": "left", "up": true}.
Left is the person's own. The image is taken to be upright.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

Key = tuple[int, str]  # identity and "left" or "right"


def wrist_height(
    names: Sequence[str], keypoints: Sequence[float], side: str, box_height: float
) -> float:
    """How far a wrist lies above nose and eyes, in heights of the person's box; NaN if unseen.

    ``keypoints`` holds x, y (px, y downwards) and score of each of the ``names``, flat.
    """
    y = {
        name: keypoints[3 * k + 1]
        for k, name in enumerate(names)
        if keypoints[3 * k + 2] >= 0.3 and math.isfinite(keypoints[3 * k + 1])
    }
    head = [y[name] for name in ("nose", "left_eye", "right_eye") if name in y]
    if not head or f"{side}_wrist" not in y or not box_height > 0:
        return math.nan
    return (min(head) - y[f"{side}_wrist"]) / box_height


@dataclass
class _Hand:
    up: bool = False
    seen_ns: int = 0
    other_since_ns: int | None = None  # since when it looks other than ``up`` says


class RaisedHands:
    """Debounces hands in the images' time, so that a slow computer or a bag changes nothing.

    Args:
        hold_s: a hand must look raised, or lowered, for so long to count.
        forget_s: a hand unseen for longer counts as lowered.
        rise, fall: heights where it begins and ceases to look raised; between, nothing changes.
    """

    def __init__(
        self, hold_s: float = 0.5, forget_s: float = 1.0, rise: float = 0.0, fall: float = -0.08
    ) -> None:
        self._hold_ns, self._forget_ns = round(hold_s * 1e9), round(forget_s * 1e9)
        self._rise, self._fall = rise, fall
        self._hands: dict[Key, _Hand] = {}
        self._last_ns = 0

    def update(self, stamp_ns: int, heights: Mapping[Key, float]) -> list[tuple[Key, bool]]:
        """The hands that changed in this image, and whether each is up now.

        A stamp before the last one is a new clock, such as a bag's next loop: all hands fall.
        """
        is_new_clock = stamp_ns < self._last_ns
        self._last_ns = stamp_ns
        events: list[tuple[Key, bool]] = []
        for key, hand in list(self._hands.items()):
            if is_new_clock or stamp_ns - hand.seen_ns > self._forget_ns:
                events += [(key, False)] if hand.up else []
                del self._hands[key]
        for key, height in heights.items():
            if math.isnan(height):
                continue
            hand = self._hands.setdefault(key, _Hand())
            if stamp_ns - hand.seen_ns > self._hold_ns:
                hand.other_since_ns = None  # what was in the gap is not known
            hand.seen_ns = stamp_ns
            if (height > self._fall) if hand.up else (height <= self._rise):
                hand.other_since_ns = None
            elif hand.other_since_ns is None:
                hand.other_since_ns = stamp_ns
            if hand.other_since_ns is not None and stamp_ns - hand.other_since_ns >= self._hold_ns:
                hand.up, hand.other_since_ns = not hand.up, None
                events.append((key, hand.up))
        return events


def raised_hand() -> Any:
    """The node. ROS is imported here, so that the part above is tested without it."""
    from alphapose_ros.msg import PersonPose, PoseArray, Skeleton
    from rclpy.node import Node
    from rclpy.qos import DurabilityPolicy, QoSProfile
    from std_msgs.msg import String

    class RaisedHand(Node):
        def __init__(self) -> None:
            super().__init__("raised_hand")
            self.hands = RaisedHands(
                hold_s=self.declare_parameter("hold_s", 0.5).value,
                forget_s=self.declare_parameter("forget_s", 1.0).value,
            )
            self.names: dict[str, list[str]] = {}  # of each skeleton
            self.publisher = self.create_publisher(String, "raised_hands", 10)
            # Transient local: the skeleton was said once, before this node came.
            latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
            self.create_subscription(Skeleton, "skeleton", self.on_skeleton, latched)
            self.create_subscription(PoseArray, "poses", self.on_poses, 10)

        def on_skeleton(self, message: Any) -> None:
            self.names[message.name] = list(message.keypoint_names)

        def on_poses(self, message: Any) -> None:
            names = self.names.get(message.skeleton, [])
            heights = {
                (person.id, side): wrist_height(names, person.keypoints, side, person.box.height)
                for person in message.poses  # nobody there is an answer too: hands are forgotten
                if person.state == PersonPose.TRACKED and person.id > 0
                for side in ("left", "right")
            }
            stamp_ns = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
            for (identity, side), up in self.hands.update(stamp_ns, heights):
                event = {"stamp_ns": stamp_ns, "id": identity, "hand": side, "up": up}
                self.publisher.publish(String(data=json.dumps(event)))
                self.get_logger().info(f"person {identity}: {side} hand {'up' if up else 'down'}")

    return RaisedHand()


def main() -> None:
    """Spin until SIGINT or SIGTERM."""
    import rclpy
    from rclpy.executors import ExternalShutdownException

    rclpy.init()
    with suppress(KeyboardInterrupt, ExternalShutdownException):
        rclpy.spin(raised_hand())
    rclpy.try_shutdown()


if __name__ == "__main__":
    main()
