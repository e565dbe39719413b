# SPDX-License-Identifier: Apache-2.0
"""``alphapose-ros eval tracking``: identities against annotated ones."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from alphapose_ros.base.errors import InputError
from alphapose_ros.cli.console import say, table
from alphapose_ros.cli.recordings import check_max_frames, recorded, with_pose_weights

if TYPE_CHECKING:
    from alphapose_ros.config import PipelineConfig
    from alphapose_ros.eval.tracking import TrackSequence

_PERCENT = ("MOTA", "IDF1", "HOTA", "DetA", "AssA", "precision", "recall")
_COUNTS = {
    "switches": "switches",
    "fragmentations": "fragments",
    "false_positives": "false",
    "misses": "missed",
    "people": "people",
    "mostly_tracked": "mostly tracked",
    "mostly_lost": "mostly lost",
}


def add_tracking_options(parser: argparse.ArgumentParser) -> None:
    """The options that ``tracking`` alone has."""
    group = parser.add_argument_group("tracking")
    group.add_argument(
        "--truth",
        metavar="PATH",
        help="MOT's gt.txt, PoseTrack18's JSON, or a folder of sequences",
    )
    group.add_argument(
        "--results",
        metavar="PATH",
        help="what is to be measured: MOT's text, PoseTrack18's JSON, JSON lines of `run --json`, "
        "or a folder of them; without it VIDEO is tracked",
    )
    group.add_argument(
        "--match",
        choices=("boxes", "poses"),
        help="what is compared: boxes by IoU 0.5 (default), or poses by OKS 0.5",
    )


def check_tracking(args: argparse.Namespace) -> None:
    """Refuse options that do not fit together.

    Raises:
        InputError: what was expected and what came.
    """
    if not args.truth:
        raise InputError("eval tracking: expected --truth FILE or FOLDER")
    if bool(args.video) == bool(args.results):
        came = "both" if args.video else "neither"
        raise InputError(f"eval tracking: expected --results or a VIDEO to track, got {came}")
    for name in ("weights", "max-frames") if args.results else ():
        if getattr(args, name.replace("-", "_")) is not None:
            raise InputError(f"--{name}: expected a VIDEO to track with it, got --results")
    check_max_frames(args)


def tracking_files(args: argparse.Namespace) -> list[str | Path | None]:
    """The files of ``--truth`` and ``--results``; of a folder of results those with a truth."""
    truth, results = Path(args.truth), Path(args.results or "")
    read: list[str | Path | None] = [args.truth, args.results]
    if truth.is_dir():
        read += truth.rglob("*.*")
        if args.results and results.is_dir():
            names = {path.stem for path in truth.iterdir()}
            read += (path for path in results.iterdir() if path.stem in names)
    return read


def run_tracking(args: argparse.Namespace, config: PipelineConfig) -> None:
    """Measure, print, write sequence -> measure -> value (shares of 1), and draw."""
    from alphapose_ros.eval.track_metrics import measures
    from alphapose_ros.eval.tracking import count_tracking, read_sequences
    from alphapose_ros.io.part import write_json

    if args.video:
        sequences = [_track(args, config)]
    else:
        sequences = read_sequences(Path(args.truth), Path(args.results))
    match = args.match or "boxes"
    counts = count_tracking(sequences, match)
    numbers = {name: measures(each) for name, each in counts.items()}
    by = "boxes by IoU" if match == "boxes" else "poses by OKS"
    say(f"{args.truth}: identities, {by} 0.5; shares in per cent")
    rows = [
        [name, *(f"{100 * row[k]:.1f}" for k in _PERCENT), *(int(row[k]) for k in _COUNTS)]
        for name, row in numbers.items()
    ]
    say(table(rows, ["sequence", *_PERCENT, *_COUNTS.values()]))
    if args.json:
        write_json(Path(args.json), numbers)
    if args.plot:
        from alphapose_ros.eval.panels import draw
        from alphapose_ros.eval.plots import tracking_panels

        draw(tracking_panels(counts), Path(args.plot), f"{args.truth}: {by} 0.5")
        say(f"plot: {args.plot}")


def _track(args: argparse.Namespace, config: PipelineConfig) -> TrackSequence:
    """Run the pipeline over the recording."""
    from alphapose_ros.eval.track_files import from_tracks
    from alphapose_ros.eval.tracking import read_truth
    from alphapose_ros.io.bag import BagSource
    from alphapose_ros.io.sources import ImageSource
    from alphapose_ros.pipeline import PosePipeline

    sequence = read_truth(Path(args.truth))
    with recorded(args) as (source, frames):
        pipeline = PosePipeline(with_pose_weights(config, args.weights))
        results = [pipeline(frame).tracks for frame in frames]
    # Frames would be others than the truth's; what a video announces says nothing of them.
    if isinstance(source, (ImageSource, BagSource)) and source.problems:
        raise InputError(f"{args.video}: expected all images of the truth, {source.problems[0]}")
    truth = sequence.truth
    if args.max_frames is not None:
        truth = truth[truth.frames < len(results)]
    name = Path(args.video).stem
    return replace(sequence, name=name, truth=truth, results=from_tracks(results))
