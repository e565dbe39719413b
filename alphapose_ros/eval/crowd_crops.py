# SPDX-License-Identifier: Apache-2.0
"""Crops of people from recordings, person by person: the looks of the simulated crowd's people.

The tracker that is to be measured also proposes who is who, so a track may hold two people and one
person may be in two tracks. Look at the sheet, and give what belongs together one id.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.boxes import box_iou, clip_boxes
from alphapose_ros.base.errors import InputError, require
from alphapose_ros.base.records import Frame, FrameResult, ImageArray, TrackState
from alphapose_ros.eval.crowd_images import CropTrack
from alphapose_ros.eval.track_files import TrackRows, make_rows
from alphapose_ros.io.source_base import INSTALL_OPENCV

EVERY_S = 0.2  # between two crops of a track
_LEAST_HEIGHT_PX = 96
_ALONE_IOU = 0.1  # crops with more of another person in them are left out
_LEAST_SCORE = 0.6
_WIDEST = 0.75  # of the height: who is wider bends, or is not alone
_EDGE_PX = 3.0  # who touches the edge is cut off


def mine_people(
    pipeline: Callable[[Frame], FrameResult], frames: Iterable[Frame], least_s: float = 3.0
) -> TrackRows:
    """Unbroken tracks of at least ``least_s`` seconds: boxes of people who stand alone."""
    found: dict[int, list[tuple[int, float, NDArray[np.float32]]]] = defaultdict(list)
    for index, (time_s, frame) in enumerate(_timed(frames)):
        tracks = pipeline(frame).tracks
        tracks = tracks[tracks.states == TrackState.TRACKED]
        good = _presentable(tracks.poses.boxes, tracks.poses.box_scores, frame.size_hw)
        for row in np.flatnonzero(good).tolist():
            seen = found[int(tracks.track_ids[row])]
            if not seen or time_s - seen[-1][1] >= EVERY_S - 1e-6:
                seen.append((index, time_s, tracks.poses.boxes[row]))
    rows = [
        (index, number, box)
        for number, seen in sorted(found.items())
        if seen[-1][1] - seen[0][1] >= least_s
        for index, _, box in seen
    ]
    indices, numbers, boxes = zip(*rows, strict=True) if rows else ((), (), ())
    return make_rows(indices, numbers, boxes)


def cut_crops(frames: Iterable[Frame], people: TrackRows, prefix: str) -> list[CropTrack]:
    """Everybody's crops, named ``PREFIX-ID``.

    Args:
        frames: the recording that the boxes belong to.
        people: boxes with ids.
        prefix: of the names.

    Raises:
        InputError: the recording ends before the last box.
    """
    found: dict[int, list[tuple[float, ImageArray]]] = {
        int(person): [] for person in np.unique(people.ids)
    }
    count = 0
    for index, (time_s, frame) in enumerate(_timed(frames)):
        for row in np.flatnonzero(people.frames == index).tolist():
            crop = _cut(frame.image, people.boxes[row])
            found[int(people.ids[row])].append((time_s, crop))
        count += 1
    last = int(people.frames.max(initial=-1))
    if last >= count:
        raise InputError(f"{prefix}: expected a recording of {last + 1} frames, got {count}")
    out = []
    for person, crops in found.items():
        times, images = zip(*crops, strict=True)
        out.append(CropTrack(f"{prefix}-{person:03d}", np.array(times), tuple(images)))
    return out


def _timed(frames: Iterable[Frame]) -> Iterable[tuple[float, Frame]]:
    """Frames with the seconds since the first."""
    start_ns: int | None = None
    for frame in frames:
        start_ns = frame.stamp_ns if start_ns is None else start_ns
        yield (frame.stamp_ns - start_ns) / 1e9, frame


def _presentable(
    boxes: NDArray[np.float32], scores: NDArray[np.float32], size_hw: tuple[int, int]
) -> NDArray[np.bool_]:
    """(N,) people who are large, sure, whole, and not behind or before another."""
    width = size_hw[1]
    overlap = box_iou(boxes, boxes)
    np.fill_diagonal(overlap, 0)
    alone = overlap.max(1, initial=0) <= _ALONE_IOU
    inside = (boxes[:, 0] >= _EDGE_PX) & (boxes[:, 2] <= width - _EDGE_PX)
    sides = boxes[:, 2:] - boxes[:, :2]
    tall = (sides[:, 1] >= _LEAST_HEIGHT_PX) & (sides[:, 0] <= _WIDEST * sides[:, 1])
    return np.asarray(alone & inside & tall & (scores >= _LEAST_SCORE))


def _cut(image: ImageArray, box: NDArray[np.float32]) -> ImageArray:
    size_hw = image.shape[0], image.shape[1]
    left, top, right, bottom = clip_boxes(box[None], size_hw)[0].round().astype(int).tolist()
    return image[top:bottom, left:right].copy()


def sheet(tracks: Sequence[CropTrack], columns: int = 10, height: int = 128) -> ImageArray:
    """One row of crops for each track, evenly over its time, with its name: for the eye."""
    cv2: Any = require("cv2", needed_for="sheets of crops", install=INSTALL_OPENCV)
    wide = height // 2
    out = np.full((max(len(tracks), 1) * height, (columns + 2) * wide, 3), 255, np.uint8)
    for row, track in enumerate(tracks):
        top = row * height
        lines = (track.name, f"{track.times[-1] - track.times[0]:.1f} s")
        for k, text in enumerate(lines):
            cv2.putText(out, text, (4, top + 40 + 24 * k), 0, 0.4, (0, 0, 0), 1)
        chosen = np.linspace(0, len(track.images) - 1, columns).round().astype(int)
        for column, index in enumerate(chosen.tolist()):
            left = (column + 2) * wide
            out[top : top + height, left : left + wide] = cv2.resize(
                track.images[index], (wide, height), interpolation=3
            )
    return out
