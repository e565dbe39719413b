# SPDX-License-Identifier: Apache-2.0
"""Poses -> ``hri_msgs`` of bodies and faces in the image, and REP-155's names for them.

Coordinates are normalised: (0, 0) is the corner of the image and (1, 1) the opposite one, so that
a pixel's centre is at ((x + 0.5) / width, (y + 0.5) / height). hri_msgs allows nothing outside
[0, 1] and no NaN: a joint that is not seen, or lies out of the picture, is 0, 0 with confidence 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from alphapose_ros.base.records import Header, Poses, Tracks
from alphapose_ros.output.messages import Classes, ros_header

FloatArray = NDArray[np.float64]
SizeHw = tuple[int, int]
Part = tuple[str, Callable[[], Any]]  # relative topic name, what makes its message

_SKELETON = (
    "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist "
    "right_hip right_knee right_ankle left_hip left_knee left_ankle left_eye right_eye "
    "left_ear right_ear"
).split()  # the order of hri_msgs/Skeleton2D
_LANDMARKS = [f"face_{i}" for i in range(68)]  # dlib's order, as in hri_msgs/FacialLandmarks
_PUPILS = ["right_pupil", "left_pupil"]  # its last two slots, of which no skeleton knows
_NECK, _SHOULDERS = 1, [2, 5]


def body_id(track: int) -> str:
    """REP-155's id of the body that a track is."""
    return f"b{track}"


def face_id(track: int) -> str:
    """REP-155's id of a track's face."""
    return f"f{track}"


def person_id(identity: int) -> str:
    """REP-155's id of the person with an identity."""
    return f"p{identity}"


def body_parts(header: Header, tracks: Tracks, classes: Classes) -> Iterator[Part]:
    """``roi`` and ``skeleton2d`` of each row."""
    stamp, poses = ros_header(header, classes), tracks.poses
    regions = _box_regions(poses.boxes, header.size_hw).tolist()
    points = skeleton_points(poses, header.size_hw)
    scores = poses.person_scores.tolist()
    for row, track in enumerate(tracks.track_ids.tolist()):
        name = f"humans/bodies/{body_id(track)}"
        yield f"{name}/roi", partial(_region, regions[row], scores[row], stamp, classes)
        yield f"{name}/skeleton2d", partial(_skeleton2d, points[row], stamp, classes)


def face_parts(
    header: Header, tracks: Tracks, points: FloatArray, scores: FloatArray, classes: Classes
) -> Iterator[Part]:
    """``roi`` and ``landmarks`` of each row: (N, 70, 3) points, of (N,) mean score."""
    stamp, size_hw = ros_header(header, classes), header.size_hw
    regions = _point_regions(points).tolist()
    for row, track in enumerate(tracks.track_ids.tolist()):
        name, score = f"humans/faces/{face_id(track)}", float(scores[row])
        yield f"{name}/roi", partial(_region, regions[row], score, stamp, classes)
        yield f"{name}/landmarks", partial(_facial_landmarks, points[row], size_hw, stamp, classes)


def skeleton_points(poses: Poses, size_hw: SizeHw) -> FloatArray:
    """(N, 18, 3) normalised x, y and confidence in the order of ``hri_msgs/Skeleton2D``.

    Joints are found by name. Where there is no neck, it is the middle of the shoulders with the
    lower of their scores.
    """
    points = _joints(poses, _SKELETON)
    shoulders = points[:, _SHOULDERS]
    middle = np.append(shoulders[..., :2].mean(1), shoulders[..., 2].min(1)[:, None], 1)
    neck = points[:, _NECK]
    points[:, _NECK] = np.where(neck[:, 2:] > 0, neck, middle)
    return _normalised(points, size_hw)


def landmark_points(poses: Poses, size_hw: SizeHw) -> FloatArray:
    """(N, 70, 3) normalised x, y and confidence in the order of ``hri_msgs/FacialLandmarks``."""
    return _normalised(_joints(poses, _LANDMARKS + _PUPILS), size_hw)


def _box_regions(boxes: ArrayLike, size_hw: SizeHw) -> FloatArray:
    """(N, 4) px corners -> normalised corners of what of them is in the picture."""
    corners = np.asarray(boxes, np.float64).reshape(-1, 2, 2)
    return np.clip((corners + 0.5) / np.array(size_hw[::-1]), 0.0, 1.0).reshape(-1, 4)


def _point_regions(points: FloatArray) -> FloatArray:
    """(N, J, 3) -> (N, 4) normalised corners around the points with confidence; else all 0."""
    seen, places = points[..., 2:] > 0, points[..., :2]
    low = np.where(seen, places, np.inf).min(1, initial=np.inf)
    high = np.where(seen, places, -np.inf).max(1, initial=-np.inf)
    return np.where(seen.any(1), np.concatenate([low, high], 1), 0.0)


def _region(corners: Sequence[float], score: float, header: Any, classes: Classes) -> Any:
    """``hri_msgs/NormalizedRegionOfInterest2D``, the type in all of hri_msgs for ROS 2."""
    xmin, ymin, xmax, ymax = corners
    return classes.NormalizedRegionOfInterest2D(
        header=header, xmin=xmin, ymin=ymin, xmax=xmax, ymax=ymax, c=score
    )


def _skeleton2d(points: FloatArray, header: Any, classes: Classes) -> Any:
    """``hri_msgs/Skeleton2D`` of (18, 3) points."""
    return classes.Skeleton2D(header=header, skeleton=_messages(points, classes))


def _facial_landmarks(points: FloatArray, size_hw: SizeHw, header: Any, classes: Classes) -> Any:
    """``hri_msgs/FacialLandmarks`` of (70, 3) points."""
    height, width = size_hw
    return classes.FacialLandmarks(
        header=header,
        landmarks=_messages(points, classes),
        height=int(height),
        width=int(width),
    )


def _messages(points: FloatArray, classes: Classes) -> list[Any]:
    make = classes.NormalizedPointOfInterest2D
    return [make(x=x, y=y, c=c) for x, y, c in points.tolist()]


def _joints(poses: Poses, names: Sequence[str]) -> FloatArray:
    """(N, J, 3) x, y in px and score by joint name; 0 where the skeleton has no such joint."""
    positions = {name: i for i, name in enumerate(poses.skeleton.keypoint_names)}
    joints = np.array([positions.get(name, -1) for name in names], np.intp)
    points = np.concatenate([poses.keypoints, poses.scores[..., None]], 2).astype(np.float64)
    return np.where((joints >= 0)[:, None], points[:, joints], 0.0)


def _normalised(points: FloatArray, size_hw: SizeHw) -> FloatArray:
    """(N, J, 3) of px -> of the image's size; all 0 where not seen or out of the picture."""
    places = (points[..., :2] + 0.5) / np.array(size_hw[::-1])
    scores = np.minimum(points[..., 2:], 1.0)
    seen = (scores > 0) & ((places >= 0) & (places <= 1)).all(-1, keepdims=True)
    return np.where(seen, np.concatenate([places, scores], 2), 0.0)
