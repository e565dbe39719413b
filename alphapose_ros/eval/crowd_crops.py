# SPDX-License-Identifier: Apache-2.0
"""Crops of people from recordings, track by track: the looks of the simulated crowd's people.

The tracker that is to be measured also mines here, so a track may hold two people and one person
may be in two tracks. Look at the sheet, then give a list of what belongs together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.boxes import box_iou, clip_boxes
from alphapose_ros.base.errors import InputError, require
from alphapose_ros.base.records import Frame, FrameResult, ImageArray, TrackState
from alphapose_ros.eval.crowd_images import CropTrack
from alphapose_ros.io.source_base import INSTALL_OPENCV

EVERY_S = 0.1  # between two crops of a track
_LEAST_HEIGHT_PX = 96
_ALONE_IOU = 0.1  # crops with more of another person in them are left out
_LEAST_SCORE = 0.6
_WIDEST = 0.75  # of the height: who is wider bends, or is not alone
_EDGE_PX = 3.0  # who touches the edge is cut off


def mine_crops(
    pipeline: Callable[[Frame], FrameResult],
    frames: Iterable[Frame],
    prefix: str,
    least_s: float = 3.0,
) -> list[CropTrack]:
    """Unbroken tracks of at least ``least_s`` seconds, as crops of people who stand alone.

    Returns:
        Tracks named ``PREFIX-NUMBER`` in the order in which they began.
    """
    found: dict[int, list[tuple[float, ImageArray]]] = defaultdict(list)
    start_ns: int | None = None
    for frame in frames:
        start_ns = frame.stamp_ns if start_ns is None else start_ns
        time_s = (frame.stamp_ns - start_ns) / 1e9
        tracks = pipeline(frame).tracks
        tracks = tracks[tracks.states == TrackState.TRACKED]
        good = _presentable(tracks.poses.boxes, tracks.poses.box_scores, frame.size_hw)
        for row in np.flatnonzero(good).tolist():
            crops = found[int(tracks.track_ids[row])]
            if not crops or time_s - crops[-1][0] >= EVERY_S - 1e-6:
                crops.append((time_s, _cut(frame.image, tracks.poses.boxes[row])))
    out = []
    for number, crops in sorted(found.items()):
        times, images = zip(*crops, strict=True)
        if times[-1] - times[0] >= least_s:
            out.append(CropTrack(f"{prefix}-{number:03d}", np.array(times), tuple(images)))
    return out


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


def gather(tracks: Sequence[CropTrack], people: Mapping[str, Sequence[str]]) -> list[CropTrack]:
    """Identities from tracks by a list made by eye: person -> names of the tracks.

    Tracks that no one names are left out. The times of a person's later tracks go on after
    the earlier ones', where they come from another recording.

    Raises:
        InputError: a track is named that there is not.
    """
    by_name = {track.name: track for track in tracks}
    out = []
    for person, names in people.items():
        missing = [name for name in names if name not in by_name]
        if missing:
            raise InputError(f"{person}: expected tracks that were mined, got {missing[0]}")
        pairs: list[tuple[float, ImageArray]] = []
        for name in names:
            track = by_name[name]
            after = pairs[-1][0] + EVERY_S if pairs else 0.0
            shift = max(after - float(track.times[0]), 0.0) if pairs else 0.0
            pairs += zip((track.times + shift).tolist(), track.images, strict=True)
        times, images = zip(*pairs, strict=True)
        out.append(CropTrack(person, np.array(times), tuple(images)))
    return out


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
