# SPDX-License-Identifier: Apache-2.0
"""A clip plays as a camera, the node tracks its people as a second process, both are recorded."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Event

from alphapose_ros.base.errors import AlphaPoseError, TransportError
from alphapose_ros.cli.console import say, table, warn
from alphapose_ros.cli.endings import exit_code
from alphapose_ros.dds.participant import Participant
from alphapose_ros.demo.clip import open_clip
from alphapose_ros.demo.node_process import NodeProcess, private_environment, running_node
from alphapose_ros.demo.recorder import Recorder, summary
from alphapose_ros.front.playback import CameraPublisher, paced
from alphapose_ros.front.signals import stop_signals
from alphapose_ros.io.bag import BagWriter
from alphapose_ros.io.sinks import VideoWriter
from alphapose_ros.io.source_base import Source, of_one_camera

_IMAGE = "/image"
_GIVE_ONE = "the demo shows one: alphapose-ros run shows all of them"
_LIVE_S = 60.0  # a camera has no end
_PATIENCE_S = 180.0  # until the node has loaded its networks, on a slow machine
# OpenCV tries encoders until one works and complains of each that does not.
_QUIET = {"OPENCV_LOG_LEVEL": "FATAL", "OPENCV_FFMPEG_LOGLEVEL": "-8"}
_FIELD_OF_VIEW_DEG = 60.0  # assumed for markers; clips bring no calibration


def main(arguments: list[str] | None = None) -> int:
    """0 when people's poses came back through the middleware."""
    args = _parse(arguments)
    for name, level in _QUIET.items():
        os.environ.setdefault(name, level)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    return exit_code(lambda: _judged(args))


def _judged(args: argparse.Namespace) -> int:
    try:
        return _demo(args)
    except AlphaPoseError as error:
        warn(str(error))
        return 1


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make run", description=__doc__)
    parser.add_argument("source", nargs="?", help="camera index, video, folder or bag")
    parser.add_argument("--output", type=Path, default=Path("out"), help="folder (default: out)")
    parser.add_argument("--rate", type=float, help="images per second (default: the clip's own)")
    parser.add_argument(
        "--seconds", type=float, help=f"stop after (default: never; cameras {_LIVE_S:.0f})"
    )
    parser.add_argument("--params-file", help="parameters of the node, as config/pose.yaml")
    return parser.parse_args(arguments)


def _demo(args: argparse.Namespace) -> int:
    source, description = open_clip(args.source)
    args.output.mkdir(parents=True, exist_ok=True)
    environment = private_environment()
    parameters = ["--params-file", args.params_file] if args.params_file else []
    say(f"camera      {description}")
    say(f"middleware  DDS domain {environment.domain_id}, loopback; camera {_IMAGE}, node /poses")
    with (
        stop_signals() as stop,
        source,
        running_node(environment, args.output / "node.log", parameters) as node,
        BagWriter(args.output / "demo.mcap") as bag,
        Participant("alphapose_demo", "/", environment) as participant,
    ):
        camera = CameraPublisher(
            participant.publisher,
            participant.messages,
            _IMAGE,
            compressed=True,
            field_of_view_deg=_FIELD_OF_VIEW_DEG,
        )
        recorder = Recorder(participant, bag, _IMAGE)
        participant.start()
        _await_node(camera, recorder, node, stop)
        begin = time.monotonic()
        sent = _play(source, args, camera, recorder, node, stop)
        seconds = time.monotonic() - begin
        answers = recorder.answers
        participant.stop()
        video = VideoWriter(args.output / "demo.mp4", args.rate or source.fps)
        recorder.write_video(video, live=source.live)
        video.close()
    say()
    say(table(summary(answers, sent, seconds)))
    say()
    say(f"video       {video.path}")
    say(f"bag         {bag.path}")
    if not any(len(answer.result.tracks) for answer in answers):
        warn(f"no poses came back; see {args.output / 'node.log'}")
        return 1
    return 0


def _await_node(
    camera: CameraPublisher, recorder: Recorder, node: NodeProcess, stop: Event
) -> None:
    say("waiting for the node to load its networks ...")
    assert camera.image is not None
    assert camera.compressed is not None
    ends = camera.image, camera.compressed

    def met() -> bool:
        return all(end.matched for end in ends) and bool(recorder.poses.offers)

    if not _until(met, _PATIENCE_S, node, stop):
        why = "interrupted" if stop.is_set() else f"not discovered within {_PATIENCE_S:.0f} s"
        raise TransportError(f"the node: {why}")


def _play(
    source: Source,
    args: argparse.Namespace,
    camera: CameraPublisher,
    recorder: Recorder,
    node: NodeProcess,
    stop: Event,
) -> int:
    """Send all images; returns how many, once the last one is answered or given up."""
    limit_s = args.seconds or (_LIVE_S if source.live else float("inf"))
    begin, sent, stamp_ns, told = time.monotonic(), 0, 0, 0.0
    for frame in of_one_camera(paced(source, args.rate or source.fps, stop), _GIVE_ONE):
        node.check()
        stamp_ns = time.time_ns()
        camera.publish(frame, stamp_ns)
        sent += 1
        elapsed = time.monotonic() - begin
        if elapsed > told + 5:
            told = elapsed
            _tell(recorder, sent, source)
        if elapsed > limit_s:
            break
    last = stamp_ns
    _until(lambda: _answered(recorder, last), 3.0, node, stop)
    return sent


def _answered(recorder: Recorder, stamp_ns: int) -> bool:
    answers = recorder.answers
    return bool(answers) and answers[-1].result.header.stamp_ns >= stamp_ns


def _tell(recorder: Recorder, sent: int, source: Source) -> None:
    answers = recorder.answers
    people = len(answers[-1].result.tracks) if answers else 0
    of = f" of {source.frame_count}" if source.frame_count else ""
    say(f"  image {sent}{of}: {people} people, {len(answers)} answers")


def _until(
    condition: Callable[[], bool], timeout_s: float, node: NodeProcess, stop: Event
) -> bool:
    end = time.monotonic() + timeout_s
    while time.monotonic() < end and not stop.is_set():
        if condition():
            return True
        node.check()
        stop.wait(0.02)
    return False


if __name__ == "__main__":
    sys.exit(main())
