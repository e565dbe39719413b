# SPDX-License-Identifier: Apache-2.0
"""``alphapose-ros eval tracking``: identities against annotated ones, by sequence and together.

Boxes match by IoU, as MOTChallenge has it, or poses by OKS over the annotated joints, from 0.5 in
both cases; HOTA takes 19 thresholds. As MOTChallenge does, results that lie on what is no
pedestrian but looks like one (people on vehicles, statues, reflections) are taken away first.
PoseTrack's own MOTA counts joints and is another number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from alphapose_ros.base.boxes import box_area, box_iou
from alphapose_ros.base.errors import InputError
from alphapose_ros.base.keypoints import pairwise_oks
from alphapose_ros.base.records import FloatArray
from alphapose_ros.eval.track_files import (
    JOINTS,
    PEDESTRIAN,
    TrackRows,
    read_json_lines,
    read_mot,
    read_posetrack,
)
from alphapose_ros.eval.track_metrics import Counts, MatchedFrame, Measures, count, measures

Similarity = Callable[[TrackRows, TrackRows], FloatArray]

THRESHOLD = 0.5
DISTRACTORS = (2, 7, 8, 12)  # MOT16/17: on a vehicle, static person, distractor, reflection
_MOT20_DISTRACTORS = (*DISTRACTORS, 6)  # and vehicles without a motor
COMBINED = "all sequences"
_TRUTH_TEXT = Path("gt", "gt.txt")  # inside a folder of MOTChallenge's for one sequence


@dataclass(frozen=True)
class TrackSequence:
    """The truth about one recording, and what somebody says of it.

    ``labelled`` are the frames that were annotated; None: all.
    """

    name: str
    truth: TrackRows
    results: TrackRows
    labelled: frozenset[int] | None = None


def box_similarity(truth: TrackRows, results: TrackRows) -> FloatArray:
    """(T, R) IoU."""
    return box_iou(truth.boxes, results.boxes)


def pose_similarity(truth: TrackRows, results: TrackRows) -> FloatArray:
    """(T, R) OKS over the joints that the truth has; one that the result lacks agrees with 0."""
    lacking = results.joint_scores[..., None] <= 0
    return pairwise_oks(
        truth.keypoints,
        np.where(lacking, np.float32(np.inf), results.keypoints),
        box_area(truth.boxes),
        JOINTS.sigmas,
        (truth.joint_scores > 0).astype(np.float32),
    )


SIMILARITIES: dict[str, Similarity] = {"boxes": box_similarity, "poses": pose_similarity}


def evaluate_tracking(
    sequences: Sequence[TrackSequence], similarity: str = "boxes"
) -> dict[str, Measures]:
    """:func:`count_tracking`, and what is reported of it."""
    counted = count_tracking(sequences, similarity)
    return {name: measures(counts) for name, counts in counted.items()}


def count_tracking(
    sequences: Sequence[TrackSequence], similarity: str = "boxes"
) -> dict[str, Counts]:
    """Name of each sequence -> its counts; with more than one, those of all together come last.

    Raises:
        InputError: poses are to be compared, and a truth or results with people have none.
    """
    counted = {each.name: _count(each, similarity) for each in sequences}
    if len(counted) > 1:
        counted[COMBINED] = reduce(add, counted.values())
    return counted


def _count(sequence: TrackSequence, similarity: str) -> Counts:
    if similarity == "poses" and len(sequence.truth):
        for what, rows in (("a truth", sequence.truth), ("results", sequence.results)):
            if len(rows) and not rows.joint_scores.any():
                raise InputError(f"{sequence.name}: expected {what} with poses, got boxes alone")
    return count(matched_frames(sequence, SIMILARITIES[similarity]), THRESHOLD)


def matched_frames(sequence: TrackSequence, similarity: Similarity) -> list[MatchedFrame]:
    """All annotated frames with somebody in them, in the order of time."""
    truth, results = sequence.truth, sequence.results
    frames = np.union1d(truth.frames, results.frames)
    if sequence.labelled is not None:
        frames = frames[np.isin(frames, sorted(sequence.labelled))]
    distractors = _MOT20_DISTRACTORS if sequence.name.startswith("MOT20") else DISTRACTORS
    out = []
    for frame in frames:
        true, found = truth[truth.frames == frame], results[results.frames == frame]
        asked = (true.classes == PEDESTRIAN) & (true.confidences > 0)
        ignored = np.isin(true.classes, distractors) | (
            (true.classes == PEDESTRIAN) & (true.confidences <= 0)
        )
        found = found[~_taken(true, found, ignored)]
        true = true[asked]
        out.append(MatchedFrame(true.ids, found.ids, similarity(true, found)))
    return out


def _taken(true: TrackRows, found: TrackRows, ignored: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(R,) results whose best partner, among all that was annotated, is to be ignored."""
    out = np.zeros(len(found), bool)
    if not ignored.any():
        return out
    overlap = box_iou(true.boxes, found.boxes)
    rows, columns = linear_sum_assignment(
        np.where(overlap >= THRESHOLD, overlap, 0), maximize=True
    )
    good = (overlap[rows, columns] >= THRESHOLD) & ignored[rows]
    out[columns[good]] = True
    return out


