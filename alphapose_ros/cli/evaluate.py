# SPDX-License-Identifier: Apache-2.0
"""``alphapose-ros eval pose|detector``: measured against annotations."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alphapose_ros.base.errors import InputError
from alphapose_ros.cli.console import (
    Commands,
    add_command,
    add_pipeline_options,
    say,
    table,
)

if TYPE_CHECKING:
    from alphapose_ros.pipeline import PosePipeline

Numbers = dict[str, Any]

_EXAMPLES = """\
pose      joints in the annotated person boxes: mean OKS, AP, PCK, face and hand errors
detector  person boxes: AP, AP50, recall and precision

examples:
  alphapose-ros eval pose --annotations val.json --images images/ --json pose.json
  alphapose-ros eval detector --annotations val.json --images images/
"""


def register(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "eval",
        "Measure the pose network or the detector on annotated images (COCO format).",
        epilog=_EXAMPLES,
    )
    parser.set_defaults(handler=run)
    parser.add_argument("what", choices=tuple(_MEASURES), help="what to measure")
    parser.add_argument("--annotations", required=True, metavar="FILE", help="COCO-format file")
    parser.add_argument("--images", required=True, metavar="DIR", help="folder of its images")
    parser.add_argument("--json", metavar="FILE", help="write the numbers there too")
    parser.add_argument(
        "--without",
        metavar="FIELD",
        help="pose: leave out annotations in which FIELD is true, as lr_suspect",
    )
    add_pipeline_options(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, print, write."""
    from alphapose_ros.cli.pipelines import make_pipeline
    from alphapose_ros.io.sinks import check_folder

    if not Path(args.annotations).is_file():
        raise InputError(f"{args.annotations}: no such annotation file")
    if not Path(args.images).is_dir():
        raise InputError(f"{args.images}: no such folder of images")
    if args.json:
        check_folder(Path(args.json))
    numbers = _MEASURES[args.what](args, make_pipeline(args))
    say(table([(name, _text(value)) for name, value in numbers.items()]))
    if args.json:
        text = json.dumps({name: _plain(value) for name, value in numbers.items()}, indent=2)
        Path(args.json).write_text(text + "\n", encoding="utf-8")
    return 0


def _pose(args: argparse.Namespace, pipeline: PosePipeline) -> Numbers:
    from alphapose_ros.eval.pose import evaluate_pose

    return dict(
        evaluate_pose(
            pipeline.estimator,
            Path(args.annotations),
            Path(args.images),
            keep=lambda annotation: not (args.without and annotation.get(args.without)),
        )
    )


def _detector(args: argparse.Namespace, pipeline: PosePipeline) -> Numbers:
    from alphapose_ros.eval.detection import evaluate_detector

    return dict(evaluate_detector(pipeline.detector, Path(args.annotations), Path(args.images)))


_MEASURES: dict[str, Callable[[argparse.Namespace, PosePipeline], Numbers]] = {
    "pose": _pose,
    "detector": _detector,
}


def _text(value: Any) -> str:
    if isinstance(value, (tuple, list)):
        return " .. ".join(_text(item) for item in value)
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    number = float(value)
    if not math.isfinite(number):  # JSON has no NaN
        return None
    return int(value) if isinstance(value, int) else number
