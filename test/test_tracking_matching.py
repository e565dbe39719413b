# SPDX-License-Identifier: Apache-2.0
"""Which cue keeps a number where another one fails: boxes, joints, looks, time out of sight."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from test_tracking_gallery import turned
from tracking_scenes import clothes, figure, make_tracker, scene, seen, stamp


def test_a_camera_that_nods_keeps_the_numbers_of_boxes_without_joints() -> None:
    """The boxes overlap by more than a third, far from where they were expected."""
    tracker = make_tracker(start_pose_score=0.0)
    for i in range(30):
        y = 300 + 72 * (i >= 20)
        tracks = tracker.update(scene([(figure(0), 100, y, 160)], joint_score=0.0), stamp(i / 30))
        assert len(tracks) == 1
    assert (tracks.ids.tolist(), tracks.track_ids.tolist()) == ([1], [1])


def test_who_steps_behind_a_table_is_known_by_the_joints_above_it() -> None:
    tracker, whole = make_tracker(), scene([(figure(0), 100, 300, 160)])
    above = whole.keypoints[0, :, 1] < 265
    head = replace(
        whole,
        boxes=np.array([[68, 220, 132, 265]], np.float32),
        scores=np.where(above, whole.scores, 0).astype(np.float32),
    )
    assert above.sum() >= 3
    for i in range(30):
        tracks = tracker.update(head if i >= 20 else whole, stamp(i / 30))
    assert (tracks.ids.tolist(), tracks.track_ids.tolist()) == ([1], [1])


def test_two_who_walk_side_by_side_are_in_no_doubt() -> None:
    tracker = make_tracker()
    for i in range(30):
        x = 100 + 5 * i
        tracks = tracker.update(
            scene([(figure(0), x, 300, 160), (figure(1), x + 35, 300, 160)]), stamp(i / 15)
        )
    assert tracks.identity_confidence.min() > 0.95


def test_who_stands_where_a_look_alike_was_lost_keeps_the_number() -> None:
    """The one in sight sways; the other's vague prediction would fit every place."""
    tracker, rng = make_tracker(), np.random.default_rng(0)
    look = clothes(1)[0]
    for i in range(45):
        people = [(figure(0), 200 + 8 * (-1) ** i, 300, 160)]
        if i < 15:
            people = [(figure(0), 200, 300, 160), (figure(1), 240, 300, 160)]
        tracks = tracker.update(scene(people), stamp(i / 10), seen([look] * len(people), rng, 0.1))
        assert i < 10 or 1 in tracks.ids
    assert tracks.ids.tolist() == [1]


def test_a_runner_is_followed_at_one_image_a_second() -> None:
    tracker = make_tracker()
    for t in range(8):
        tracks = tracker.update(scene([(figure(0), 100 + 150 * t, 300, 160)]), stamp(t))
    assert (tracks.ids.tolist(), tracks.track_ids.tolist()) == ([1], [1])


def test_a_child_where_an_adult_was_lost_is_somebody_else() -> None:
    tracker = make_tracker()
    for i in range(25):
        people = [(figure(0), 300, 300, 160)] if i < 10 else []
        people = [(figure(1), 300, 300, 60)] if i >= 15 else people
        tracks = tracker.update(scene(people), stamp(i / 10))
    assert tracks.ids.tolist() == [2]


@pytest.mark.parametrize(("hidden", "number"), [(False, 1), (True, 2)])
def test_a_change_of_light_is_forgiven_in_sight_alone(hidden: bool, number: int) -> None:
    """Looks of which a little less than half is left, at the same place."""
    (look, other), tracker = clothes(2), make_tracker()
    rng = np.random.default_rng(0)
    for i in range(30):
        there = not hidden or i < 10 or i >= 18
        poses = scene([(figure(0), 300, 300, 160)] * there)
        now = look if i < 10 else turned(look, other, 0.45)
        tracks = tracker.update(poses, stamp(i / 10), seen([now] * there, rng, 0))
        assert i != 9 or tracks.ids.tolist() == [1]
    assert tracks.ids.tolist() == [number]


def test_looks_of_great_weight_decide_between_two_who_are_much_alike() -> None:
    """They have the same pose and change places while both are out of sight."""
    look, other = clothes(2)
    looks, rng = np.stack([look, turned(look, other, 0.6)]), np.random.default_rng(0)
    tracker, shape = make_tracker(appearance_weight=10.0), figure(0)
    for i in range(45):
        t = i / 15
        x = (100, 170) if t < 1 else (170, 100)
        people = [] if 1 <= t < 1.4 else [(shape, x[0], 300, 160), (shape, x[1], 300, 160)]
        tracks = tracker.update(scene(people), stamp(t), seen(looks[: len(people)], rng, 0.1))
    assert tracks.ids[np.argsort(tracks.poses.source)].tolist() == [1, 2]


def test_a_faint_box_keeps_nobody_who_looks_otherwise() -> None:
    look, other = clothes(2)
    for now, kept in ((look, True), (other, False)):
        tracker, rng = make_tracker(), np.random.default_rng(0)
        for i in range(15):
            score, worn = (0.9, look) if i < 10 else (0.3, now)
            poses = scene([(figure(0), 100, 300, 160, score)])
            tracks = tracker.update(poses, stamp(i / 10), seen([worn], rng, 0.1))
        assert (len(tracks) == 1) == kept


def test_who_was_followed_without_looks_keeps_the_number_when_looks_are_known() -> None:
    tracker, rng = make_tracker(), np.random.default_rng(0)
    for i in range(20):
        poses = scene([(figure(0), 100, 300, 160)])
        tracks = tracker.update(poses, stamp(i / 10), seen(clothes(1), rng) if i >= 10 else None)
    assert (tracks.ids.tolist(), tracks.track_ids.tolist()) == ([1], [1])


def test_of_two_boxes_on_a_person_the_one_that_fits_is_theirs() -> None:
    tracker = make_tracker()
    for i in range(10):
        doubled = [(figure(0), 100, 300, 160), (figure(0), 104, 302, 160, 0.6)]
        tracks = tracker.update(scene(doubled if i >= 5 else doubled[:1]), stamp(i / 10))
        assert tracks.poses.source.tolist() == [0]
