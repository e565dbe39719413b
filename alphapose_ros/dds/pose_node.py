# SPDX-License-Identifier: Apache-2.0
"""The embedded node: cameras on the middleware in, people on the middleware out.

Beside the ros front it lacks services, parameter calls, TF and depth; topics and messages are the
same.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from alphapose_ros.base.records import Frame, FrameResult
from alphapose_ros.dds.camera_io import CameraInput, CameraOutput, LiveFrame, Throttle
from alphapose_ros.dds.endpoints import Reliability
from alphapose_ros.dds.environment import RosEnvironment
from alphapose_ros.dds.node_config import NodeConfig
from alphapose_ros.dds.participant import Participant
from alphapose_ros.dds.signals import stop_signals
from alphapose_ros.session import Session

logger = logging.getLogger("alphapose_ros.node")

_DIAGNOSTICS = "diagnostic_msgs/msg/DiagnosticArray"
_OK, _WARN = 0, 1


class PoseNode:
    """Wires cameras, session and publishers.

    Args:
        config: topics and how to listen.
        pipeline: what :class:`~alphapose_ros.session.Session` takes, with ``skeleton``.
        environment: where on the network.

    Raises:
        TransportError: the middleware cannot be joined.
    """

    def __init__(self, config: NodeConfig, pipeline: Any, environment: RosEnvironment) -> None:
        self._config = config
        self._participant = Participant(config.name, config.full_namespace, environment)
        self._throttle = Throttle(30.0)
        self._outputs = {
            camera.name: CameraOutput(self._participant, config, camera, pipeline.skeleton)
            for camera in config.cameras
        }
        self._diagnostics = self._participant.publisher("/diagnostics", _DIAGNOSTICS)
        self._session = Session(pipeline, self._on_result)
        self.inputs = {
            camera.name: CameraInput(
                self._participant, config, camera, self._session.submit, self._session.reset
            )
            for camera in config.cameras
        }
        self._heard = dict.fromkeys(self.inputs, (0, time.monotonic()))
        self._refused = dict.fromkeys(self.inputs, 0)

    def start(self) -> None:
        """Listen."""
        self._participant.start(self._on_tick)
        for camera in self._config.cameras:
            logger.info(
                "%s: %s -> %s on DDS domain %d",
                camera.name,
                self.inputs[camera.name].topic,
                self._outputs[camera.name].poses.topic,
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

    def _on_result(self, frame: Frame, result: FrameResult) -> None:
        assert isinstance(frame, LiveFrame)
        self._outputs[frame.camera].publish(frame, result)

    def _on_tick(self) -> None:
        for name, camera in self.inputs.items():
            self._follow_publishers(camera)
            self._report_silence(name, camera)
        self._publish_diagnostics()

    def _follow_publishers(self, camera: CameraInput) -> None:
        """``auto``: reliable as soon as all publishers offer it, best effort again when not."""
        if self._config.reliability != "auto":
            return
        subscription = camera.subscription
        if subscription.reliability == "reliable":
            wanted: Reliability = "best_effort" if subscription.refused else "reliable"
        else:
            offers = subscription.offers
            all_reliable = bool(offers) and "best_effort" not in offers
            wanted = "reliable" if all_reliable and not camera.mixed_publishers else "best_effort"
        if wanted != subscription.reliability:
            camera.mixed_publishers = wanted == "best_effort"
            subscription.change(wanted)
            self._participant.announce()

    def _report_silence(self, name: str, camera: CameraInput) -> None:
        count, since = self._heard[name]
        if camera.counts.received > count:
            self._heard[name] = (camera.counts.received, time.monotonic())
            return
        silent_s = time.monotonic() - since
        if silent_s < self._config.silence_warning_s or not self._throttle(name):
            return
        why = _why_silent(camera)
        logger.warning("%s: no image for %.0f s: %s", camera.topic, silent_s, why)

    def _trouble(self, name: str, camera: CameraInput) -> str:
        """Why a camera gives no results, or nothing where it does."""
        if time.monotonic() - self._heard[name][1] > self._config.silence_warning_s:
            return f"no images: {_why_silent(camera)}"
        refused, self._refused[name] = self._refused[name], camera.counts.refused
        if camera.counts.refused > refused:
            return f"images are refused: {camera.refusal}"
        return ""

    def _publish_diagnostics(self) -> None:
        if not self._diagnostics.matched:
            return
        new = self._participant.types.new
        statistics = self._session.statistics()
        seconds, nanoseconds = divmod(time.time_ns(), 10**9)
        stamp = self._participant.messages.Time(sec=seconds, nanosec=nanoseconds)
        status = []
        for name, camera in self.inputs.items():
            trouble = self._trouble(name, camera)
            inputs = {f"input.{key}": value for key, value in _flat(camera.counts).items()}
            values = {**inputs, **_flat(statistics.get(name))}
            status.append(
                new(
                    "diagnostic_msgs/msg/DiagnosticStatus",
                    level=_WARN if trouble else _OK,
                    name=f"{self._config.name}: {name}",
                    message=trouble or "running",
                    values=[
                        new("diagnostic_msgs/msg/KeyValue", key=key, value=value)
                        for key, value in values.items()
                    ],
                )
            )
        header = self._participant.messages.Header(stamp=stamp)
        self._diagnostics.publish(new(_DIAGNOSTICS, header=header, status=status))


def run_node(
    params_file: str | Path | None = None, remaps: Mapping[str, str] | None = None
) -> int:
    """The node of a ROS 2 parameter file (None: all defaults), until SIGINT or SIGTERM.

    Raises:
        AlphaPoseError: bad parameters or environment, no network, no weights.
    """
    from alphapose_ros.config import PipelineConfig, build, read_parameters, split_parameters

    values = read_parameters(Path(params_file)) if params_file else {}
    ours, others = split_parameters(values)
    config = NodeConfig.from_parameters(others, remaps)
    pipeline_config = build(PipelineConfig, ours)

    def make_pipeline() -> Any:
        from alphapose_ros.pipeline import PosePipeline

        pipeline = PosePipeline.from_config(pipeline_config)
        pipeline.warm_up()
        return pipeline

    return serve(config, make_pipeline)


def serve(config: NodeConfig, make_pipeline: Callable[[], Any]) -> int:
    """Run the node until SIGINT or SIGTERM; a second signal while it ends changes nothing.

    Args:
        config: the node's.
        make_pipeline: called once, under the signals' guard, because loading takes seconds.

    Returns:
        0 after a signal.

    Raises:
        AlphaPoseError: a bad environment, no network, no weights.
    """
    with stop_signals() as stop:
        environment = RosEnvironment.from_variables(os.environ)
        pipeline = make_pipeline()
        if stop.is_set():
            return 0
        node = PoseNode(config, pipeline, environment)
        try:
            node.start()
            while not stop.wait(0.2):
                node.check()
        finally:
            node.close()
    return 0


def _why_silent(camera: CameraInput) -> str:
    subscription = camera.subscription
    if subscription.refused:
        return "a publisher offers best effort only; set reliability to auto"
    if not subscription.offers:
        return "no publisher; check the topic's name, ROS_DOMAIN_ID and the network"
    return f"{len(subscription.offers)} publishers are connected, none sends"


def _flat(record: Any) -> dict[str, str]:
    """Fields of a statistics record as text, nested ones with dotted names."""
    if record is None:
        return {}
    out: dict[str, str] = {}
    for key, value in dataclasses.asdict(record).items():
        items = value.items() if isinstance(value, dict) else [("", value)]
        for inner, number in items:
            name = f"{key}.{inner}" if inner else key
            out[name] = f"{number:.3g}" if isinstance(number, float) else str(number)
    return out
