# SPDX-License-Identifier: Apache-2.0
"""One camera of the ros front from its images to its messages and its health."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from rclpy.node import Node

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.records import FrameResult, Spatial
from alphapose_ros.base.transform import RigidTransform
from alphapose_ros.front.config import CameraTopics, NodeConfig
from alphapose_ros.front.health import WARN, CameraHealth, Health, Trouble
from alphapose_ros.front.intake import LiveFrame, LiveImage
from alphapose_ros.front.results import CameraResults
from alphapose_ros.front.topics import output_name
from alphapose_ros.ros.camera_input import CameraInput
from alphapose_ros.ros.classes import RosClasses
from alphapose_ros.ros.depth import DepthInput
from alphapose_ros.ros.publisher import RosPublisher
from alphapose_ros.ros.transforms import Transforms
from alphapose_ros.session import CameraStatistics
from alphapose_ros.spatial.estimator import SpatialEstimator


class RosCamera:
    """What the node does for one camera.

    Args:
        node, config, camera: where to listen and speak.
        skeleton: of the poses.
        submit, reset: of the session.
        transforms: None where every result is in the camera's own frame.
    """

    def __init__(
        self,
        node: Node,
        config: NodeConfig,
        camera: CameraTopics,
        skeleton: Any,
        submit: Callable[[LiveImage], None],
        reset: Callable[[str], None],
        transforms: Transforms | None,
    ) -> None:
        self._config, self._transforms = config, transforms
        self._publishers: list[RosPublisher] = []

        def make(name: str, kind: str, **options: Any) -> RosPublisher:
            topic = output_name(config, camera, name)
            self._publishers.append(RosPublisher(node, topic, kind, **options))
            return self._publishers[-1]

        self._missing: dict[str, str] = {}  # frame pair -> why the latest look-up failed
        self._missed = 0
        try:
            self.results = CameraResults(make, config, skeleton, RosClasses())
            self.input = CameraInput(node, config, camera, submit, reset)
            self.health = CameraHealth(config, self.input.intake)
            self._spatial = SpatialEstimator(config.spatial)
        except Exception:
            self._destroy_publishers()  # nobody else knows those that were made before
            raise

    @property
    def topic(self) -> str:
        """Of the poses."""
        return self.results.poses.topic  # type: ignore[attr-defined,no-any-return]

    def configure(self, config: NodeConfig) -> None:
        """Take over what may change while the node runs."""
        if config.spatial != self._config.spatial:
            self._spatial = SpatialEstimator(config.spatial)
        self._config = self.health.config = config
        self.results.configure(config)

    def reset(self) -> None:
        """Forget how people moved."""
        self._spatial.reset()

    def publish(self, frame: LiveFrame, result: FrameResult) -> Spatial:
        """Send what was found in one frame, on the session's thread; returns where it is."""
        spatial = self._place(frame, result)
        self.results.publish(frame, result, spatial)
        return spatial

    def judge(self, statistics: CameraStatistics | None) -> Health:
        """How the camera is."""
        health = self.health.judge(
            self.input.why_silent, statistics, list(self._spatial_troubles())
        )
        depth = self.input.depth
        if depth is None:
            return health
        counts = {"depth.received": str(depth.received), "depth.missed": str(depth.missed)}
        return replace(health, values={**health.values, **counts})

    def close(self) -> None:
        """Listen and speak no more."""
        self.input.close()
        self._destroy_publishers()

    def _destroy_publishers(self) -> None:
        for publisher in self._publishers:
            publisher.destroy()

    def _place(self, frame: LiveFrame, result: FrameResult) -> Spatial:
        """Where the people are, as far as depth, calibration and transforms tell."""
        config, stamp_ns, source = self._config, frame.stamp_ns, frame.frame_id
        target = config.target_frame or source
        depth = self.input.depth_at(stamp_ns, config.depth_tolerance_s)
        joints = len(result.tracks.poses.skeleton)
        nothing = depth is None and not config.spatial.body_height
        if frame.intrinsics is None or nothing:
            return Spatial.unknown(len(result.tracks), joints, target)
        to_frame, to_fixed = self._look_up(frame, target, config.fixed_frame or source)
        try:
            return self._spatial.update(
                result.tracks,
                stamp_ns,
                frame.intrinsics,
                depth,
                frame=target,
                to_frame=to_frame,
                to_fixed=to_fixed,
            )
        except InputError as error:
            self.input.intake.complain("depth", f"{frame.camera}: {error}")
            return Spatial.unknown(len(result.tracks), joints, target)

    def _look_up(self, frame: LiveFrame, *targets: str) -> list[RigidTransform | None]:
        """From the image's frame to each of ``targets``; what is missing is written down."""
        if self._transforms is None:
            return [RigidTransform() for _ in targets]
        until_s = frame.received_s + self._config.transform_wait_s
        missing: dict[str, str] = {}
        found = [
            self._transforms.lookup(target, frame.frame_id, frame.stamp_ns, until_s, missing)
            for target in targets
        ]
        self._missing = missing  # another one, because the executor's thread reads it
        return found

    def _spatial_troubles(self) -> Iterator[Trouble]:
        for pair, why in self._missing.items():
            yield Trouble(WARN, f"tf {pair}", f"no transform from {pair}: {why}")
        depth, intake = self.input.depth, self.input.intake
        if intake.other_size:
            yield Trouble(WARN, "camera_info size", intake.other_size, logged=True)
        wanted = "depth comes" if depth is not None and depth.received else ""
        if not wanted and self._config.spatial.body_height and intake.counts.received:
            wanted = "spatial.body_height is set"
        if wanted and intake.intrinsics is None:
            text = f"{wanted}, but no camera_info on {self.input.info_topic}: no 3-D positions"
            yield Trouble(WARN, "no camera_info", text)
        if depth is not None:
            yield from self._depth_troubles(depth)

    def _depth_troubles(self, depth: DepthInput) -> Iterator[Trouble]:
        silent_s = time.monotonic() - depth.heard_s
        expected = self.input.listening and (self.input.depth_wanted or depth.received)
        if expected and silent_s >= self._config.silence_warning_s > 0:
            why = depth.why_silent
            text = f"no depth for {silent_s:.0f} s: {why}: no 3-D positions"
            yield Trouble(WARN, "depth silence " + why, text)
        missed, late = depth.missed, self._missed
        self._missed = missed
        if missed > late:
            text = (
                f"{missed - late} results without a depth image within "
                f"{self._config.depth_tolerance_s:g} s of their image's stamp"
            )
            yield Trouble(WARN, "depth missed", text)
