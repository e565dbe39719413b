# SPDX-License-Identifier: Apache-2.0
"""Made-up people in boxes, and steps of a tracker over them."""

import numpy as np

from alphapose_ros.base.records import Poses
from alphapose_ros.base.skeletons import COCO17
from alphapose_ros.tracking.config import TrackerConfig
from alphapose_ros.tracking.identities import IdentitySource
from alphapose_ros.tracking.tracker import Tracker

SECOND = 1_000_000_000


def figure(seed, skeleton=COCO17):
    """A person's own pose, as fractions of the box."""
    return np.random.default_rng(seed).uniform(0.05, 0.95, (len(skeleton), 2))


def scene(people, skeleton=COCO17, joint_score=0.8):
    """Poses from rows (figure, centre x, centre y, height[, box score]); width is 0.4 height."""
    if not people:
        return Poses.empty(skeleton)
    keypoints, boxes, scores = [], [], []
    for shape, x, y, height, *score in people:
        side = np.array([0.4, 1.0]) * height
        corner = np.array([x, y]) - side / 2
        keypoints.append(corner + shape * side)
        boxes.append([*corner, *(corner + side)])
        scores.append(score[0] if score else 0.9)
    count = len(boxes)
    joints = np.full((count, len(skeleton)), joint_score)
    return Poses(keypoints, joints, boxes, scores, np.arange(count), skeleton)


def make_tracker(identities=None, skeleton=COCO17, **changes):
    return Tracker(TrackerConfig(**changes), skeleton, identities or IdentitySource())


def stamp(time_s):
    return 10 * SECOND + round(time_s * SECOND)


def walk(tracker, seconds, place, fps=15):
    """Step through ``place(t) -> people`` (None for who is unseen); ids of each person in time."""
    history = []
    for i in range(int(seconds * fps)):
        t = i / fps
        people = place(t)
        visible = [k for k, p in enumerate(people) if p is not None]
        tracks = tracker.update(scene([people[k] for k in visible]), stamp(t))
        history.append(
            {visible[s]: int(n) for s, n in zip(tracks.poses.source, tracks.ids, strict=True)}
        )
    return history
