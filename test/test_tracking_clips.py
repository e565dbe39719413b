# SPDX-License-Identifier: Apache-2.0
"""People labelled by hand in real clips: the labels themselves, and our tracker against them."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from alphapose_ros.config import PipelineConfig
from alphapose_ros.eval.track_files import TrackRows, from_tracks, read_mot
from alphapose_ros.eval.tracking import TrackSequence, evaluate_tracking
from alphapose_ros.io.sources import open_source
from alphapose_ros.pipeline import PosePipeline

# name -> (size_hw, first and last labelled frame from 1, frames between two, people asked for)
LABELS = {
    "vtest": ((576, 768), 301, 561, 5, 7),
    "openpose": ((720, 1280), 1, 201, 10, 7),
}
VTEST_SHA256 = "45cddc9490be69345cbdab64ca583be65987e864ca408038e648db99e10516cf"
CROWD = 100  # ids from here on are boxes of people whom nobody is asked about
LAST, EVERY = 400, 5  # the short part that is tracked: frames 300, 305 ... of vtest, from 0
LEAST_IDF1 = 0.85  # measured: .94; plain IoU reaches .22, ByteTrack .62


def labels(root: Path, name: str) -> TrackRows:
    return read_mot(root / "test" / "data" / f"tracks_{name}.txt")


@pytest.mark.parametrize("name", LABELS)
def test_labels_are_well_formed(root: Path, name: str) -> None:
    (height, width), first, last, step, people = LABELS[name]
    rows = labels(root, name)  # which also refuses an id that comes twice in a frame
    asked = rows[rows.confidences > 0]
    assert np.unique(rows.frames + 1).tolist() == list(range(first, last + 1, step))
    assert np.unique(asked.ids).tolist() == list(range(1, people + 1))
    assert set(rows.confidences.tolist()) == {0, 1}
    assert (rows.boxes >= 0).all()
    assert (rows.boxes <= [width, height, width, height]).all()
    sizes = asked.boxes[:, 2:] - asked.boxes[:, :2]
    assert (sizes[:, 1] >= 60).all()
    assert (sizes[:, 1] / sizes[:, 0] > 1).all()
    assert (rows.boxes[:, 2:] > rows.boxes[:, :2]).all()
    assert (asked.ids < CROWD).all()


@pytest.mark.parametrize("name", LABELS)
def test_nobody_jumps_between_two_labels(root: Path, name: str) -> None:
    rows = labels(root, name)
    step = LABELS[name][3]
    jumps = []
    for person in np.unique(rows.ids[rows.ids < CROWD]):
        mine = rows[(rows.ids == person) & (rows.confidences > 0)]
        order = np.argsort(mine.frames)
        frames, boxes = mine.frames[order], mine.boxes[order]
        near = np.diff(frames) == step
        moved = np.abs(np.diff((boxes[:, :2] + boxes[:, 2:]) / 2, axis=0)).max(1)
        jumps += (moved / (boxes[1:, 3] - boxes[1:, 1]))[near].tolist()
    assert max(jumps) < 1  # of a person's height: a swapped pair would show


def test_everybody_is_asked_for_often(root: Path) -> None:
    for name in LABELS:
        rows = labels(root, name)
        asked = Counter(rows.ids[rows.confidences > 0].tolist())
        assert min(asked.values()) >= 8, name


def test_our_tracker_keeps_real_people_apart(root: Path, one_thread: None) -> None:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    clip = Path(base) / "alphapose_ros" / "vtest.avi"
    if not clip.is_file():
        pytest.skip(f"REAL TRACKING NOT CHECKED, CLIP IS ABSENT: {clip} (`make run` fetches it)")
    if hashlib.sha256(clip.read_bytes()).hexdigest() != VTEST_SHA256:
        pytest.skip(f"REAL TRACKING NOT CHECKED, ANOTHER CLIP THAN WAS LABELLED: {clip}")
    truth = labels(root, "vtest")
    truth = truth[truth.frames <= LAST]
    first = int(truth.frames.min())
    numbers = np.arange(first - 2 * EVERY, LAST + 1, EVERY)  # a second before the first label
    pipeline = PosePipeline(PipelineConfig(device="cpu", threads=1))
    with open_source(str(clip)) as source:
        chosen = set(numbers.tolist())
        frames = [f for k, f in zip(range(LAST + 1), source, strict=False) if k in chosen]
    rows = from_tracks([pipeline(frame).tracks for frame in frames])
    rows = replace(rows, frames=numbers[rows.frames])
    labelled = frozenset(truth.frames.tolist())
    judged = evaluate_tracking([TrackSequence("vtest", truth, rows, labelled)])["vtest"]
    assert judged["IDF1"] >= LEAST_IDF1, judged
