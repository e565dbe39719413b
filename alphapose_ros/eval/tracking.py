# SPDX-License-Identifier: Apache-2.0
"""``alphapose-ros eval tracking``: identities against annotated ones, by sequence and together.

Boxes match by IoU, as MOTChallenge has it, or poses by OKS over the annotated joints, from 0.5 in
both cases; HOTA takes 19 thresholds. As MOTChallenge does, results that lie on what is no
pedestrian but looks like one (people on vehicles, statues, reflections) are taken away first, and
so are those on people who have no annotated joint where poses match, and those in PoseTrack's
regions that nobody annotated. PoseTrack's own MOTA counts joints and is another number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import add
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from alphapose_ros.base.boxes import box_area, box_iou
from alphapose_ros.base.errors import InputError
from alphapose_ros.base.keypoints import pairwise_oks
from alphapose_ros.base.records import FloatArray, IntArray
from alphapose_ros.eval.track_files import (
    JOINTS,
    PEDESTRIAN,
    TrackRows,
    make_rows,
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
_GRID = 8  # points along each side of a box, to see how much of it a region covers


@dataclass(frozen=True)
class TrackSequence:
    """The truth about one recording, and what somebody says of it.

    ``labelled`` are the frames that were annotated; None: all. ``regions`` are frame -> polygons
    (V, 2) px in which nobody was.
    """

    name: str
    truth: TrackRows
    results: TrackRows
    labelled: frozenset[int] | None = None
    regions: Mapping[int, tuple[FloatArray, ...]] = field(default_factory=dict)


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
        pedestrian = true.classes == PEDESTRIAN
        asked = pedestrian & (true.confidences > 0)
        if similarity is pose_similarity:
            asked &= (true.joint_scores > 0).any(1)
        ignored = np.isin(true.classes, distractors) | (pedestrian & ~asked)
        found = found[~_taken(true, found, ignored)]
        true = true[asked]
        alike = similarity(true, found)
        kept = share_inside(found.boxes, sequence.regions.get(int(frame), ())) < THRESHOLD
        kept[_paired(alike)[1]] = True  # people were annotated in regions, too
        out.append(MatchedFrame(true.ids, found.ids[kept], alike[:, kept]))
    return out


def _taken(true: TrackRows, found: TrackRows, ignored: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(R,) results whose best partner, among all that was annotated, is to be ignored."""
    out = np.zeros(len(found), bool)
    if not ignored.any():
        return out
    rows, columns = _paired(box_iou(true.boxes, found.boxes))
    out[columns[ignored[rows]]] = True
    return out


def _paired(similarity: FloatArray) -> tuple[IntArray, IntArray]:
    """Rows and columns of the pairs from the threshold on whose sum is the highest."""
    good = similarity >= THRESHOLD
    rows, columns = linear_sum_assignment(np.where(good, similarity, 0), maximize=True)
    kept = good[rows, columns]
    return rows[kept], columns[kept]


def share_inside(boxes: FloatArray, polygons: Sequence[FloatArray]) -> FloatArray:
    """(N,) the share of each box (N, 4) that lies in any of the polygons (V, 2), by 64 points."""
    steps = (np.arange(_GRID) + 0.5) / _GRID
    grid = np.stack(np.meshgrid(steps, steps), -1).reshape(-1, 2)
    low, high = boxes[:, None, :2], boxes[:, None, 2:]
    points = low + grid * (high - low)  # (N, 64, 2)
    inside = np.zeros(points.shape[:2], bool)
    for polygon in polygons:
        inside |= _inside(points, polygon)
    return inside.mean(1)


def _inside(points: FloatArray, polygon: FloatArray) -> NDArray[np.bool_]:
    """(...,) whether a ray from the point (..., 2) to the right leaves the polygon (V, 2)."""
    x, y = points[..., None, 0], points[..., None, 1]
    (x1, y1), (x2, y2) = polygon.T, np.roll(polygon, -1, axis=0).T
    crossed = (y1 > y) != (y2 > y)
    slope = (x2 - x1) / np.where(y1 == y2, 1, y2 - y1)
    return np.asarray((crossed & (x < x1 + (y - y1) * slope)).sum(-1) % 2 == 1)


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
    sequence, image_ids = _read_truth(truth)
    if results.suffix == ".jsonl":
        found = read_json_lines(results)
    elif results.suffix == ".json":
        found = read_posetrack(results, image_ids).rows
    else:
        found = read_mot(results)
    return replace(sequence, name=name or sequence.name, results=found)


def read_truth(path: Path) -> TrackSequence:
    """The truth about one recording, of which nobody says anything yet."""
    file = path / _TRUTH_TEXT if path.is_dir() else path
    if not file.is_file():
        raise InputError(f"{file}: no such file of a truth")
    return _read_truth(file)[0]


def _read_truth(file: Path) -> tuple[TrackSequence, tuple[int, ...] | None]:
    """It, and PoseTrack's numbers of its images."""
    nobody = make_rows([], [], [])
    if file.suffix == ".json":
        read = read_posetrack(file)
        sequence = TrackSequence(file.stem, read.rows, nobody, read.labelled, read.regions)
        return sequence, read.image_ids
    return TrackSequence(file.stem, read_mot(file), nobody), None
