# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.records import Appearance, Poses, TrackState
from alphapose_ros.base.skeletons import COCO17, HALPE136
from alphapose_ros.tracking.config import TrackerConfig
from alphapose_ros.tracking.identities import IdentitySource
from alphapose_ros.tracking.tracker import Tracker

SECOND = 1_000_000_000
TENTATIVE, TRACKED, LOST = TrackState.TENTATIVE, TrackState.TRACKED, TrackState.LOST


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


def test_life_cycle_step_by_step():
    tracker, one = make_tracker(publish_lost_s=0.3, max_lost_s=1.0), figure(0)

    def step(time_s, present):
        people = [(one, 100 + 50 * time_s, 200, 150)] if present else []
        tracks = tracker.update(scene(people), stamp(time_s))
        return [
            (int(i), int(t), TrackState(s))
            for i, t, s in zip(tracks.ids, tracks.track_ids, tracks.states, strict=True)
        ], tracks

    assert step(0.0, False)[0] == []
    assert step(0.1, True)[0] == [(0, 1, TENTATIVE)]
    assert step(0.2, True)[0] == [(0, 1, TENTATIVE)]
    rows, tracks = step(0.3, True)
    assert rows == [(1, 1, TRACKED)]
    assert tracks.ages_s[0] == pytest.approx(0.2)
    assert tracks.identity_confidence[0] == 1
    rows, tracks = step(0.4, False)
    assert rows == [(1, 1, LOST)]
    assert not tracks.poses.scores.any()
    assert tracks.poses.source.tolist() == [-1]
    assert tracks.since_seen_s[0] == pytest.approx(0.1)
    assert step(0.6, False)[0] == [(1, 1, LOST)]
    assert step(0.7, False)[0] == []  # longer lost than it is published
    rows, tracks = step(1.0, True)
    assert rows == [(1, 2, TRACKED)]  # the same person, a new track
    assert tracks.ages_s[0] == 0
    assert 0 < tracks.identity_confidence[0] < 1
    assert step(1.5, False)[0] == []
    assert step(2.1, False)[0] == []  # 1.1 s unseen: forgotten
    assert step(2.2, True)[0] == [(0, 3, TENTATIVE)]
    assert step(2.3, True)[0] == [(0, 3, TENTATIVE)]
    assert step(2.4, True)[0] == [(2, 3, TRACKED)]


@pytest.mark.parametrize(("fps", "confirmed_at"), [(1, 2), (5, 2), (10, 2), (30, 5), (60, 9)])
def test_confirmation_takes_hits_and_time(fps, confirmed_at):
    tracker = make_tracker()
    states = [
        tracker.update(scene([(figure(0), 100, 100, 80)]), stamp(i / fps)).states[0]
        for i in range(12)
    ]
    assert states == [TENTATIVE] * confirmed_at + [TRACKED] * (12 - confirmed_at)


def test_a_flash_never_gets_an_identity():
    identities = IdentitySource()
    tracker = make_tracker(identities)
    for i in range(60):
        people = [(figure(i), 100 + 7 * i, 200, 150)] if i % 3 == 0 else []
        assert (tracker.update(scene(people), stamp(i / 5)).ids == 0).all()
    assert identities.new_identity() == 1


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


def test_faint_detections_keep_people_and_begin_none():
    tracker = make_tracker()
    for i in range(40):
        score = 0.9 if i < 10 else 0.2
        people = [(figure(0), 100 + 3 * i, 300, 160, score), (figure(1), 800, 300, 160, 0.3)]
        tracks = tracker.update(scene(people), stamp(i / 15))
        assert tracks.poses.source.tolist() == [0]
    assert (tracks.ids.tolist(), tracks.track_ids.tolist()) == ([1], [1])


def test_boxes_without_a_credible_pose_begin_no_track():
    tracker = make_tracker()
    for i in range(10):
        poses = scene([(figure(0), 100, 300, 160)], joint_score=0.03)
        assert len(tracker.update(poses, stamp(i / 10))) == 0


