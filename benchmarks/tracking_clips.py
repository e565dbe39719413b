# SPDX-License-Identifier: Apache-2.0
"""Trackers compared on an excerpt of a real clip whose people were labelled by hand.

    python benchmarks/tracking_clips.py --clip vtest.avi --truth test/data/tracks_vtest.txt
    python benchmarks/tracking_clips.py ... [--every 2] [--results FOLDER] [--json numbers.json]

Detector, pose network, NMS and re-ID run once on each frame, from a second before the first label
to the last one; every tracker gets the same boxes and scores, and the same embeddings if it takes
any. What it says is judged on the labelled frames alone. Stamps are the clip's; ``--every`` leaves
frames out, as a slower camera would. Buffers are equal. BoT-SORT and one of our rows get the
camera's motion as this package estimates it; ours gets the embeddings that the pipeline would have
computed (``tracker.look_interval_s``), one of its rows all of them. One clip is one sample: there
are no intervals, and differences of a few points mean nothing.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tracking_rivals import Step, all_trackers, ours

from alphapose_ros.base.records import Frame
from alphapose_ros.cli.console import table
from alphapose_ros.config import PipelineConfig
from alphapose_ros.eval.crowd import CrowdFrame
from alphapose_ros.eval.crowd_scene import SeenPeople, Things
from alphapose_ros.eval.track_files import TrackRows, make_rows, read_mot, write_mot
from alphapose_ros.eval.track_metrics import Measures
from alphapose_ros.eval.tracking import TrackSequence, evaluate_tracking
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.io.sources import open_source
from alphapose_ros.pipeline import PosePipeline
from alphapose_ros.tracking.camera_motion import CameraMotion

PERCENT = ("HOTA", "IDF1", "MOTA", "AssA", "DetA", "recall", "precision")
COUNTS = ("switches", "fragmentations", "identities")
LEAD_S = 1.0  # before the first label, so that everybody is confirmed by then
STILL = np.eye(2, 3)


@dataclass(frozen=True)
class Seen:
    """What the networks found in one frame of the clip; ``number`` is the frame's, from 0."""

    number: int
    found: CrowdFrame


def wanted(truth: TrackRows, every: int) -> frozenset[int]:
    """Labelled frames that are among every ``every``-th one, counted from the first label."""
    frames = np.unique(truth.frames)
    return frozenset(frames[(frames - frames[0]) % every == 0].tolist())


def excerpt(clip: Path, labelled: frozenset[int], every: int) -> Iterator[tuple[int, Frame]]:
    """The frames to be looked at, in order, and their numbers."""
    first, last = min(labelled), max(labelled)
    with open_source(str(clip)) as source:
        begin = first - round(LEAD_S * (source.fps or 30.0))
        for number, frame in enumerate(source):
            if number > last:
                return
            if number >= begin and (number - first) % every == 0:
                yield number, frame


def look(pipeline: PosePipeline, frames: Iterator[tuple[int, Frame]]) -> list[Seen]:
    """Everything but the tracking, once a frame."""
    assert pipeline.embedder
    camera = CameraMotion()
    out: list[Seen] = []
    for number, frame in frames:
        batch = ImageBatch.upload([frame.image], pipeline.device)
        poses = pipeline.detect_and_estimate(batch)[0]
        poses = replace(poses, source=np.arange(len(poses)))  # rows of what trackers are given
        looks = pipeline.embedder(batch, [poses])[0]
        motion = camera.estimate(frame.image, poses.boxes)
        begin_ns = out[0].found.stamp_ns if out else frame.stamp_ns
        found = CrowdFrame(
            stamp_ns=frame.stamp_ns,
            time_s=(frame.stamp_ns - begin_ns) / 1e9,
            people=_nobody(),
            things=Things(np.zeros((0, 4), np.float32), np.zeros(0, np.float32)),
            poses=poses,
            appearance=looks,
            owners=np.zeros(len(poses), np.int64),
            motion=STILL if motion is None else motion,
            homography=np.eye(3),
            counted=np.zeros(0, bool),
        )
        out.append(Seen(number, found))
    return out


