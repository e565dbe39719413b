# SPDX-License-Identifier: Apache-2.0
"""``alphapose-ros bench``: how fast it is on this machine, and where the time goes."""

from __future__ import annotations

import argparse
from pathlib import Path

from alphapose_ros.base.errors import InputError
from alphapose_ros.cli.console import Commands, add_command, add_pipeline_options, say

_EXAMPLES = """\
Without --image three people are made from scikit-image's astronaut (public domain), 640x480.
The pipeline and its bare networks (detector, pose, re-identification) on the same inputs run in
turn, so that a busy machine slows both; medians are given.

examples:
  alphapose-ros bench
  alphapose-ros bench --image street.jpg --frames 200 --threads 2
"""


def register(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "bench",
        "Frames per second on this machine, each stage's share, and the overhead.",
        epilog=_EXAMPLES,
    )
    parser.set_defaults(handler=run)
    parser.add_argument("--image", metavar="FILE", help="image to run on, at its own size")
    parser.add_argument("--frames", type=int, default=60, metavar="N", help="default: 60")
    parser.add_argument("--json", metavar="FILE", help="write the numbers there too")
    parser.add_argument("--plot", metavar="FILE", help="draw each stage's share (.png or .svg)")
    add_pipeline_options(parser)


def run(args: argparse.Namespace) -> int:
    """Measure and print."""
    from alphapose_ros.cli.output_files import spare_inputs
    from alphapose_ros.cli.pipelines import make_pipeline
    from alphapose_ros.eval.bench_scene import three_people
    from alphapose_ros.eval.benchmark import run_benchmark
    from alphapose_ros.eval.panels import check_plot, draw
    from alphapose_ros.eval.plots import stage_panels
    from alphapose_ros.io.part import write_json
    from alphapose_ros.io.sinks import check_folder
    from alphapose_ros.io.sources import read_image

    if args.frames < 1:
        raise InputError(f"--frames: expected at least 1, got {args.frames}")
    spare_inputs({"json": args.json, "plot": args.plot}, (args.image, args.params_file))
    if args.plot:
        check_plot(Path(args.plot))
        check_folder(Path(args.plot))
    image = read_image(Path(args.image)) if args.image else three_people()
    report = run_benchmark(make_pipeline(args), image, frames=args.frames)
    say(report.text())
    if args.json:
        write_json(Path(args.json), report.numbers())
    if args.plot:
        title = report.text().partition("\n")[0]
        draw(stage_panels(report.frame_ms, report.stages_ms), Path(args.plot), title)
        say(f"plot: {args.plot}")
    return 0