def test_a_duplicate_box_on_a_tracked_person_begins_no_track():
    tracker = make_tracker()
    for i in range(10):
        people = [(figure(0), 100, 300, 160), (figure(0), 102, 301, 160, 0.6)]
        assert len(tracker.update(scene(people), stamp(i / 10))) == 1


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


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 100_000), st.integers(1, 6), st.sampled_from([4.0, 15.0, 60.0]))
def test_numbers_are_unique_and_never_come_back(seed, people, fps):
    """Random walks with drop-outs and faint scores: the invariants of the life cycle."""
    rng = np.random.default_rng(seed)
    tracker = make_tracker(publish_lost_s=0.5, max_lost_s=1.0)
    places = rng.uniform(100, 900, (people, 2))
    shapes = [figure(k) for k in range(people)]
    present = np.ones(people, bool)
    last_seen, owner_of_track, retired = {}, {}, set()
    for i in range(60):
        places += rng.normal(0, 60 / fps, places.shape)
        present ^= rng.random(people) < 0.08
        rows = [
            (shapes[k], *places[k], 120, rng.uniform(0.05, 1)) for k in range(people) if present[k]
        ]
        now = i / fps
        tracks = tracker.update(scene(rows), stamp(now))
        ids = tracks.ids[tracks.ids > 0].tolist()
        assert len(set(ids)) == len(ids)
        assert len(set(tracks.track_ids.tolist())) == len(tracks)
        assert ((tracks.ids == 0) == (tracks.states == TENTATIVE)).all()
        seen = tracks.states != LOST
        assert ((tracks.poses.source >= 0) == seen).all()
        assert (tracks.since_seen_s[seen] == 0).all()
        assert (tracks.since_seen_s <= 0.5 + 1e-6).all()
        assert ((tracks.identity_confidence >= 0) & (tracks.identity_confidence <= 1)).all()
        sources = tracks.poses.source[seen].tolist()
        assert len(set(sources)) == len(sources)
        known = tracks.ids > 0
        for number, track, is_seen in zip(ids, tracks.track_ids[known], seen[known], strict=True):
            assert owner_of_track.setdefault(int(track), number) == number
            assert number not in retired
            if is_seen:
                last_seen[number] = now
        retired |= {n for n, t in last_seen.items() if now - t > 1.5}


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 100_000))
def test_order_of_detections_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    first, second = make_tracker(), make_tracker()
    places = rng.uniform(100, 500, (5, 2))
    for i in range(25):
        places += rng.normal(0, 5, places.shape)
        there = [
            (figure(k), *places[k], 120, 0.9 - 0.01 * k) for k in range(5) if rng.random() > 0.1
        ]
        poses = scene(there)
        order = rng.permutation(len(poses))
        a = first.update(poses, stamp(i / 10))
        b = second.update(poses[order], stamp(i / 10))
        for name in ("ids", "track_ids", "states", "velocities", "identity_confidence"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
        np.testing.assert_array_equal(a.poses.source, b.poses.source)
        np.testing.assert_array_equal(a.poses.keypoints, b.poses.keypoints)


def test_cameras_share_numbers_and_reset_gives_new_ones():
    identities = IdentitySource()
    cameras = [make_tracker(identities), make_tracker(identities)]
    numbers = []
    for run in range(2):
        for i in range(5):
            for k, camera in enumerate(cameras):
                tracks = camera.update(scene([(figure(k), 100, 100, 80)]), stamp(i / 10))
                if i == 4:
                    numbers.append((int(tracks.ids[0]), int(tracks.track_ids[0])))
        for camera in cameras:
            camera.reset()
        assert run in (0, 1)
    assert len({n for n, _ in numbers}) == len({t for _, t in numbers}) == 4


@pytest.mark.parametrize("later_ns", [0, -1, -5 * SECOND])
def test_a_clock_that_does_not_advance_is_refused_until_reset(later_ns):
    tracker = make_tracker()
    tracker.update(scene([]), stamp(0))
    with pytest.raises(InputError, match=r"expected a stamp after \d+ ns, got \d+ ns"):
        tracker.update(scene([]), stamp(0) + later_ns)
    tracker.reset()
    assert len(tracker.update(scene([]), stamp(0) + later_ns)) == 0


def test_records_that_do_not_fit_are_refused():
    tracker = make_tracker()
    with pytest.raises(InputError, match="expected poses of skeleton 'coco17', got 'halpe136'"):
        tracker.update(Poses.empty(HALPE136), 1)
    with pytest.raises(InputError, match="expected 0 rows of appearance, got 2"):
        tracker.update(scene([]), 1, Appearance(np.eye(2), np.ones(2)))


def test_poses_without_any_known_joint_are_tracked_by_their_boxes():
    tracker = make_tracker(start_pose_score=0.0)
    for i in range(20):
        people = [(figure(i), 100 + 4 * i, 300, 160), (figure(100 + i), 600 - 4 * i, 300, 160)]
        tracks = tracker.update(scene(people, joint_score=0.0), stamp(i / 15))
    assert sorted(tracks.ids) == [1, 2]


def test_garbage_in_joints_of_score_zero_changes_nothing():
    rng, results = np.random.default_rng(0), []
    for garbage in (0.0, 1e4):
        tracker = make_tracker(skeleton=HALPE136)
        for i in range(15):
            t = i / 10
            people = [(figure(0, HALPE136), 100 + 60 * t, 200, 160),
                      (figure(1, HALPE136), 250 - 60 * t, 200, 160)]  # fmt: skip
            poses = scene(people, HALPE136)
            keypoints, scores = poses.keypoints.copy(), poses.scores.copy()
            scores[:, 5:9] = 0
            keypoints[:, 5:9] += garbage * rng.random((2, 4, 2))
            poses = Poses(keypoints, scores, poses.boxes, poses.box_scores, poses.source, HALPE136)
            tracks = tracker.update(poses, stamp(t))
        results.append((tracks.ids.tolist(), tracks.identity_confidence.tolist()))
    assert results[0] == results[1]


def test_smoothing_is_off_by_default_and_touches_only_the_joints_shown():
    rng = np.random.default_rng(0)
    plain, smooth = make_tracker(), make_tracker(smoothing=True)
    for i in range(40):
        poses = scene([(figure(0) + rng.normal(0, 0.02, (17, 2)), 300, 300, 200)])
        a, b = plain.update(poses, stamp(i / 15)), smooth.update(poses, stamp(i / 15))
        np.testing.assert_array_equal(a.poses.keypoints, poses.keypoints)
        np.testing.assert_array_equal(a.poses.boxes, b.poses.boxes)
        np.testing.assert_array_equal(a.velocities, b.velocities)
    middle = 300 + (figure(0) - 0.5) * np.array([80, 200])
    assert (
        np.abs(b.poses.keypoints[0] - middle).mean() < np.abs(poses.keypoints[0] - middle).mean()
    )
