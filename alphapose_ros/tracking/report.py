# SPDX-License-Identifier: Apache-2.0
"""Tracklets -> the Tracks record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.records import Poses, Tracks, TrackState
from alphapose_ros.base.skeletons import Skeleton
from alphapose_ros.tracking.kalman import BoxMotion
from alphapose_ros.tracking.tracklet import Tracklet, predicted_keypoints


def report(
    people: Sequence[Tracklet],
    motion: BoxMotion,
    rows: Mapping[int, int],
    poses: Poses,
    stamp_ns: int,
    publish_lost_s: float,
) -> Tracks:
    """Rows for the people seen, in the order of ``people``, then for the lost ones.

    Args:
        people: everybody known.
        motion: of the same people, at the time of this image.
        rows: person -> row of ``poses``, for those who are in this image.
        poses: of this image.
        stamp_ns: time of this image.
        publish_lost_s: the longest time since someone was seen who is still reported.
    """
    seen = [i for i in range(len(people)) if i in rows]
    lost = [
        i
        for i, person in enumerate(people)
        if i not in rows
        and person.state == TrackState.LOST
        and person.since_seen_s(stamp_ns) <= publish_lost_s
    ]
    shown = [people[i] for i in seen + lost]
    sizes = motion.size[np.array(seen, np.intp)]
    present = poses[[rows[i] for i in seen]]
    present = _smoothed(present, [people[i] for i in seen], sizes, stamp_ns)
    absent = _predicted_poses([people[i] for i in lost], motion[lost].boxes, poses.skeleton)
    return Tracks(
        ids=np.array([p.identity for p in shown], np.int64),
        track_ids=np.array([p.track_id for p in shown], np.int64),
        poses=Poses.concatenate([present, absent]) if lost else present,
        states=np.array([p.state for p in shown], np.uint8),
        velocities=motion.velocity[np.array(seen + lost, np.intp), :2].astype(np.float32),
        ages_s=np.array([p.age_s(stamp_ns) for p in shown]),
        since_seen_s=np.array([p.since_seen_s(stamp_ns) for p in shown]),
        identity_confidence=np.array([p.confidence for p in shown]),
    )


def _smoothed(
    poses: Poses, people: Sequence[Tracklet], sizes: NDArray[np.float64], stamp_ns: int
) -> Poses:
    keypoints = poses.keypoints.copy()
    for i, person in enumerate(people):
        if person.smoother is not None:
            keypoints[i] = person.smoother(
                poses.keypoints[i], poses.scores[i], float(sizes[i]), stamp_ns
            )
    return replace(poses, keypoints=keypoints)


def _predicted_poses(
    people: Sequence[Tracklet], boxes: NDArray[np.float32], skeleton: Skeleton
) -> Poses:
    """Rows without a detection: the predicted boxes, every joint with score 0."""
    count = len(people)
    return Poses(
        keypoints=predicted_keypoints(people, boxes).reshape(count, len(skeleton), 2),
        scores=np.zeros((count, len(skeleton)), np.float32),
        boxes=boxes,
        box_scores=np.zeros(count, np.float32),
        source=np.full(count, -1),
        skeleton=skeleton,
    )
