# SPDX-License-Identifier: Apache-2.0
"""The embedded node: cameras on the middleware in, people on the middleware out.

Beside the ros front it lacks services, parameter calls, TF, depth and the adapters; topics and
messages are the same.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from typing import Any

from alphapose_ros.base.records import Frame, FrameResult
from alphapose_ros.dds.camera_io import CALM, CameraInput
from alphapose_ros.dds.endpoints import Reliability
from alphapose_ros.dds.environment import RosEnvironment
from alphapose_ros.dds.names import NodeNames
from alphapose_ros.dds.participant import Participant
from alphapose_ros.front.config import CameraTopics, NodeConfig
from alphapose_ros.front.health import CameraHealth, Health
from alphapose_ros.front.intake import LiveFrame
from alphapose_ros.front.results import CameraResults
from alphapose_ros.front.signals import stop_signals
from alphapose_ros.front.topics import depth_wanted, output_name
from alphapose_ros.session import Session

logger = logging.getLogger("alphapose_ros.node")

_DIAGNOSTICS = "diagnostic_msgs/msg/DiagnosticArray"
_OF_THE_ROS_FRONT = (
    *("autostart", "bond", "target_frame", "fixed_frame", "spatial"),
    *("depth_tolerance_s", "transform_wait_s"),
    *("detections", "humans", "target", "target_id", "target_hold_s"),
)


class PoseNode:
    """Wires cameras, session and publishers.

    Args:
        config: what to listen to and how.
        names: of the node and its topics.
        pipeline: what :class:`~alphapose_ros.session.Session` takes, with ``skeleton``.
        environment: where on the network.

    Raises:
        TransportError: the middleware cannot be joined.
    """

    def __init__(
        self, config: NodeConfig, names: NodeNames, pipeline: Any, environment: RosEnvironment
    ) -> None:
        self._config, self._names = config, names
        self._participant = Participant(names.name, names.full_namespace, environment)
        self._outputs = {
            camera.name: CameraResults(
                self._publishers_of(camera),
                config,
                pipeline.skeleton,
                self._participant.messages,
            )
            for camera in config.cameras
        }
        self._diagnostics = self._participant.publisher("/diagnostics", _DIAGNOSTICS)
        self._session = Session(pipeline, self._on_result, images_at_once=pipeline.images_at_once)
        self.inputs = {
            camera.name: CameraInput(
                self._participant,
                config,
                names,
                camera,
                self._session.submit,
                self._session.reset,
            )
            for camera in config.cameras
        }
        self._health = {
            name: CameraHealth(config, camera.intake) for name, camera in self.inputs.items()
        }

    def start(self) -> None:
        """Listen."""
        self._participant.start(self._on_tick)
        for name, camera in self.inputs.items():
            logger.info(
                "%s: %s -> %s on DDS domain %d",
                name,
                camera.topic,
                self._outputs[name].poses.topic,  # type: ignore[attr-defined]
                self._participant.environment.domain_id,
            )

    def check(self) -> None:
        """Raise what broke one of the node's threads, if anything did."""
        self._participant.raise_failure()

    def close(self) -> None:
        """Stop listening, finish the frame in work, leave the network."""
        self._participant.stop()
        self._session.close()
        self._participant.close()

    def _publishers_of(self, camera: CameraTopics) -> Callable[..., Any]:
        def make(name: str, kind: str, **options: Any) -> Any:
            topic = self._names.resolve(output_name(self._config, camera, name))
            return self._participant.publisher(topic, kind, **options)

        return make

    def _on_result(self, frame: Frame, result: FrameResult) -> None:
        assert isinstance(frame, LiveFrame)
        self._outputs[frame.camera].publish(frame, result)

    def _on_tick(self) -> None:
        for camera in self.inputs.values():
            self._follow_publishers(camera)
        statistics = self._session.statistics()
        health = {
            name: self._health[name].judge(camera.why_silent, statistics.get(name))
            for name, camera in self.inputs.items()
        }
        self._publish_diagnostics(health)

    def _follow_publishers(self, camera: CameraInput) -> None:
        """``auto``: reliable as soon as all publishers offer it, best effort again when not.

        Back to reliable only when all have offered it for a while: each change may cost an image.
        """
        if self._config.reliability != "auto":
            return
        subscription = camera.subscription
        if subscription.reliability == "reliable":
            wanted: Reliability = "best_effort" if subscription.refused else "reliable"
        else:
            offers = subscription.offers
            all_reliable = bool(offers) and "best_effort" not in offers
            wanted = "reliable" if all_reliable and camera.calm >= CALM else "best_effort"
            camera.calm = camera.calm + 1 if all_reliable else 0 if offers else CALM
        if wanted != subscription.reliability:
            camera.calm = CALM if wanted == "reliable" else 0
            subscription.change(wanted)
            self._participant.announce()

    def _publish_diagnostics(self, health: dict[str, Health]) -> None:
        if not self._diagnostics.matched:
            return
        new = self._participant.types.new
        seconds, nanoseconds = divmod(time.time_ns(), 10**9)
        stamp = self._participant.messages.Time(sec=seconds, nanosec=nanoseconds)
        status = [
            new(
                "diagnostic_msgs/msg/DiagnosticStatus",
                level=found.level,
                name=f"{self._names.name}: {name}",
                message=found.message,
                values=[
                    new("diagnostic_msgs/msg/KeyValue", key=key, value=value)
                    for key, value in found.values.items()
                ],
            )
            for name, found in health.items()
        ]
        header = self._participant.messages.Header(stamp=stamp)
        self._diagnostics.publish(new(_DIAGNOSTICS, header=header, status=status))


def unheeded(config: NodeConfig, names: NodeNames) -> list[str]:
    """Parameters that were changed and that only the ros front knows what to do with."""
    default = NodeConfig()
    found = [n for n in _OF_THE_ROS_FRONT if getattr(config, n) != getattr(default, n)]
    depth = any(depth_wanted(camera, names) for camera in config.cameras)
    return [*found, "depth"] if depth else found


def serve(config: NodeConfig, names: NodeNames, make_pipeline: Callable[[], Any]) -> int:
    """Run the node until SIGINT or SIGTERM; a second one, later, does not wait for its end.

    Args:
        config: the node's.
        names: of the node and its topics.
        make_pipeline: called once; a signal meanwhile ends the process, because it takes seconds.

    Returns:
        0 after a signal.

    Raises:
        AlphaPoseError: a bad environment, no network, no weights.
    """
    if ignored := unheeded(config, names):
        logger.warning("%s: only --front ros heeds it", ", ".join(ignored))
    with stop_signals(last=True) as stop:
        environment = RosEnvironment.from_variables(os.environ)
        with stop.leaving():
            pipeline = make_pipeline()
        node = PoseNode(config, names, pipeline, environment)
        try:
            node.start()
            while not stop.wait(0.2):
                node.check()
        finally:
            node.close()
    return 0
