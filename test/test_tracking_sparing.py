# SPDX-License-Identifier: Apache-2.0
"""What is spared: embeddings of people who walk alone, and the detector between its images."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tracking_scenes import SECOND, clothes, figure, make_tracker, scene, seen, stamp

from alphapose_ros.base.custom_skeleton import make_skeleton
from alphapose_ros.base.records import Appearance, Poses, TrackState
from alphapose_ros.base.skeletons import COCO17
from alphapose_ros.tracking.config import TrackerConfig
from alphapose_ros.tracking.expectation import Expectation

ANNA, BEN = figure(1), figure(2)


def followed(people, seconds=1.0, fps=10, **changes):
    """A tracker that has seen everybody, each from (figure, x, y, height), and the last time."""
    tracker, rng = make_tracker(**changes), np.random.default_rng(0)
    looks = clothes(len(people))
    for i in range(int(seconds * fps) + 1):
        tracker.update(scene(people), stamp(i / fps), seen(looks, rng))
    return tracker, seconds


def test_who_walks_alone_and_was_seen_just_now_is_not_looked_at():
    people = [(ANNA, 100, 200, 200), (BEN, 400, 200, 200)]
    tracker, last = followed(people, look_interval_s=0.5)
    assert not tracker.worth_a_look(scene(people), stamp(last + 0.1)).any()
    assert tracker.worth_a_look(scene(people), stamp(last + 0.6)).all()


def test_who_is_new_or_near_somebody_or_elsewhere_is_looked_at():
    people = [(ANNA, 100, 200, 200), (BEN, 400, 200, 200)]
    tracker, last = followed(people)
    later = stamp(last + 0.1)
    newcomer = scene([*people, (figure(3), 700, 200, 200)])
    assert tracker.worth_a_look(newcomer, later).tolist() == [False, False, True]
    crossing = scene([(ANNA, 380, 200, 200), (BEN, 400, 200, 200)])
    assert tracker.worth_a_look(crossing, later).all()
    elsewhere = scene([(ANNA, 150, 200, 200), (BEN, 400, 200, 200)])
    assert tracker.worth_a_look(elsewhere, later).tolist() == [True, False]
    doubled = scene([*people, (ANNA, 108, 200, 200)])
    assert tracker.worth_a_look(doubled, later).tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("known", "found"),
    [
        ([100, 150], [100]),  # it may be the other one
        ([100], [85, 155]),  # who of the two?
        ([100], [115, 175]),  # somebody else leans on them
    ],
)
def test_whose_place_another_could_have_taken_is_looked_at(
    known: list[int], found: list[int]
) -> None:
    tracker, last = followed([(figure(x), x, 200, 200) for x in known])
    poses = scene([(figure(known[0]), x, 200, 200) for x in found])
    assert tracker.worth_a_look(poses, stamp(last + 0.1))[0]


def test_who_walks_alone_and_fast_is_not_looked_at() -> None:
    tracker, last = followed([(ANNA, 100, 200, 200)])
    assert not tracker.worth_a_look(scene([(ANNA, 115, 200, 200)]), stamp(last + 0.1)).any()


def test_tentative_and_returning_people_are_looked_at():
    tracker = make_tracker()
    tracker.update(
        scene([(ANNA, 100, 200, 200)]), stamp(0), seen(clothes(1), np.random.default_rng(0))
    )
    assert tracker.worth_a_look(scene([(ANNA, 100, 200, 200)]), stamp(0.1)).all()
    tracker, last = followed([(ANNA, 100, 200, 200)])
    tracker.update(scene([]), stamp(last + 0.1))
    assert tracker.worth_a_look(scene([(ANNA, 100, 200, 200)]), stamp(last + 0.2)).all()


def test_nobody_and_no_interval():
    tracker, last = followed([(ANNA, 100, 200, 200)], look_interval_s=0)
    assert tracker.worth_a_look(scene([(ANNA, 100, 200, 200)]), stamp(last + 0.01)).all()
    assert tracker.worth_a_look(scene([]), stamp(last + 0.01)).shape == (0,)
    assert make_tracker().worth_a_look(scene([(ANNA, 1, 2, 3)]), 0).all()


def test_turns_are_spread_over_the_interval():
    people = [(figure(i), 100 + 150 * i, 200, 200) for i in range(8)]
    tracker, last = followed(people, look_interval_s=1.0)
    counts = [int(tracker.worth_a_look(scene(people), stamp(last + t)).sum())
              for t in (0.45, 0.65, 0.85, 1.01)]  # fmt: skip
    assert counts[0] == 0
    assert 0 < counts[1] < counts[2] < counts[3] == 8


def test_an_image_without_looks_changes_nothing_that_is_known_of_a_person():
    tracker, last = followed([(ANNA, 100, 200, 200)])
    before = tracker._people[0].look.mean.copy()
    nothing = Appearance(np.zeros((1, 64), np.float32), np.zeros(1, np.float32))
    tracks = tracker.update(scene([(ANNA, 101, 200, 200)]), stamp(last + 0.1), nothing)
    assert tracks.ids.tolist() == [1]
    np.testing.assert_array_equal(tracker._people[0].look.mean, before)
    assert tracker._people[0].looked_ns == stamp(last)


@pytest.mark.parametrize("people", [[], [(ANNA, 100, 200, 200)]])
def test_a_detector_is_needed_while_nobody_is_followed(people):
    tracker = make_tracker()
    assert tracker.expectation(stamp(0)) is None
    tracker.update(scene(people), stamp(0))
    assert tracker.expectation(stamp(0.1)) is None  # nobody, or a tentative track


def test_a_detector_is_needed_when_somebody_was_just_lost():
    people = [(ANNA, 100, 200, 200), (BEN, 400, 200, 200)]
    tracker, last = followed(people)
    assert tracker.expectation(stamp(last + 0.1)) is not None
    tracker.update(scene(people[:1]), stamp(last + 0.1))
    assert tracker._people[1].state == TrackState.LOST
    assert tracker.expectation(stamp(last + 0.2)) is None
    for i in range(2, 6):
        tracker.update(scene(people[:1]), stamp(last + i / 10))
    assert len(tracker.expectation(stamp(last + 0.6)).boxes) == 1  # not back so soon


@pytest.mark.parametrize("count", [1, 2, 3])
def test_people_of_few_joints_are_found_where_they_are_expected(count):
    """A helmet may be all that a network of one's own knows."""
    skeleton = make_skeleton({"name": "own", "keypoints": [f"part_{k}" for k in range(count)]})
    tracker = make_tracker(skeleton=skeleton)

    def helmets(x):
        points = np.array([[[x + 20 + 7 * k, 110 + 30 * k] for k in range(count)]], np.float32)
        box = np.array([[x, 100, x + 40, 200]], np.float32)
        return Poses(points, np.full((1, count), 0.9), box, [0.9], [0], skeleton)

    for i in range(10):
        tracker.update(helmets(100.0), stamp(i / 10))
    expected = tracker.expectation(stamp(1.0))
    found = expected.found(replace(helmets(103.0), boxes=expected.boxes), tracker.config)
    np.testing.assert_allclose(found.boxes, [[103, 100, 143, 200]], atol=1)
    faint = replace(helmets(103.0), scores=np.full((1, count), 0.01, np.float32))
    assert len(expected.found(faint, tracker.config)) == 0


