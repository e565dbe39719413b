# SPDX-License-Identifier: Apache-2.0
"""``alphapose-ros eval pose|detector|jitter|reid|tracking``: with annotations or a recording."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alphapose_ros.base.errors import InputError
from alphapose_ros.cli.console import (
    Commands,
    add_command,
    add_pipeline_options,
    say,
    table,
    ticking,
)
from alphapose_ros.cli.eval_reid import add_reid_options, check_reid, reid_files, run_reid
from alphapose_ros.cli.eval_tracking import (
    add_tracking_options,
    check_tracking,
    run_tracking,
    tracking_files,
)
from alphapose_ros.cli.recordings import check_max_frames, recorded, with_pose_weights

if TYPE_CHECKING:
    from alphapose_ros.config import PipelineConfig
    from alphapose_ros.eval.detection import FoundPeople
    from alphapose_ros.eval.report import Report

_EXAMPLES = """\
pose      joints in the annotated person boxes: mean OKS, AP and AR per part, PCK, face and hand
          errors, quality of the scores, each joint of a skeleton of your own; with
          --detected the people that the detector finds, too
detector  person boxes: AP, AP50, recall and precision
jitter    how much the joints of tracked people tremble in a video, without annotations
reid      who is found again, also where boxes change, with attention and without: of people
          with identities, or of annotated people who were seen once
tracking  identities: MOTA, IDF1, HOTA, switches, fragments; of results, or of a tracked video

examples:
  alphapose-ros eval pose --annotations val.json --images images/ --json pose.json
  alphapose-ros eval pose --annotations val.json --images images/ --detected --gallery worst/
  alphapose-ros eval detector --annotations val.json --images images/ --plot detector.png
  alphapose-ros eval jitter clip.mp4
  alphapose-ros eval reid --identities market/bounding_box_test --queries market/query
  alphapose-ros eval tracking --truth gt.txt --results results.txt
  alphapose-ros eval tracking clip.mp4 --truth gt.txt --plot tracking.png