def read_sequences(truth: Path, results: Path) -> list[TrackSequence]:
    """A truth with its results: two files, or two folders of them.

    A folder of truths holds MOTChallenge's folders (``NAME/gt/gt.txt``), or files
    ``NAME.txt`` or ``NAME.json``; results have the same names.

    Raises:
        InputError: something is missing, or is no such file.
    """
    if not truth.is_dir():
        return [read_sequence(truth, results)]
    if (truth / _TRUTH_TEXT).is_file() and not results.is_dir():
        return [read_sequence(truth / _TRUTH_TEXT, results, truth.name)]
    if not results.is_dir():
        raise InputError(f"{results}: expected a folder, because {truth} is one")
    out = []
    for name, file in _truths(truth):
        found = [results / f"{name}{end}" for end in (".txt", ".jsonl", ".json")]
        present = [path for path in found if path.is_file()]
        if not present:
            raise InputError(f"{results}: expected {name}.txt, .jsonl or .json, got none of them")
        out.append(read_sequence(file, present[0], name))
    return out


def _truths(folder: Path) -> list[tuple[str, Path]]:
    nested = [(path.name, path / _TRUTH_TEXT) for path in sorted(folder.iterdir())]
    found = [(name, path) for name, path in nested if path.is_file()]
    flat = [p for p in sorted(folder.iterdir()) if p.suffix in (".txt", ".json") and p.is_file()]
    found += [(path.stem, path) for path in flat]
    if not found:
        raise InputError(
            f"{folder}: expected NAME/{_TRUTH_TEXT}, NAME.txt or NAME.json, got nothing of them"
        )
    return found


def read_sequence(truth: Path, results: Path, name: str = "") -> TrackSequence:
    """One file of truth and one of results; MOT's text, PoseTrack's JSON, our JSON lines."""
    for path in (truth, results):
        if not path.is_file():
            raise InputError(f"{path}: no such file")
    image_ids = None
    labelled = None
    if truth.suffix == ".json":
        read = read_posetrack(truth)
        true, image_ids, labelled = read.rows, read.image_ids, read.labelled
    else:
        true = read_mot(truth)
    if results.suffix == ".jsonl":
        found = read_json_lines(results)
    elif results.suffix == ".json":
        found = read_posetrack(results, image_ids).rows
    else:
        found = read_mot(results)
    return TrackSequence(name or truth.stem, true, found, labelled)


def read_truth(path: Path) -> tuple[TrackRows, frozenset[int] | None]:
    """The truth about one recording, and which of its frames were annotated (None: all)."""
    file = path / _TRUTH_TEXT if path.is_dir() else path
    if not file.is_file():
        raise InputError(f"{file}: no such file of a truth")
    if file.suffix == ".json":
        read = read_posetrack(file)
        return read.rows, read.labelled
    return read_mot(file), None
