# SPDX-License-Identifier: Apache-2.0
"""The command line: ``alphapose-ros COMMAND``.

Exit codes: 0 done, 1 failure, 2 bad usage or bad input (one line on stderr), 130 interrupted,
141 nobody reads any more, 143 terminated.
"""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Sequence

from alphapose_ros import __version__
from alphapose_ros.cli import (
    batch,
    bench,
    doctor,
    evaluate,
    models,
    node,
    play,
    predict,
    run,
    train,
    view,
)
from alphapose_ros.cli.endings import exit_code, interruptible

COMMANDS = (run, batch, node, view, play, predict, train, evaluate, models, bench, doctor)

_EXAMPLES = """\
examples:
  alphapose-ros run clip.mp4 --video out.mp4 --json out.jsonl
  alphapose-ros run 0 --show                          the first camera, in a window
  alphapose-ros node image:=/front/image_raw          the live node
  alphapose-ros view image:=/front/image_raw          what it sees, without RViz
  alphapose-ros predict photos/ --output poses.json   single images, no tracking
  alphapose-ros doctor                                what is installed and what is missing

Every command explains itself: alphapose-ros COMMAND --help
"""


def build_parser() -> argparse.ArgumentParser:
    """The parser with all commands; nothing heavy is imported for it."""
    parser = argparse.ArgumentParser(
        prog="alphapose-ros",
        description="Find people in images, estimate their whole-body poses and keep their "
        "identities: live on a robot, on recordings, or on single images.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"alphapose_ros {__version__}")
    parser.add_argument("-v", "--verbose", action="store_true", help="log more of what happens")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for command in COMMANDS:
        command.register(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit code. ``argv`` without the program's name."""
    # OpenCV and FFmpeg write decoder chatter to stderr that buries the one line that matters.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    # A small file can promise a picture of gigabytes; OpenCV's own limit is four times as much.
    os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(1 << 28))
    with interruptible(last=argv is None):
        return exit_code(lambda: _run(argv))


def _run(argv: Sequence[str] | None) -> int:
    args = build_parser().parse_args(argv)
    level = logging.DEBUG if args.verbose else logging.INFO
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s")
    code: int = args.handler(args)
    return code
