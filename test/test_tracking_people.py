# SPDX-License-Identifier: Apache-2.0
"""People who walk, cross, hide and come back keep their numbers."""

import numpy as np
import pytest
from tracking_scenes import figure, make_tracker, scene, stamp, walk

from alphapose_ros.base.records import Appearance, Poses, TrackState


@pytest.mark.parametrize("fps", [5, 15, 30, 60])
def test_walking_people_keep_their_numbers_at_any_rate(fps):
    """Three people of other sizes, walking and running (up to 2.5 sizes a second)."""
    tracker, seen = make_tracker(), []
    for i in range(4 * fps):
        t = i / fps
        people = [(figure(0), 100 + 90 * t, 200, 160), (figure(1), 900 - 250 * t, 420, 160),
                  (figure(2), 500, 650 - 30 * t, 90 + 10 * t)]  # fmt: skip
        seen.append(tracker.update(scene(people), stamp(t)))
    for tracks in seen[fps:]:
        assert dict(zip(tracks.poses.source, tracks.ids, strict=True)) == dict(
            zip(seen[-1].poses.source, seen[-1].ids, strict=True)
        )
        assert sorted(tracks.ids) == [1, 2, 3]
    velocity = seen[-1].velocities[np.argsort(seen[-1].poses.source)]
    np.testing.assert_allclose(velocity[:2, 0], [90, -250], rtol=0.15)


def test_irregular_and_dropped_frames_change_no_number():
    rng = np.random.default_rng(0)
    tracker, t, pairs = make_tracker(), 0.0, set()
    for i in range(150):
        t += rng.choice([1 / 30, 1 / 30, 1 / 15, 0.3, 0.6])
        people = [(figure(0), 200 + 40 * t, 300, 150), (figure(1), 4000 - 60 * t, 300, 150)]
        tracks = tracker.update(scene(people), stamp(t))
        if i > 6:
            pairs |= set(zip(tracks.poses.source, tracks.ids, strict=True))
    assert len(pairs) == 2
    assert set(tracks.track_ids) == {1, 2}  # slow frames are not losses


@pytest.mark.parametrize("fps", [5, 10, 30])
def test_two_people_who_cross_keep_their_numbers(fps):
    def place(t):
        return [(figure(0), 100 + 80 * t, 200, 160), (figure(1), 580 - 80 * t, 205, 160)]

    history = walk(make_tracker(), 6, place, fps)
    before, after = history[2 * fps], history[-1]
    assert before == after
    assert sorted(after.values()) == [1, 2]


@pytest.mark.parametrize("fps", [5, 10, 30])
def test_who_is_hidden_behind_another_keeps_the_number(fps):
    """They meet at t = 3 s; the second is not detected for a second around that."""

    def place(t):
        hidden = 2.5 <= t < 3.5
        second = None if hidden else (figure(1), 580 - 80 * t, 205, 160)
        return [(figure(0), 100 + 80 * t, 200, 160), second]

    history = walk(make_tracker(), 6, place, fps)
    assert history[2 * fps] == history[-1]
    assert len(history[-1]) == 2


@pytest.mark.parametrize("speed", [0, 60, 150])
def test_a_second_of_occlusion_keeps_the_number_and_ends_the_track(speed):
    tracker, rows = make_tracker(), {}
    for i in range(60):
        t = i / 15
        people = [] if 1.5 <= t < 2.5 else [(figure(0), 200 + speed * t, 300, 160)]
        tracks = tracker.update(scene(people), stamp(t))
        rows[i] = (tracks.ids.tolist(), tracks.track_ids.tolist())
    assert rows[20] == ([1], [1])
    assert rows[30] == ([], [])
    assert rows[40] == rows[59] == ([1], [2])


@pytest.mark.parametrize(("absent_s", "track"), [(0.2, 1), (0.3, 2)])
def test_a_new_track_begins_after_more_than_gap_s(absent_s, track):
    """``gap_s`` is 0.25: from the last image with the person to the next one."""
    tracker = make_tracker()
    for t in np.arange(0, 2, 0.05):
        away = 1.0 < t < 0.999 + absent_s
        tracks = tracker.update(scene([] if away else [(figure(0), 200, 300, 160)]), stamp(t))
    assert (tracks.ids.tolist(), tracks.track_ids.tolist()) == ([1], [track])


def test_who_leaves_and_returns_at_the_border_keeps_the_number():
    def place(t):
        away = 2.0 <= t < 4.0
        x = 150 - 60 * t if t < 2 else 60 * (t - 4) + 30
        return [None if away else (figure(0), x, 300, 160)]

    history = walk(make_tracker(), 6, place)
    assert history[25] == history[-1] == {0: 1}


def test_a_stranger_at_another_place_is_not_the_lost_person():
    def place(t):
        return [(figure(0), 100, 300, 160) if t < 2 else None,
                (figure(1), 700, 300, 160) if t >= 3 else None]  # fmt: skip

    history = walk(make_tracker(), 5, place)
    assert history[20] == {0: 1}
    assert history[-1] == {1: 2}


def test_a_single_missed_frame_does_not_end_the_track():
    tracker = make_tracker()
    for i in range(30):
        tracks = tracker.update(
            scene([] if i in (10, 20) else [(figure(0), 100 + i, 300, 160)]), stamp(i / 15)
        )
    assert (tracks.ids.tolist(), tracks.track_ids.tolist()) == ([1], [1])


def test_appearance_tells_twins_apart_after_they_met():
    """Two people with the same pose swap places while both are out of sight."""
    looks = np.eye(2, dtype=np.float32)
    names = {}
    for use in (False, True):
        tracker, shape = make_tracker(appearance_weight=3.0), figure(0)
        for i in range(45):
            t = i / 15
            x = (100, 170) if t < 1 else (170, 100)
            poses = scene([(shape, x[0], 300, 160), (shape, x[1], 300, 160)])
            if 1 <= t < 1.4:
                poses = scene([])
            appearance = Appearance(looks[: len(poses)], np.ones(len(poses)))
            tracks = tracker.update(poses, stamp(t), appearance if use else None)
            if len(tracks):
                names[use, i] = tracks.ids[np.argsort(tracks.poses.source)].tolist()
        assert names[use, 10] == [1, 2]
    assert names[True, 44] == [1, 2]
    assert names[False, 44] == [2, 1]


def test_confidence_falls_where_two_people_are_confused():
    tracker, shape = make_tracker(), figure(0)
    for i in range(90):
        t = i / 15
        people = [(shape, 100 + 80 * t, 200, 160), (shape, 580 - 80 * t, 202, 160)]
        tracks = tracker.update(scene(people), stamp(t))
        if i == 20:
            np.testing.assert_array_equal(tracks.identity_confidence, 1)
    assert (tracks.identity_confidence < 0.95).all()
    assert (tracks.identity_confidence > 0).all()


def test_a_post_near_where_someone_was_lost_is_not_that_person():
    tracker = make_tracker(publish_lost_s=3.0)
    for i in range(30):
        there = [(figure(0), 300 - 8 * i, 300, 160)] if i < 15 else []
        poses = scene([*there, (figure(1), 150, 310, 150)])
        joints = poses.scores.copy()
        joints[-1] = 0.25  # the post
        poses = Poses(
            poses.keypoints, joints, poses.boxes, poses.box_scores, poses.source, poses.skeleton
        )
        tracks = tracker.update(poses, stamp(i / 10))
        assert (tracks.poses.source <= 0).all() or i >= 15
    assert tracks.states.tolist() == [TrackState.LOST]