@given(st.floats(-15, 15), st.floats(-15, 15), st.floats(0.9, 1.1))
def test_boxes_follow_their_joints(dx, dy, growth):
    tracker, last = followed([(ANNA, 100, 200, 200), (BEN, 400, 220, 210)])
    expected = tracker.expectation(stamp(last + 0.1))
    np.testing.assert_allclose(expected.detections.scores, 0.9)
    moved = [(ANNA, 100 + dx, 200 + dy, 200 * growth), (BEN, 400, 220, 210)]
    truth = scene(moved)
    found = expected.found(
        Poses(truth.keypoints, truth.scores, expected.boxes, expected.box_scores,
              np.arange(2), COCO17), TrackerConfig(),
    )  # fmt: skip
    assert len(found) == 2
    np.testing.assert_allclose(found.boxes, truth.boxes, atol=1.5)


def test_a_box_that_nobody_is_left_in_finds_nobody():
    tracker, last = followed([(ANNA, 100, 200, 200), (BEN, 400, 200, 200)])
    expected = tracker.expectation(stamp(last + 0.1))
    truth = scene([(ANNA, 100, 200, 200), (BEN, 400, 200, 200)])
    scores = truth.scores.copy()
    scores[1] = 0.15  # joints are seen everywhere, but hardly
    config = TrackerConfig()
    poses = Poses(
        truth.keypoints, scores, expected.boxes, expected.box_scores, np.arange(2), COCO17
    )
    assert expected.found(poses, config).source.tolist() == [0]
    scores[0, 2:] = 0.01  # two joints do not make a box
    poses = Poses(
        truth.keypoints, scores, expected.boxes, expected.box_scores, np.arange(2), COCO17
    )
    assert len(expected.found(poses, config)) == 0
    assert len(expected.found(Poses.empty(COCO17), config)) == 0


def shown_in(expected: Expectation, poses: Poses, scores: np.ndarray) -> Poses:
    """What the pose network finds in the boxes: these joints with these scores."""
    rows = np.arange(len(poses))
    return Poses(poses.keypoints, scores, expected.boxes, expected.box_scores, rows, COCO17)


def test_a_detector_is_needed_while_somebody_new_is_beside_who_is_followed() -> None:
    people = [(ANNA, 100, 200, 200), (BEN, 400, 200, 200)]
    tracker, last = followed(people[:1])
    tracker.update(scene(people), stamp(last + 0.1))
    assert tracker.expectation(stamp(last + 0.2)) is None


