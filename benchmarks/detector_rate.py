# SPDX-License-Identifier: Apache-2.0
"""What it costs in accuracy, and saves in time, to let the detector look less often.

    python benchmarks/detector_rate.py --clip vtest.avi --truth test/data/tracks_vtest.txt

The whole pipeline on an excerpt of a clip whose people were labelled by hand, once for each
``detector.interval_s``; the clip's stamps count. Judged on the labelled frames, as
``tracking_clips.py`` does. ``looks`` is the share of frames that the detector saw, ``time`` the
pipeline's processor time to that without an interval.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from tracking_clips import excerpt, judge, wanted

from alphapose_ros.base.records import Frame
from alphapose_ros.cli.console import table
from alphapose_ros.config import PipelineConfig
from alphapose_ros.detection.protocol import Detector
from alphapose_ros.eval.track_files import TrackRows, from_tracks, read_mot
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.pipeline import PosePipeline

PERCENT = ("HOTA", "IDF1", "MOTA", "recall", "precision")


class Counted:
    """A detector that counts the images it was asked about."""

    def __init__(self, detector: Detector) -> None:
        self.detector, self.images = detector, 0

    def __call__(self, batch: ImageBatch) -> object:
        """As the detector's."""
        self.images += len(batch)
        return self.detector(batch)


def run(pipeline: PosePipeline, frames: list[tuple[int, Frame]]) -> TrackRows:
    """Whom the pipeline names in each frame."""
    rows = from_tracks(pipeline(frame).tracks for _, frame in frames)
    numbers = np.array([number for number, _ in frames], np.int64)
    return replace(rows, frames=numbers[rows.frames])


def main() -> None:
    """Run each interval, judge, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clip", type=Path, required=True)
    parser.add_argument("--truth", type=Path, required=True, help="MOT's gt.txt, some frames")
    parser.add_argument("--intervals", type=float, nargs="+", default=[0, 0.2, 0.5, 1.0])
    parser.add_argument("--params-file", type=Path, help="of the pipeline; its defaults if absent")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    config = PipelineConfig.from_file(args.params_file) if args.params_file else PipelineConfig()
    truth = read_mot(args.truth)
    labelled = wanted(truth, 1)
    frames = list(excerpt(args.clip, labelled, 1))
    rows: list[list[object]] = []
    numbers: dict[str, dict[str, float]] = {}
    for interval_s in args.intervals:
        detector = replace(config.detector, interval_s=interval_s)
        pipeline = PosePipeline(replace(config, detector=detector))
        counted = Counted(pipeline.detector)
        pipeline.detector = counted  # type: ignore[assignment]
        run(pipeline, frames[:3])  # warm
        pipeline.reset()
        counted.images, begin_s = 0, time.process_time()
        found = run(pipeline, frames)
        spent_s = time.process_time() - begin_s
        measured = judge({"": found}, truth, labelled)[""]
        looks = counted.images / len(frames)
        numbers[f"{interval_s:g}"] = {**measured, "looks": looks, "processor_s": spent_s}
        share = spent_s / numbers[f"{args.intervals[0]:g}"]["processor_s"]
        cells = [f"{100 * measured[k]:.1f}" for k in PERCENT]
        switches = int(measured["switches"])
        rows.append([f"{interval_s:g} s", *cells, switches, f"{looks:.2f}", f"{share:.2f}"])
    print(table(rows, ["interval", *PERCENT, "switches", "looks", "time"]))
    if args.json:
        args.json.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
