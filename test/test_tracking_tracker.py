# SPDX-License-Identifier: Apache-2.0
"""The life cycle of a track, and what the tracker promises whatever comes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tracking_scenes import SECOND, figure, make_tracker, scene, stamp

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.records import Appearance, Poses, TrackState
from alphapose_ros.base.skeletons import HALPE136
from alphapose_ros.tracking.identities import IdentitySource

TENTATIVE, TRACKED, LOST = TrackState.TENTATIVE, TrackState.TRACKED, TrackState.LOST


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


def test_of_those_out_of_sight_the_lost_alone_are_shown_and_without_any_score() -> None:
    tracker = make_tracker(publish_lost_s=1.0, tentative_lost_s=1.0)
    for i in range(10):
        newcomer = [(figure(1), 600, 200, 150)] if i == 9 else []
        tracker.update(scene([(figure(0), 100, 200, 150), *newcomer]), stamp(i / 10))
    tracks = tracker.update(scene([]), stamp(1.0))
    assert tracks.ids.tolist() == [1]
    assert tracks.poses.box_scores.tolist() == [0]
    assert not tracks.poses.scores.any()


def test_the_pose_of_a_lost_person_grows_with_the_box_while_they_come_nearer() -> None:
    tracker = make_tracker(publish_lost_s=1.0)
    for i in range(20):
        tracker.update(scene([(figure(0), 300, 300, 100 + 5 * i)]), stamp(i / 10))
    tracks = tracker.update(scene([]), stamp(2.7))
    low, high = tracks.poses.boxes[0, :2], tracks.poses.boxes[0, 2:]
    assert high[1] - low[1] > 215
    np.testing.assert_allclose(
        (tracks.poses.keypoints[0] - low) / (high - low), figure(0), atol=0.03
    )


def test_who_walked_away_fast_keeps_a_box_while_out_of_sight() -> None:
    tracker = make_tracker(publish_lost_s=2.0)
    for i in range(10):
        tracker.update(scene([(figure(0), 300, 300, 400 - 35 * i)]), stamp(i / 10))
    (box,) = tracker.update(scene([]), stamp(2.5)).poses.boxes
    assert (box[2:] - box[:2] > 3).all()


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


def test_smoothing_is_switched_while_people_are_followed():
    rng, tracker = np.random.default_rng(0), make_tracker()

    def moved(first: int) -> bool:
        """Whether joints shown differ from those found, in ten images."""
        out = False
        for i in range(first, first + 10):
            poses = scene([(figure(0) + rng.normal(0, 0.02, (17, 2)), 300, 300, 200)])
            shown = tracker.update(poses, stamp(i / 15)).poses.keypoints
            out |= not np.array_equal(shown, poses.keypoints)
        return out

    assert not moved(0)
    tracker.reconfigure(replace(tracker.config, smoothing=True))
    assert moved(10)
    tracker.reconfigure(replace(tracker.config, smoothing=False))
    assert not moved(20)


def test_a_post_whose_joints_are_unsure_begins_no_track_and_a_person_without_legs_does():
    tracker, joints = make_tracker(), np.zeros((2, 17))
    joints[0] = 0.25  # the post
    joints[1, :9] = 0.6  # from the waist up, close to the camera
    joints[1, 9:] = 0.02
    for i in range(10):
        poses = scene([(figure(0), 100, 300, 160), (figure(1), 600, 300, 300)])
        poses = Poses(
            poses.keypoints, joints, poses.boxes, poses.box_scores, poses.source, poses.skeleton
        )
        tracks = tracker.update(poses, stamp(i / 10))
        assert tracks.poses.source.tolist() == [1]
    assert tracks.ids.tolist() == [1]
