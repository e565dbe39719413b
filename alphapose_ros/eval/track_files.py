# SPDX-License-Identifier: Apache-2.0
"""People with identities in the files of others: MOTChallenge's text and PoseTrack18's JSON.

MOT's rows are told in ``data.mot``. Our own JSON lines are those of ``alphapose-ros run --json``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.records import FloatArray, IntArray, Tracks, TrackState
from alphapose_ros.base.rows import Rows, array
from alphapose_ros.base.skeletons import HALPE26
from alphapose_ros.data.coco import read_json
from alphapose_ros.data.mot import FIRST, PEDESTRIAN, read_mot_rows

# PoseTrack's 17 joints by our names; both ears were never annotated.
_POSETRACK_NAMES = {"head_bottom": "neck", "left_ear": "", "right_ear": ""}
JOINTS = HALPE26  # poses are kept as these, joints that a file lacks have score 0


@dataclass(frozen=True)
class TrackRows(Rows):
    """Boxes with identities, a row each, of all frames of one sequence.

    Attributes:
        frames: from 0. ids: as in the file, any integers.
        boxes: (N, 4) px, first pixel at 0. confidences: of a truth, 0 for what is to be ignored.
        classes: MOT's, 1 is a pedestrian. visibility: [0, 1].
        keypoints: (N, 26, 2) px of Halpe-26. joint_scores: (N, 26), all 0 where there is no pose.
    """

    frames: IntArray = array("N", dtype=np.int64)
    ids: IntArray = array("N", dtype=np.int64)
    boxes: FloatArray = array("N", 4, dtype=np.float32)
    confidences: FloatArray = array("N", dtype=np.float32)
    classes: IntArray = array("N", dtype=np.int64)
    visibility: FloatArray = array("N", dtype=np.float32)
    keypoints: FloatArray = array("N", len(JOINTS), 2, dtype=np.float32)
    joint_scores: FloatArray = array("N", len(JOINTS), dtype=np.float32)


@dataclass(frozen=True)
class PoseTrackFile:
    """One sequence of PoseTrack18.

    Attributes:
        rows: the people, frames numbered as the images come by id.
        image_ids: of the frames. labelled: frames that were annotated; a result outside says
            nothing.
        regions: frame -> polygons (V, 2) px in which nobody was annotated.
    """

    rows: TrackRows
    image_ids: tuple[int, ...]
    labelled: frozenset[int]
    regions: Mapping[int, tuple[FloatArray, ...]]


def make_rows(
    frames: Sequence[int] | NDArray[Any],
    ids: Sequence[int] | NDArray[Any],
    boxes: Any,
    **more: Any,
) -> TrackRows:
    """Rows of pedestrians who are all counted; ``more`` are other fields of :class:`TrackRows`."""
    count = len(frames)
    with np.errstate(over="ignore"):  # what does not fit becomes infinite
        fields: dict[str, Any] = {
            "frames": np.asarray(frames, np.int64),
            "ids": np.asarray(ids, np.int64),
            "boxes": np.asarray(boxes, np.float32).reshape(count, 4),
            "confidences": np.ones(count, np.float32),
            "classes": np.full(count, PEDESTRIAN),
            "visibility": np.ones(count, np.float32),
            "keypoints": np.zeros((count, len(JOINTS), 2), np.float32),
            "joint_scores": np.zeros((count, len(JOINTS)), np.float32),
        }
        return TrackRows(**{**fields, **more})


def from_tracks(results: Iterable[Tracks]) -> TrackRows:
    """What a pipeline said of the frames 0, 1 ...: people in state TRACKED, nobody else."""
    parts = [make_rows([], [], [])]
    for frame, tracks in enumerate(results):
        seen = tracks[tracks.states == TrackState.TRACKED]
        keypoints, scores = _mapped(
            seen.poses.keypoints, seen.poses.scores, seen.poses.skeleton.keypoint_names
        )
        parts.append(
            make_rows(
                np.full(len(seen), frame),
                seen.ids,
                seen.poses.boxes,
                confidences=seen.poses.box_scores,
                keypoints=keypoints,
                joint_scores=scores,
            )
        )
    return TrackRows.concatenate(parts)


def _mapped(
    keypoints: NDArray[Any], scores: NDArray[Any], names: Sequence[str]
) -> tuple[FloatArray, FloatArray]:
    """Joints of any set as Halpe-26, by their names."""
    out = np.zeros((len(keypoints), len(JOINTS), 2), np.float32)
    out_scores = np.zeros((len(keypoints), len(JOINTS)), np.float32)
    for k, name in enumerate(names):
        if name in JOINTS.keypoint_names:
            target = JOINTS.index(name)
            out[:, target], out_scores[:, target] = keypoints[:, k], scores[:, k]
    return out, out_scores


def read_mot(path: Path) -> TrackRows:
    """A MOTChallenge file, truth or results; rows in the order of the file.

    Raises:
        InputError: as ``read_mot_rows``, a number is not finite, or a person comes twice in a
            frame.
    """
    rows = read_mot_rows(path)
    if not rows:
        return make_rows([], [], [])
    frames, ids, boxes, confidences, classes, visibility = map(np.array, zip(*rows, strict=True))
    more = {"confidences": confidences, "classes": classes, "visibility": visibility}
    return _checked(make_rows(frames, ids, boxes, **more), path)


def write_mot(path: Path, rows: TrackRows) -> None:
    """A MOTChallenge file with ten columns as results have them; poses are left out."""
    lines = []
    for k in np.lexsort((rows.ids, rows.frames)):
        left, top, right, bottom = rows.boxes[k].astype(float)
        lines.append(
            f"{rows.frames[k] + FIRST},{rows.ids[k]},{left + FIRST:.2f},{top + FIRST:.2f},"
            f"{right - left:.2f},{bottom - top:.2f},{rows.confidences[k]:.4f},-1,-1,-1\n"
        )
    path.write_text("".join(lines), encoding="utf-8")


def read_json_lines(path: Path) -> TrackRows:
    """What ``alphapose-ros run --json`` wrote; people whose state is ``tracked``, nobody else.

    Raises:
        InputError: a line is not of this form, or of another camera than those before; a number
            is not finite, or a person comes twice in a frame.
    """
    frames, ids, boxes, scores = [], [], [], []
    cameras: set[str] = set()
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            entry: Any = json.loads(line) if line.strip() else {"frame": 0, "people": []}
            cameras |= {str(entry["camera"])} if "camera" in entry else set()
            for person in entry["people"]:
                if person["state"] == TrackState.TRACKED.name.lower():
                    x, y, width, height = person["box"]
                    frames.append(_integer(entry["frame"]))
                    ids.append(_integer(person["id"]))
                    boxes.append((x, y, x + width, y + height))
                    scores.append(float(person["score"]))
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
            raise InputError(
                f"{path}:{number}: expected a line of `run --json`, "
                f"got {line[:60].decode(errors='replace')!r}"
            ) from error
        if len(cameras) > 1:
            raise InputError(f"{path}:{number}: expected one camera, got {sorted(cameras)}")
    return _checked(make_rows(frames, ids, boxes, confidences=np.array(scores)), path)


def _integer(value: Any) -> int:
    """The integer, if 64 bits hold it; else an OverflowError."""
    return int(np.int64(int(value)))


def read_posetrack(path: Path, image_ids: Sequence[int] | None = None) -> PoseTrackFile:
    """PoseTrack18's JSON of one sequence, truth or results.

    Args:
        path: the file.
        image_ids: of the truth's frames, for results: their frames are numbered as the truth's.

    Raises:
        InputError: the file is not of this form, a number is not finite, or a person comes twice
            in a frame.
    """
    try:
        content = read_json(path)
        images = sorted(content["images"], key=_image_id)
        names = content["categories"][0]["keypoints"] if content.get("categories") else None
        known = tuple(image_ids) if image_ids is not None else tuple(map(_image_id, images))
        numbers = {image_id: k for k, image_id in enumerate(known)}
        own = {numbers[key]: image for image in images if (key := _image_id(image)) in numbers}
        labelled = {frame for frame, image in own.items() if image.get("is_labeled", True)}
        regions = {frame: found for frame, image in own.items() if (found := _regions(image))}
        chosen = [a for a in content["annotations"] if a["image_id"] in numbers]
        rows = _posetrack_rows(chosen, numbers, names or _NAMES)
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        raise InputError(
            f"{path}: expected PoseTrack18's JSON with images, annotations and track_id, got "
            f"something else ({type(error).__name__}: {error})"
        ) from error
    return PoseTrackFile(_checked(rows, path), known, frozenset(labelled), regions)


_NAMES = (
    "nose head_bottom head_top left_ear right_ear left_shoulder right_shoulder left_elbow "
    "right_elbow left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle "
    "right_ankle"
).split()


def _image_id(image: Mapping[str, Any]) -> int:
    return int(image["id"])


def _regions(image: Mapping[str, Any]) -> tuple[FloatArray, ...]:
    """Polygons (V, 2) px of an image; their x and y come apart."""
    x, y = (image.get(f"ignore_regions_{axis}") or [] for axis in "xy")
    pairs = (np.stack(pair, axis=1) for pair in zip(x, y, strict=True))
    return tuple(pair.astype(np.float32).reshape(-1, 2) for pair in pairs)


def _posetrack_rows(
    annotations: Sequence[Mapping[str, Any]], numbers: Mapping[int, int], names: Sequence[str]
) -> TrackRows:
    joints = np.array([a["keypoints"] for a in annotations], np.float32).reshape(-1, len(names), 3)
    own = [_POSETRACK_NAMES.get(name, name) for name in names]
    # Truths have an empty list of scores, and say by the third number whether a joint is there.
    scores = np.array(
        [a.get("scores") or j[:, 2] for a, j in zip(annotations, joints, strict=True)]
    )
    keypoints, joint_scores = _mapped(joints[..., :2], scores.reshape(-1, len(names)), own)
    boxes = [_posetrack_box(a, joint) for a, joint in zip(annotations, joints, strict=True)]
    return make_rows(
        [numbers[a["image_id"]] for a in annotations],
        [int(a["track_id"]) for a in annotations],
        boxes,
        keypoints=keypoints,
        joint_scores=joint_scores,
    )


def _posetrack_box(annotation: Mapping[str, Any], joints: FloatArray) -> tuple[float, ...]:
    """The person's box; a result without one has that of its joints."""
    if annotation.get("bbox"):
        x, y, width, height = map(float, annotation["bbox"])
        return x, y, x + width, y + height
    seen = joints[joints[:, 2] > 0, :2]
    low, high = (seen.min(0), seen.max(0)) if len(seen) else (np.zeros(2), np.zeros(2))
    return *low.tolist(), *high.tolist()


def _checked(rows: TrackRows, path: Path) -> TrackRows:
    """All numbers are finite, and nobody is at two places of a frame."""
    for name in ("boxes", "confidences", "visibility", "keypoints", "joint_scores"):
        values = getattr(rows, name)
        places = np.argwhere(~np.isfinite(values))
        if len(places):
            row, value = int(places[0, 0]), values[tuple(places[0])]
            raise InputError(
                f"{path}: expected finite {name}, got {value} for id {rows.ids[row]} in frame "
                f"{rows.frames[row] + 1}"
            )
    pairs, counts = np.unique(np.stack([rows.frames, rows.ids]), axis=1, return_counts=True)
    if (counts > 1).any():
        frame, identity = pairs[:, counts.argmax()].tolist()
        raise InputError(f"{path}: expected id {identity} once in frame {frame + 1}, got it twice")
    return rows
