# SPDX-License-Identifier: Apache-2.0
"""``alphapose-ros view``: look at a live node without RViz."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alphapose_ros.base.errors import InputError
from alphapose_ros.cli.console import Commands, add_command, say, table
from alphapose_ros.cli.node import parse_remaps
from alphapose_ros.cli.viewers import add_viewer_options, open_viewer, serve_until_interrupted

if TYPE_CHECKING:
    from alphapose_ros.base.records import Frame, FrameResult, Spatial
    from alphapose_ros.dds.names import NodeNames
    from alphapose_ros.dds.viewing import CameraView
    from alphapose_ros.front.config import NodeConfig
    from alphapose_ros.io.viewer import ViewerStream
    from alphapose_ros.io.viewer_process import ViewerProcess

_POLL_S = 0.2

_EXAMPLES = """\
Listens to a node's images, poses and skeleton over DDS and shows them: the picture with everybody
in it, people in space where the node knows, how many there are and how late they come. Beside
either front; needs no networks and no ROS 2. Give the names as they were given to the node.

examples:
  alphapose-ros view image:=/front/image_raw
  alphapose-ros view --params-file robot.yaml --web --host 0.0.0.0   a browser elsewhere
  alphapose-ros view image:=/front/image_raw --compressed --rrd seen.rrd
  alphapose-ros view seen.rrd                                        what was recorded
"""


def register(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "view",
        "Show what a live node sees, or a recording, without RViz.",
        epilog=_EXAMPLES,
    )
    parser.set_defaults(handler=run)
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME:=TOPIC",
        help="remapped topics, such as image:=/cam; or one recording to open (seen.rrd)",
    )
    parser.add_argument(
        "--params-file", metavar="FILE", help="the node's parameters, for its cameras"
    )
    parser.add_argument(
        "--compressed", action="store_true", help="take the images from IMAGE/compressed"
    )
    parser.add_argument("--rrd", metavar="FILE", help="also write a recording (seen.rrd)")
    parser.add_argument(
        "--no-view", action="store_true", help="with --rrd: record, open no viewer"
    )
    parser.add_argument("--seconds", type=float, metavar="S", help="end after so long")
    add_viewer_options(parser.add_argument_group("viewer"))


def run(args: argparse.Namespace) -> int:
    """Listen and show until interrupted, or until the window is closed."""
    if len(args.names) == 1 and args.names[0].endswith(".rrd"):
        return _open_recording(args, Path(args.names[0]))
    return _watch(args)


def _open_recording(args: argparse.Namespace, path: Path) -> int:
    if args.rrd or args.no_view:
        raise InputError(f"{path}: expected no --rrd or --no-view with a recording to open")
    if not path.is_file():
        raise InputError(f"{path}: no such recording")
    with open_viewer(args, path) as viewer:
        serve_until_interrupted(viewer)
    return 0


def _watch(args: argparse.Namespace) -> int:
    from alphapose_ros.cli.output_files import spare_inputs
    from alphapose_ros.dds.names import NodeNames
    from alphapose_ros.front.signals import stop_signals
    from alphapose_ros.io.viewer import ViewerStream

    if args.no_view and not args.rrd:
        raise InputError("--no-view: expected --rrd FILE with it")
    if args.seconds is not None and not args.seconds > 0:
        raise InputError(f"--seconds: expected more than 0, got {args.seconds:g}")
    spare_inputs({"rrd": args.rrd}, (args.params_file,))
    names = NodeNames(remaps=parse_remaps(args.names))
    config = _node_config(args, names)
    recording: ViewerStream | None = None
    with stop_signals() as stop, ExitStack() as stack:
        streams: list[ViewerStream] = []
        viewer: ViewerProcess | None = None
        if args.rrd:
            recording = stack.enter_context(ViewerStream(path=Path(args.rrd)))
            streams.append(recording)
        if not args.no_view:
            viewer = stack.enter_context(open_viewer(args))
            streams.append(stack.enter_context(ViewerStream(url=viewer.url)))

        def over(after_s: float) -> bool:
            left = args.seconds is not None and after_s >= args.seconds
            return left or (viewer is not None and not viewer.running) or stop.wait(_POLL_S)

        views = _listen(config, names, streams, over)
    say(_summary(views))
    if recording is not None and not recording.empty:
        say(f"recording  {recording.path}")
    return 0


def _listen(
    config: NodeConfig,
    names: NodeNames,
    streams: list[ViewerStream],
    over: Callable[[float], bool],
) -> list[CameraView]:
    """Show what comes until it is ``over``, which is asked with the seconds since the start."""
    from alphapose_ros.dds.environment import RosEnvironment
    from alphapose_ros.dds.participant import Participant
    from alphapose_ros.dds.viewing import CameraView, ViewTopics

    environment = RosEnvironment.from_variables(os.environ)

    def show(result: FrameResult, frame: Frame | None, spatial: Spatial | None) -> None:
        for stream in streams:
            stream.write(result, frame, spatial)

    with Participant(f"{names.name}_viewer", names.full_namespace, environment) as participant:
        views = [
            CameraView(participant, ViewTopics.of(config, camera, names), show)
            for camera in config.cameras
        ]
        for view in views:
            say(f"{view.topics.camera:10} {view.topics.image}, {view.topics.poses}")

        def tick() -> None:
            for view in views:
                view.tell_silence()

        participant.start(tick)
        began = time.monotonic()
        while not over(time.monotonic() - began):
            participant.raise_failure()
    return views


def _node_config(args: argparse.Namespace, names: NodeNames) -> NodeConfig:
    from dataclasses import replace

    from alphapose_ros.config import read_parameters, split_parameters
    from alphapose_ros.front.config import NodeConfig

    values: dict[str, Any] = {}
    if args.params_file:
        values = read_parameters(Path(args.params_file), names.name, names.full_namespace)
    config = NodeConfig.from_parameters(split_parameters(values)[1])
    return replace(config, image_transport="compressed") if args.compressed else config


def _summary(views: list[CameraView]) -> str:
    rows = [
        (view.topics.camera, view.counts.images, view.counts.poses, view.counts.pairs)
        for view in views
    ]
    return table(rows, ["camera", "images", "poses", "with image"])
