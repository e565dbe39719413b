# SPDX-License-Identifier: Apache-2.0
"""Transforms at an image's time from tf2, waited for a moment on the session's thread."""

from __future__ import annotations

import time

import tf2_ros
from rclpy.clock import ClockType, JumpThreshold, TimeJump
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.time import Time

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.transform import RigidTransform

_POLL_S = 0.002


class Transforms:
    """Looks transforms up; the executor fills the buffer meanwhile.

    Where the node's clock goes back (a bag begins again), what the buffer holds is of the future
    and tf2 would refuse all that comes as old: it is forgotten.

    Args:
        node: listens to ``/tf`` and ``/tf_static``.
    """

    def __init__(self, node: Node) -> None:
        self._buffer = tf2_ros.Buffer(node=None)
        self._listener = tf2_ros.TransformListener(self._buffer, node, spin_thread=False)
        back = JumpThreshold(
            min_forward=None, min_backward=Duration(nanoseconds=-1), on_clock_change=True
        )
        self._jumps = node.get_clock().create_jump_callback(back, post_callback=self._forget)

    def _forget(self, _: TimeJump) -> None:
        self._buffer.clear()

    def lookup(
        self,
        target: str,
        source: str,
        stamp_ns: int,
        until_s: float,
        missing: dict[str, str],
    ) -> RigidTransform | None:
        """From ``source`` to ``target`` at that time, or None.

        Args:
            target, source: frames; equal ones need no tf.
            stamp_ns: time of the image.
            until_s: ``time.monotonic()`` until which to wait.
            missing: frame pair -> why there is None; written to.
        """
        if target == source:
            return RigidTransform()
        stamp = Time(nanoseconds=stamp_ns, clock_type=ClockType.ROS_TIME)
        while True:
            try:
                found = self._buffer.lookup_transform(target, source, stamp).transform
                transform = RigidTransform.from_quaternion(
                    [getattr(found.rotation, axis) for axis in "xyzw"],
                    [getattr(found.translation, axis) for axis in "xyz"],
                )
            except (tf2_ros.TransformException, InputError) as error:
                if time.monotonic() + _POLL_S < until_s and source:
                    time.sleep(_POLL_S)
                    continue
                missing[f"{source} to {target}"] = str(error)
                return None
            return transform

    def close(self) -> None:
        """Stop listening."""
        self._jumps.unregister()
        self._listener.unregister()
