# SPDX-License-Identifier: Apache-2.0
"""``alphapose-ros eval jitter``: how much the joints of tracked people tremble in a recording.

There is no truth: what is measured is motion that no body makes. Two measures, in per cent of
the height of the person's box in that frame, of joints seen in every frame of a window:

- acceleration: the mean length of ``p(t-1) - 2 p(t) + p(t+1)``, real motion included.
- noise: what is left when a parabola through five frames (Savitzky and Golay, 1964) is taken
  off, scaled so that independent noise of s per axis on smooth motion gives s. The root mean
  square feels single jumps; the median does not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.records import Frame, FrameResult, TrackState
from alphapose_ros.base.skeletons import Skeleton

FloatArray = NDArray[np.floating]
Measures = dict[str, float | int | tuple[float, float]]

_PARABOLA = np.array([-3, 12, 17, 12, -3]) / 35  # value at the middle of five
_KEPT = 1 - _PARABOLA[2]  # share of white noise's variance that the residual keeps
_SECOND_DIFFERENCE = np.array([1.0, -2.0, 1.0])
_MEDIAN_OF_RAYLEIGH = np.sqrt(2 * np.log(2))
MIN_SCORE, MIN_FINE_SCORE = 0.3, 0.15  # as drawn: face and hands score lower by nature


@dataclass(frozen=True)
class TrackRecord:
    """One unbroken track: T frames in which the person was seen.

    Attributes:
        frames: (T,) numbers, rising.
        keypoints: (T, K, 2) px. scores: (T, K). heights: (T,) of the box, px.
    """

    frames: NDArray[np.int64]
    keypoints: FloatArray
    scores: FloatArray
    heights: FloatArray


def record_tracks(
    pipeline: Callable[[Frame], FrameResult],
    frames: Iterable[Frame],
    on_frame: Callable[[], object] = lambda: None,
) -> tuple[list[TrackRecord], int]:
    """Run the pipeline over all frames: the tracks that were seen, and how many frames it was."""
    rows: dict[int, list[tuple[int, FloatArray, FloatArray, float]]] = defaultdict(list)
    count = 0
    for number, frame in enumerate(frames):
        tracks = pipeline(frame).tracks
        tracks = tracks[tracks.states == TrackState.TRACKED]
        heights = tracks.poses.boxes[:, 3] - tracks.poses.boxes[:, 1]
        for row, track in enumerate(tracks.track_ids.tolist()):
            keypoints, scores = tracks.poses.keypoints[row], tracks.poses.scores[row]
            rows[track].append((number, keypoints, scores, float(heights[row])))
        count = number + 1
        on_frame()
    return [_record(rows[track]) for track in sorted(rows)], count


def _record(rows: Sequence[tuple[int, FloatArray, FloatArray, float]]) -> TrackRecord:
    numbers, keypoints, scores, heights = zip(*rows, strict=True)
    return TrackRecord(
        np.array(numbers, np.int64), np.stack(keypoints), np.stack(scores), np.array(heights)
    )


def measure_jitter(tracks: Sequence[TrackRecord], skeleton: Skeleton) -> Measures:
    """Acceleration and noise per part, in per cent of the box height.

    ``body_acceleration_percent`` is per frame², ``body_noise_percent`` the root mean square,
    ``body_noise_median_percent`` the robust one, ``body_samples`` how many joints in how many
    windows of five they stand on. NaN where there is none.
    """
    out: Measures = {
        "tracks": len(tracks),
        "tracked_frames": sum(len(track.frames) for track in tracks),
    }
    limits = joint_limits(skeleton)
    bends = [windowed(track, _SECOND_DIFFERENCE, limits) for track in tracks]
    rests = [windowed(track, _centre(5) - _PARABOLA, limits) for track in tracks]
    for name, joints in skeleton.parts.items():
        acceleration = _lengths(bends, joints)
        rest = _lengths(rests, joints) / np.sqrt(_KEPT)
        values = {
            "acceleration": _or_nan(np.mean, acceleration),
            "noise": np.sqrt(_or_nan(np.mean, rest**2) / 2),
            "noise_median": _or_nan(np.median, rest) / _MEDIAN_OF_RAYLEIGH,
        }
        out |= {f"{name}_{key}_percent": 100 * float(value) for key, value in values.items()}
        out[f"{name}_samples"] = int(rest.size)
    return out


def joint_limits(skeleton: Skeleton) -> FloatArray:
    """(K,) score from which a joint is taken to be seen."""
    limits = np.full(len(skeleton), MIN_SCORE)
    for name in ("face", "left_hand", "right_hand", "hand"):
        limits[skeleton.parts.get(name, slice(0, 0))] = MIN_FINE_SCORE
    return limits


def windowed(track: TrackRecord, weights: FloatArray, limits: FloatArray) -> FloatArray:
    """Weighted sums over windows of consecutive frames -> (W, K, 2) in box heights.

    NaN for joints below their limit in any frame of the window; a window with a frame missing,
    or whose middle box has no height, is left out.
    """
    length = len(weights)
    count = len(track.frames) - length + 1
    if count < 1:
        return np.zeros((0, track.scores.shape[1], 2))
    starts = np.arange(count)
    heights = track.heights[starts + length // 2]
    whole = track.frames[starts + length - 1] - track.frames[starts] == length - 1
    starts = starts[whole & (heights > 0)]
    index = starts[:, None] + np.arange(length)
    sums = np.einsum("wtkc,t->wkc", track.keypoints[index].astype(np.float64), weights)
    seen = (track.scores[index] >= limits).all(1)
    sums = sums / track.heights[starts + length // 2, None, None]
    return np.where(seen[..., None], sums, np.nan)


def _centre(length: int) -> FloatArray:
    return np.eye(length)[length // 2]


def _lengths(parts: Sequence[FloatArray], joints: slice) -> FloatArray:
    """Lengths of all known vectors of a part."""
    vectors = np.concatenate([np.zeros((0, 2)), *(p[:, joints].reshape(-1, 2) for p in parts)])
    lengths = np.hypot(vectors[:, 0], vectors[:, 1])
    return lengths[~np.isnan(lengths)]


def _or_nan(statistic: Callable[[FloatArray], np.floating], values: FloatArray) -> float:
    return float(statistic(values)) if values.size else float("nan")