def _nobody() -> SeenPeople:
    """The truth lies in a file, for some frames."""
    number, point = np.zeros(0, np.int64), np.zeros((0, 17, 2), np.float32)
    box, share = np.zeros((0, 4), np.float32), np.zeros(0, np.float32)
    covered = np.zeros((0, 17), bool)
    return SeenPeople(number, number, point, covered, box, box, share, number, share)


def trackers(
    pipeline: PosePipeline, buffer_s: float, scale: float
) -> dict[str, Callable[[], Step]]:
    """Name -> maker of everything that is compared; ``scale`` of the embeddings' distances."""
    skeleton = pipeline.skeleton
    config = replace(pipeline.config.tracker, gallery_s=buffer_s)

    every_look = replace(config, look_interval_s=0.0)
    mine: dict[str, Callable[[], Step]] = {
        "ours": lambda: ours(config, skeleton, looks=True),
        "ours, everybody embedded": lambda: ours(every_look, skeleton, looks=True),
        "ours, camera motion": lambda: ours(config, skeleton, looks=True, moving=True),
        "ours without embeddings": lambda: ours(config, skeleton, looks=False),
    }
    return mine | {
        k: v for k, v in all_trackers(buffer_s, scale).items() if not k.startswith("ours")
    }


def follow(step: Step, seen: Sequence[Seen]) -> TrackRows:
    """What a tracker says: the detections with the identities it gives them."""
    parts = [make_rows([], [], [])]
    for each in seen:
        poses, identities = each.found.poses, step(each.found)
        named = identities > 0
        parts.append(
            make_rows(
                np.full(int(named.sum()), each.number),
                identities[named],
                poses.boxes[named],
                confidences=poses.box_scores[named],
            )
        )
    return TrackRows.concatenate(parts)


def compare(makers: dict[str, Callable[[], Step]], seen: Sequence[Seen]) -> dict[str, TrackRows]:
    """Tracker -> its rows; one that is not installed is named and left out."""
    out: dict[str, TrackRows] = {}
    for name, make in makers.items():
        try:
            out[name] = follow(make(), seen)
        except ImportError as error:
            print(f"{name}: left out, {error}")
    return out


def judge(
    results: dict[str, TrackRows], truth: TrackRows, labelled: frozenset[int]
) -> dict[str, Measures]:
    """Tracker -> its measures on the labelled frames; ``identities`` are those it gave there."""
    truth = truth[np.isin(truth.frames, sorted(labelled))]
    out: dict[str, Measures] = {}
    for name, rows in results.items():
        judged = evaluate_tracking([TrackSequence(name, truth, rows, labelled)])[name]
        given = np.unique(rows.ids[np.isin(rows.frames, sorted(labelled))])
        out[name] = {**judged, "identities": len(given)}
    return out


def print_table(numbers: dict[str, Measures]) -> None:
    """Shares in per cent."""
    rows = [
        [name, *(f"{100 * row[k]:.1f}" for k in PERCENT), *(int(row[k]) for k in COUNTS)]
        for name, row in numbers.items()
    ]
    print(table(rows, ["", *PERCENT, *COUNTS]))


def main() -> None:
    """Look, compare, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--truth", type=Path, required=True, help="MOT's gt.txt, some frames")
    parser.add_argument("--every", type=int, default=1, help="look at every n-th frame only")
    parser.add_argument("--buffer", type=float, default=60.0, help="s, of every tracker")
    parser.add_argument("--params-file", type=Path, help="of the pipeline; its defaults if absent")
    parser.add_argument("--results", type=Path, help="folder for each tracker's rows, MOT's text")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    config = PipelineConfig.from_file(args.params_file) if args.params_file else PipelineConfig()
    pipeline, truth = PosePipeline(config), read_mot(args.truth)
    labelled = wanted(truth, args.every)
    seen = look(pipeline, excerpt(args.clip, labelled, args.every))
    results = compare(trackers(pipeline, args.buffer, config.distance_scale), seen)
    numbers = judge(results, truth, labelled)
    asked = int(next(iter(numbers.values()))["true_boxes"])
    print(f"{args.clip.name}: {len(seen)} frames, {len(labelled)} labelled, {asked} boxes")
    print_table(numbers)
    if args.results:
        args.results.mkdir(parents=True, exist_ok=True)
        for name, rows in results.items():
            write_mot(args.results / f"{name.replace(' ', '_')}.txt", rows)
    if args.json:
        args.json.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
