# SPDX-License-Identifier: Apache-2.0
"""``alphapose-ros play``: a recording as a camera on the middleware."""

from __future__ import annotations

import argparse

from alphapose_ros.base.errors import InputError
from alphapose_ros.cli.console import Commands, add_command, say

_EXAMPLES = """\
examples:
  alphapose-ros play clip.mp4 --topic /front/image_raw --rate 10
  alphapose-ros play 0 --compressed                   a USB camera, as JPEG
  alphapose-ros play recording/ --camera /front/image_raw    one of a bag's cameras
"""


def register(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "play",
        "Publish a recording or a camera as images on the middleware (dds front).",
        epilog=_EXAMPLES,
    )
    parser.set_defaults(handler=run)
    parser.add_argument("source", metavar="SOURCE", help="as for run")
    parser.add_argument("--topic", default="image", help="topic to publish on (default: image)")
    parser.add_argument(
        "--camera", metavar="TOPIC", help="image topic of a bag that has several cameras"
    )
    parser.add_argument(
        "--rate", type=float, metavar="HZ", help="images per second (default: the recording's)"
    )
    parser.add_argument(
        "--compressed", action="store_true", help="publish JPEG on TOPIC/compressed"
    )
    parser.add_argument("--loop", action="store_true", help="begin again at the end")


def run(args: argparse.Namespace) -> int:
    """Publish until the end of the source, or until interrupted."""
    if args.rate is not None and not args.rate > 0:
        raise InputError(f"--rate: expected images per second above 0, got {args.rate:g}")
    from alphapose_ros.dds.camera import play

    count = play(
        args.source,
        args.topic,
        camera=args.camera,
        rate=args.rate,
        compressed=args.compressed,
        loop=args.loop,
    )
    say(f"{count} images published")
    return 0
