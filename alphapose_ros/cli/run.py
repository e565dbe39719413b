# SPDX-License-Identifier: Apache-2.0
"""``alphapose-ros run``: people in a recording or a live camera, tracked, drawn and written."""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING

from alphapose_ros.base.errors import InputError
from alphapose_ros.cli.console import (
    Commands,
    add_command,
    add_pipeline_options,
    progress,
    say,
    table,
    warn,
)
from alphapose_ros.cli.endings import signals_wait
from alphapose_ros.cli.viewers import add_viewer_options, open_viewer, serve_until_interrupted

if TYPE_CHECKING:
    from alphapose_ros.base.records import Frame, FrameResult
    from alphapose_ros.cli.outputs import Outputs
    from alphapose_ros.io.source_base import Source
    from alphapose_ros.pipeline import PosePipeline

_EXAMPLES = """\
SOURCE is a camera index (0), a device (/dev/video2), a stream (rtsp://...), a video, an image,
a folder of images, or a bag (rosbag2 folder, .mcap, .db3, ROS 1's .bag). A recording is processed
frame by frame, none dropped, and gives the same result every time; a live source gives its newest
frame.

examples:
  alphapose-ros run clip.mp4 --video out.mp4 --json out.jsonl
  alphapose-ros run recording/ --topic /front/image_raw --bag people.mcap
  alphapose-ros run 0 --show --preset nano --device cuda
"""


def register(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "run",
        "Track people in a video, camera, folder or bag. Write what was seen.",
        epilog=_EXAMPLES,
    )
    parser.set_defaults(handler=run)
    parser.add_argument("source", metavar="SOURCE", help="what to look at, see below")
    outputs = parser.add_argument_group(
        "outputs, any of them",
        "Files and bag get their names when they are complete; a killed process leaves a "
        ".part of each.",
    )
    outputs.add_argument("--video", metavar="FILE", help="annotated video, such as out.mp4")
    outputs.add_argument("--json", metavar="FILE", help="one JSON line per frame")
    outputs.add_argument(
        "--bag",
        metavar="BAG",
        help="bag with poses, skeleton and annotated images: one file (out.mcap, out.db3), or a "
        "new rosbag2 folder under any other name",
    )
    outputs.add_argument(
        "--bag-storage",
        choices=("mcap", "sqlite3"),
        default="mcap",
        help="of a rosbag2 folder (default: mcap)",
    )
    outputs.add_argument("--rrd", metavar="FILE", help="recording for the Rerun viewer (out.rrd)")
    outputs.add_argument("--show", action="store_true", help="live window; q or Esc ends")
    outputs.add_argument(
        "--view", action="store_true", help="live Rerun viewer, with a past to go back to"
    )
    inputs = parser.add_argument_group("input")
    inputs.add_argument("--topic", help="image topic of a bag (default: every camera in it)")
    inputs.add_argument("--camera-name", metavar="NAME", help="name of the camera in the outputs")
    inputs.add_argument("--max-frames", type=int, metavar="N", help="end after N frames")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    add_viewer_options(parser.add_argument_group("viewer, with --view"))
    add_pipeline_options(parser)


def run(args: argparse.Namespace) -> int:
    """Process the source; the outputs are complete files also when it breaks or is interrupted."""
    from alphapose_ros.cli.output_files import FILES, check_files, spare_inputs
    from alphapose_ros.cli.outputs import open_outputs
    from alphapose_ros.cli.pipelines import make_pipeline
    from alphapose_ros.io.sources import open_source

    if args.max_frames is not None and args.max_frames < 1:
        raise InputError(f"--max-frames: expected at least 1, got {args.max_frames}")
    spare_inputs({each: getattr(args, each) for each in FILES}, (args.source, args.params_file))
    check_files(args)
    statistics = RunStatistics()
    with ExitStack() as looking:
        viewer = looking.enter_context(open_viewer(args)) if args.view else None
        with ExitStack() as stack:
            source = stack.enter_context(open_source(args.source, topic=args.topic))
            pipeline = make_pipeline(args)
            with signals_wait():
                outputs = open_outputs(args, source, pipeline.skeleton, viewer)
                stack.callback(_report, source, statistics, outputs)
                stack.callback(_close, outputs)
            statistics.begin()
            _loop(source, pipeline, outputs.write, statistics, args)
        if viewer is not None:
            serve_until_interrupted(viewer)
    return 0


def _loop(
    source: Source,
    pipeline: PosePipeline,
    write: Callable[[Frame, FrameResult], bool],
    statistics: RunStatistics,
    args: argparse.Namespace,
) -> None:
    from alphapose_ros.io.source_base import of_one_camera

    total = source.frame_count
    if args.max_frames is not None:
        total = min(total or args.max_frames, args.max_frames)
    frames: Iterable[Frame] = progress(source, total=total, unit=" frames", quiet=args.quiet)
    if args.camera_name:
        # Under one name several would be tracked as one.
        frames = of_one_camera(frames, "choose one with --topic", "--camera-name")
    for number, frame in enumerate(frames, start=1):
        if args.camera_name:
            frame = dataclasses.replace(frame, camera=args.camera_name)
        start = time.perf_counter()
        result = pipeline(frame)
        seconds = time.perf_counter() - start
        with signals_wait():  # a frame is counted and in all outputs, or not and in none
            statistics.add(result, seconds)  # before: some of a full disk's outputs have it
            go_on = write(frame, result)
        if not go_on or number == args.max_frames:
            break


def _close(outputs: Outputs) -> None:
    with signals_wait():
        outputs.close()


def _report(source: Source, statistics: RunStatistics, outputs: Outputs) -> None:
    for problem in source.problems:
        warn(f"{source.name}: {problem}")
    if statistics.frames:
        say(statistics.text())
        for line in outputs.summary():
            say(line)


class RunStatistics:
    """What the table at the end says."""

    def __init__(self) -> None:
        self._seconds: list[float] = []
        self._people: list[int] = []
        self._identities: set[int] = set()
        self._began = self._ended = time.perf_counter()

    def begin(self) -> None:
        """The clock of frames per second starts here, after the models are loaded."""
        self._began = self._ended = time.perf_counter()

    def add(self, result: FrameResult, seconds: float) -> None:
        """One more frame, which took the pipeline so long."""
        from alphapose_ros.base.records import TrackState

        tracks = result.tracks
        self._seconds.append(seconds)
        self._people.append(int((tracks.states != TrackState.LOST).sum()))
        self._identities.update(int(identity) for identity in tracks.ids if identity > 0)
        self._ended = time.perf_counter()

    @property
    def frames(self) -> int:
        """Frames so far."""
        return len(self._seconds)

    def text(self) -> str:
        """The table, of one frame or more."""
        import numpy as np

        frames = self.frames
        p50, p95 = np.percentile(self._seconds, [50, 95]) * 1e3
        whole = max(self._ended - self._began, 1e-9)
        return table(
            [
                ("frames", str(frames)),
                ("people", f"{np.mean(self._people):.1f} a frame, at most {max(self._people)}"),
                ("identities", str(len(self._identities))),
                ("speed", f"{frames / whole:.1f} frames/s with reading and writing"),
                ("per frame", f"p50 {p50:.1f} ms, p95 {p95:.1f} ms in the pipeline"),
            ]
        )