"""


def register(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "eval",
        "Measure poses or boxes on annotated images (COCO), jitter or identities in videos.",
        epilog=_EXAMPLES,
    )
    parser.set_defaults(handler=run)
    parser.add_argument("what", choices=(*_MEASURES, "tracking"), help="what to measure")
    parser.add_argument(
        "video", nargs="?", metavar="VIDEO", help="jitter, tracking: the recording"
    )
    parser.add_argument("--annotations", metavar="FILE", help="COCO-format file")
    parser.add_argument("--images", metavar="DIR", help="folder of its images")
    parser.add_argument("--json", metavar="FILE", help="write the numbers there too")
    parser.add_argument("--weights", metavar="FILE", help="weights to measure, as trained")
    parser.add_argument(
        "--plot", metavar="FILE", help="pose, detector, tracking: draw curves (.png or .svg)"
    )
    pose = parser.add_argument_group("pose")
    pose.add_argument(
        "--without",
        metavar="FIELD",
        help="leave out annotations in which FIELD is true, as lr_suspect",
    )
    pose.add_argument(
        "--feet", metavar="FILE", help="with the foot labels of this file (its list val)"
    )
    pose.add_argument(
        "--detected", action="store_true", help="also with the people that the detector finds"
    )
    pose.add_argument(
        "--gallery", metavar="DIR", help="write a page with the worst people of every part"
    )
    pose.add_argument("--worst", type=int, metavar="N", help="people per part there (default: 24)")
    parser.add_argument(
        "--teacher", metavar="FILE", help="detector: weights (or .onnx) to compare with"
    )
    parser.add_argument(
        "--max-frames", type=int, metavar="N", help="recordings: end after N frames"
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    add_reid_options(parser)
    add_tracking_options(parser)
    add_pipeline_options(parser)


def run(args: argparse.Namespace) -> int:
    """Measure, print, write."""
    from alphapose_ros.cli.output_files import spare_inputs
    from alphapose_ros.cli.pipelines import load_config
    from alphapose_ros.io.part import write_json
    from alphapose_ros.io.sinks import check_folder

    _check(args)
    spare_inputs({"json": args.json, "plot": args.plot}, _inputs(args))
    for path in filter(None, (args.json, args.plot)):
        check_folder(Path(path))
    config, _ = load_config(args)
    if args.what == "tracking":
        run_tracking(args, config)
        return 0
    reports = _MEASURES[args.what](args, config)
    for report in reports:
        _print(report)
    if args.json:
        plain = {k: _plain(v) for report in reports for k, v in report.everything.items()}
        write_json(Path(args.json), plain)
    for report in reports:
        for make in report.pictures:
            make()
    return 0


def _check(args: argparse.Namespace) -> None:
    for option, measures in _TAKEN_BY.items():
        given = getattr(args, option)
        if given is not None and given is not False and args.what not in measures:
            name, wanted = option.replace("_", "-"), " or ".join(measures)
            raise InputError(f"--{name}: expected eval {wanted}, got {args.what}")
    if args.worst is not None and not args.gallery:
        raise InputError("--worst: expected --gallery DIR with it")
    if args.plot:
        from alphapose_ros.eval.panels import check_plot

        check_plot(Path(args.plot))
    if args.what == "tracking":
        check_tracking(args)
        return
    if args.what == "jitter":
        if not args.video:
            raise InputError("eval jitter: expected a recording, as in: eval jitter clip.mp4")
        check_max_frames(args)
        return
    if args.video:
        raise InputError(f"eval {args.what}: expected no recording, got {args.video}")
    if args.what == "reid":
        check_reid(args)
        if args.identities:
            return
    if not args.annotations or not args.images:
        raise InputError(f"eval {args.what}: expected --annotations FILE and --images DIR")
    if not Path(args.annotations).is_file():
        raise InputError(f"{args.annotations}: no such annotation file")
    if not Path(args.images).is_dir():
        raise InputError(f"{args.images}: no such folder of images")
    if args.worst is not None and args.worst < 1:
        raise InputError(f"--worst: expected at least 1, got {args.worst}")
    if args.gallery and Path(args.gallery).exists() and not Path(args.gallery).is_dir():
        raise InputError(f"--gallery: expected a folder, got the file {args.gallery}")


def _inputs(args: argparse.Namespace) -> list[str | Path | None]:
    """What is read, as far as it is named; of folders of truths and results their files."""
    named = ("annotations", "feet", "video", "weights", "teacher", "params_file")
    read: list[str | Path | None] = [getattr(args, each) for each in named]
    read += reid_files(args)
    if args.what == "tracking":
        read += tracking_files(args)
    return read


def _print(report: Report) -> None:
    from alphapose_ros.eval.detection import format_measures
    from alphapose_ros.eval.report import JOINT_HEADER, PART_HEADER

    say(report.title)
    say(format_measures(report.numbers))
    for header, rows in (
        (PART_HEADER, report.part_rows()),
        (JOINT_HEADER, report.joint_rows()),
    ):
        if rows:
            filled = [k for k in range(len(header)) if any(row[k] for row in rows)]
            say()
            say(table([[row[k] for k in filled] for row in rows], [header[k] for k in filled]))
    say()


def _pose(args: argparse.Namespace, config: PipelineConfig) -> Sequence[Report]:
    from alphapose_ros.cli.eval_pose import run_pose

    return run_pose(args, config)


def _detector(args: argparse.Namespace, config: PipelineConfig) -> Sequence[Report]:
    from alphapose_ros.detection.config import DetectorConfig
    from alphapose_ros.detection.factory import create_detector
    from alphapose_ros.eval.detection import evaluate_detector, evaluation_config
    from alphapose_ros.eval.report import Report
    from alphapose_ros.pipeline import prepared_runtime
    from alphapose_ros.runtime.devices import choose_device

    device = choose_device(config.device)
    chosen = replace(config.detector, weights=args.weights) if args.weights else config.detector
    teacher = None
    if args.teacher:
        name = "onnx" if args.teacher.endswith(".onnx") else "yolox"
        teacher = create_detector(
            evaluation_config(DetectorConfig(name=name, weights=args.teacher)), device
        )
    seen: list[FoundPeople] = []
    with ticking(" images", quiet=args.quiet) as tick:
        numbers = evaluate_detector(
            create_detector(evaluation_config(chosen), device, prepared_runtime(config, device)),
            Path(args.annotations),
            Path(args.images),
            teacher=teacher,
            device=device,
            on_image=tick,
            on_found=seen.append,
        )
    title = f"{args.annotations}: person boxes"

    def plot() -> None:
        from alphapose_ros.eval.panels import draw
        from alphapose_ros.eval.plots import detector_panels

        draw(detector_panels(seen), Path(args.plot), title)
        say(f"plot: {args.plot}")

    return [Report(title, numbers, pictures=(plot,) if args.plot else ())]


def _jitter(args: argparse.Namespace, config: PipelineConfig) -> Sequence[Report]:
    from alphapose_ros.eval.jitter import measure_jitter, record_tracks
    from alphapose_ros.eval.report import Report
    from alphapose_ros.pipeline import PosePipeline

    with recorded(args) as (source, frames):
        pipeline = PosePipeline(with_pose_weights(config, args.weights))
        tracks, count = record_tracks(pipeline, frames)
        fps = source.fps
    title = (
        f"{args.video}: {count} frames at {fps:g} frames/s; joints of tracked people, "
        "per cent of the box height"
    )
    numbers = {"frames": count, "frames_per_second": fps}
    return [Report(title, numbers | measure_jitter(tracks, pipeline.skeleton))]


_TAKEN_BY = {  # an option that another measure would ignore is refused
    "plot": ("pose", "detector", "tracking"),
    "without": ("pose",),
    "feet": ("pose",),
    "detected": ("pose",),
    "gallery": ("pose",),
    "teacher": ("detector",),
    "truth": ("tracking",),
    "results": ("tracking",),
    "match": ("tracking",),
    "annotations": ("pose", "detector", "reid"),
    "images": ("pose", "detector", "reid"),
    "worst": ("pose",),
    "identities": ("reid",),
    "queries": ("reid",),
    "most": ("reid",),
    "max_frames": ("jitter", "tracking"),
}
_MEASURES: dict[str, Callable[[argparse.Namespace, PipelineConfig], Sequence[Report]]] = {
    "pose": _pose,
    "detector": _detector,
    "jitter": _jitter,
    "reid": run_reid,
}


def _plain(value: object) -> Any:
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, int):
        return int(value)
    number = float(value)  # type: ignore[arg-type]
    return number if math.isfinite(number) else None  # JSON has no NaN
