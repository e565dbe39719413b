# SPDX-License-Identifier: Apache-2.0
"""``alphapose-ros eval pose|detector``: measured against annotations."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alphapose_ros.base.errors import InputError
from alphapose_ros.cli.console import Commands, add_command, add_pipeline_options, say, ticking

if TYPE_CHECKING:
    from alphapose_ros.config import PipelineConfig

Numbers = Mapping[str, Any]
Tick = Callable[[], object]

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
    parser.add_argument("--weights", metavar="FILE", help="weights to measure, as trained")
    parser.add_argument(
        "--without",
        metavar="FIELD",
        help="pose: leave out annotations in which FIELD is true, as lr_suspect",
    )
    parser.add_argument(
        "--teacher", metavar="FILE", help="detector: weights (or .onnx) to compare with"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    add_pipeline_options(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, print, write."""
    from alphapose_ros.cli.pipelines import load_config
    from alphapose_ros.io.sinks import check_folder

    if not Path(args.annotations).is_file():
        raise InputError(f"{args.annotations}: no such annotation file")
    if not Path(args.images).is_dir():
        raise InputError(f"{args.images}: no such folder of images")
    if args.json:
        check_folder(Path(args.json))
    config, _ = load_config(args)
    with ticking(" images", quiet=args.quiet) as tick:
        numbers = _MEASURES[args.what](args, config, tick)
    from alphapose_ros.eval.detection import format_measures

    say(format_measures(numbers))
    if args.json:
        text = json.dumps({name: _plain(value) for name, value in numbers.items()}, indent=2)
        Path(args.json).write_text(text + "\n", encoding="utf-8")
    return 0


def _pose(args: argparse.Namespace, config: PipelineConfig, tick: Tick) -> Numbers:
    from alphapose_ros.eval.pose import evaluate_pose
    from alphapose_ros.pipeline import choose_device
    from alphapose_ros.pose.factory import create_estimator

    chosen = replace(config.pose, weights=args.weights) if args.weights else config.pose
    device = choose_device(config.device)
    return evaluate_pose(
        create_estimator(chosen, device, config.runtime_on(device)),
        Path(args.annotations),
        Path(args.images),
        keep=lambda annotation: not (args.without and annotation.get(args.without)),
        device=device,
        on_image=tick,
    )


def _detector(args: argparse.Namespace, config: PipelineConfig, tick: Tick) -> Numbers:
    from alphapose_ros.detection.config import DetectorConfig
    from alphapose_ros.detection.factory import create_detector
    from alphapose_ros.eval.detection import evaluate_detector, evaluation_config
    from alphapose_ros.pipeline import choose_device

    device = choose_device(config.device)
    chosen = replace(config.detector, weights=args.weights) if args.weights else config.detector
    teacher = None
    if args.teacher:
        name = "onnx" if args.teacher.endswith(".onnx") else "yolox"
        teacher = create_detector(
            evaluation_config(DetectorConfig(name=name, weights=args.teacher)), device
        )
    return evaluate_detector(
        create_detector(evaluation_config(chosen), device, config.runtime_on(device)),
        Path(args.annotations),
        Path(args.images),
        teacher=teacher,
        device=device,
        on_image=tick,
    )


_MEASURES: dict[str, Callable[[argparse.Namespace, PipelineConfig, Tick], Numbers]] = {
    "pose": _pose,
    "detector": _detector,
}


def _plain(value: object) -> Any:
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, int):
        return int(value)
    number = float(value)  # type: ignore[arg-type]
    return number if math.isfinite(number) else None  # JSON has no NaN
