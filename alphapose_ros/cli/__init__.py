# SPDX-License-Identifier: Apache-2.0
"""The command line: ``alphapose-ros COMMAND``.

Exit codes: 0 done, 1 failure, 2 bad usage or bad input (one line on stderr), 130 interrupted,
143 terminated.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from alphapose_ros import __version__
from alphapose_ros.base.errors import AlphaPoseError
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
from alphapose_ros.cli.endings import interruptible

COMMANDS = (run, batch, node, view, play, predict, train, evaluate, models, bench, doctor)
BAD_INPUT, INTERRUPTED, READER_LEFT = 2, 130, 141

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
    args = build_parser().parse_args(argv)
    level = logging.DEBUG if args.verbose else logging.INFO
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s")
    try:
        with interruptible(last=argv is None):
            code: int = args.handler(args)
            sys.stdout.flush()  # here, where a reader that left is known
            return code
    except AlphaPoseError as error:
        sys.stderr.write(f"alphapose-ros: {' '.join(str(error).split())}\n")
        return BAD_INPUT
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == __package__.partition(".")[0]:
            raise  # a file of this package is missing: a broken install, show where
        sys.stderr.write(
            f"alphapose-ros: the Python package {error.name!r} is not installed; "
            "alphapose-ros doctor says how to get what is missing\n"
        )
        return BAD_INPUT
    except BrokenPipeError:  # the reader, head for instance, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_LEFT
    except OSError as error:
        if error.filename is None:  # not about a file: a bug or a broken machine, show where
            raise
        sys.stderr.write(f"alphapose-ros: {error.filename}: {error.strerror}\n")
        return BAD_INPUT
    except KeyboardInterrupt:
        sys.stderr.write("alphapose-ros: interrupted\n")
        return INTERRUPTED
