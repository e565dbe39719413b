# SPDX-License-Identifier: Apache-2.0
"""Tracklets -> the Tracks record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from alphapose_ros.base.records import Poses, Tracks, TrackState
from alphapose_ros.tracking.tracklet import Tracklet


def report(
    people: Sequence[Tracklet],
    rows: Mapping[int, int],
    poses: Poses,
    stamp_ns: int,
    publish_lost_s: float,
) -> Tracks:
    """Rows for the people seen, in the order of ``people``, then for the lost ones.

    Args:
        people: everybody known.
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
    present = _smoothed(poses[[rows[i] for i in seen]], [people[i] for i in seen], stamp_ns)
    absent = [_predicted_pose(people[i], poses) for i in lost]
    return Tracks(
        ids=np.array([p.identity for p in shown], np.int64),
        track_ids=np.array([p.track_id for p in shown], np.int64),
        poses=Poses.concatenate([present, *absent]),
        states=np.array([p.state for p in shown], np.uint8),
        velocities=np.array([p.motion.velocity[0, :2] for p in shown]).reshape(-1, 2),
        ages_s=np.array([p.age_s(stamp_ns) for p in shown]),
        since_seen_s=np.array([p.since_seen_s(stamp_ns) for p in shown]),
        identity_confidence=np.array([p.confidence for p in shown]),
    )


def _smoothed(poses: Poses, people: Sequence[Tracklet], stamp_ns: int) -> Poses:
    keypoints = poses.keypoints.copy()
    for i, person in enumerate(people):
        if person.smoother is not None:
            keypoints[i] = person.smoother(
                poses.keypoints[i], poses.scores[i], float(person.motion.size[0]), stamp_ns
            )
    return replace(poses, keypoints=keypoints)


def _predicted_pose(person: Tracklet, like: Poses) -> Poses:
    """One row without a detection: the predicted box, every joint with score 0."""
    return Poses(
        keypoints=person.predicted_keypoints()[None],
        scores=np.zeros((1, len(like.skeleton)), np.float32),
        boxes=person.motion.boxes,
        box_scores=np.zeros(1, np.float32),
        source=np.array([-1]),
        skeleton=like.skeleton,
    )