@pytest.mark.parametrize(
    ("before", "now", "kept"),
    [(0.9, 0.5, True), (0.5, 0.4, True), (0.9, 0.4, False), (0.5, 0.3, False)],
)
def test_a_pose_may_fade_or_be_as_sure_as_one_that_begins_a_track(
    before: float, now: float, kept: bool
) -> None:
    tracker, truth = make_tracker(), [(ANNA, 100, 200, 200)]
    for i in range(10):
        tracker.update(scene(truth, joint_score=before), stamp(i / 10))
    expected, poses = tracker.expectation(stamp(1.0)), scene(truth)
    assert expected is not None
    found = expected.found(shown_in(expected, poses, np.full((1, 17), now)), tracker.config)
    assert len(found) == kept


@pytest.mark.parametrize(("count", "kept"), [(2, False), (3, True)])
def test_three_joints_tell_where_somebody_is(count: int, kept: bool) -> None:
    tracker, last = followed([(ANNA, 100, 200, 200)])
    expected = tracker.expectation(stamp(last + 0.1))
    scores = np.zeros((1, 17))
    scores[0, :count] = 0.8
    poses = shown_in(expected, scene([(ANNA, 100, 200, 200)]), scores)
    assert len(expected.found(poses, tracker.config)) == kept


@pytest.mark.parametrize(
    ("before", "now", "away_px", "error_px"),
    [(0.8, 0.0, 200, 0.1), (0.05, 0.8, 200, 0.1), (0.8, 0.05, 200, 0.1), (0.8, 0.15, 60, 4),
     (0.15, 0.8, 60, 4)],
)  # fmt: skip
def test_a_joint_that_is_hardly_seen_hardly_moves_the_box(
    before: float, now: float, away_px: float, error_px: float
) -> None:
    """It is found elsewhere, in the images before or in the new one."""
    tracker, truth = make_tracker(), scene([(ANNA, 100, 200, 200)])
    stray = truth.keypoints.copy()
    stray[0, 0, 1] += away_px
    scores = truth.scores.copy()
    for i in range(10):
        scores[0, 0] = before
        places = stray if before < now else truth.keypoints
        poses = replace(truth, keypoints=places, scores=scores.copy())
        tracker.update(poses, stamp(i / 10))
    expected = tracker.expectation(stamp(1.0))
    scores[0, 0] = now
    places = truth.keypoints if before < now else stray
    poses = shown_in(expected, replace(truth, keypoints=places), scores)
    found = expected.found(poses, tracker.config)
    np.testing.assert_allclose(found.boxes, truth.boxes, atol=error_px)


@pytest.mark.parametrize(("growth", "shown"), [(2.0, 1.25), (0.5, 0.8)])
def test_no_box_grows_or_shrinks_by_more_than_a_quarter_at_once(
    growth: float, shown: float
) -> None:
    tracker, last = followed([(ANNA, 300, 300, 200)])
    expected = tracker.expectation(stamp(last + 0.1))
    poses = scene([(ANNA, 300, 300, 200 * growth)])
    found = expected.found(shown_in(expected, poses, poses.scores), tracker.config)
    sides = found.boxes[0, 2:] - found.boxes[0, :2]
    np.testing.assert_allclose(sides, np.array([80, 200]) * shown, rtol=0.02)


def test_where_one_of_two_boxes_shows_nobody_the_other_follows_its_own_joints() -> None:
    tracker, last = followed([(ANNA, 100, 200, 200), (BEN, 400, 200, 200)])
    expected = tracker.expectation(stamp(last + 0.1))
    truth = scene([(BEN, 410, 205, 240)])
    found = expected.found(replace(truth, source=np.array([1])), tracker.config)
    np.testing.assert_allclose(found.boxes, truth.boxes, atol=0.5)


def test_boxes_between_two_images_of_the_detector_keep_identities():
    """Two people walk through each other's neighbourhood; the detector looks twice a second."""
    tracker, fps, looked = make_tracker(), 20, 0
    last_detected = -SECOND
    for i in range(6 * fps):
        t = stamp(i / fps)
        truth = scene([(ANNA, 100 + 60 * i / fps, 200, 200), (BEN, 500 - 30 * i / fps, 210, 220)])
        expected = tracker.expectation(t) if t - last_detected < SECOND / 2 else None
        if expected is None:
            last_detected, looked, poses = t, looked + 1, truth
        else:
            near = [int(np.abs(truth.boxes - box).sum(1).argmin()) for box in expected.boxes]
            found = Poses(truth.keypoints[near], truth.scores[near], expected.boxes,
                          expected.box_scores, np.arange(len(near)), COCO17)  # fmt: skip
            poses = expected.found(found, tracker.config)
        tracks = tracker.update(poses, t)
        if i > fps:
            assert sorted(tracks.ids) == [1, 2]
            order = np.argsort(tracks.ids)
            if truth.boxes[0, 2] < truth.boxes[1, 0]:
                np.testing.assert_allclose(tracks.poses.boxes[order], truth.boxes, atol=12)
    assert looked < 25
