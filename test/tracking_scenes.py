# SPDX-License-Identifier: Apache-2.0
"""Made-up people in boxes, and steps of a tracker over them."""

import numpy as np

from alphapose_ros.base.records import Appearance, Poses
from alphapose_ros.base.skeletons import COCO17
from alphapose_ros.tracking.config import TrackerConfig
from alphapose_ros.tracking.identities import IdentitySource
from alphapose_ros.tracking.tracker import Tracker

SECOND = 1_000_000_000
LOOK = 64  # dimensions of an embedding


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


def make_tracker(identities=None, skeleton=COCO17, gallery=None, **changes):
    return Tracker(TrackerConfig(**changes), skeleton, identities or IdentitySource(), gallery)


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


def clothes(count, seed=0, width=LOOK):
    """(count, width) unit vectors far from each other: how each person looks."""
    vectors = np.random.default_rng(seed).normal(size=(count, width))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def seen(vectors, rng, noise=0.4):
    """Appearance of people in one image: unit vectors with cosines of about 1 - noise² / 2."""
    vectors = np.reshape(vectors, (len(vectors), LOOK))
    shift = rng.normal(size=vectors.shape)
    shift *= noise / np.maximum(np.linalg.norm(shift, axis=1, keepdims=True), 1e-9)
    vectors = vectors + shift
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    return Appearance(unit, np.ones(len(unit)))


def stroll(tracker, times, place, looks, rng, noise=0.4):
    """Like ``walk`` at any times, with looks (a vector for each person): [(ids, Tracks)]."""
    history = []
    for t in times:
        people = place(t)
        there = [k for k, p in enumerate(people) if p is not None]
        appearance = None
        if looks is not None:
            appearance = seen(looks[there], rng, noise)
        tracks = tracker.update(scene([people[k] for k in there]), stamp(t), appearance)
        rows = zip(tracks.poses.source, tracks.ids, strict=True)
        history.append(({there[s]: int(n) for s, n in rows if s >= 0}, tracks))
    return history
