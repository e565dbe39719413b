# SPDX-License-Identifier: Apache-2.0
"""Which detections begin a track, at the edge of each threshold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tracking_scenes import figure, make_tracker, scene, stamp

from alphapose_ros.base.skeletons import HALPE136


@pytest.mark.parametrize(("score", "count"), [(0.5, 1), (0.49, 0)])
def test_a_track_begins_from_start_score_on(score: float, count: int) -> None:
    tracks = make_tracker().update(scene([(figure(0), 100, 300, 160, score)]), stamp(0))
    assert len(tracks) == count


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_of_two_boxes_around_one_newcomer_the_surer_one_begins_the_track(order: list[int]) -> None:
    doubled = scene([(figure(0), 100, 300, 160, 0.6), (figure(0), 102, 300, 160, 0.9)])[order]
    tracks = make_tracker().update(doubled, stamp(0))
    assert tracks.poses.box_scores.tolist() == [np.float32(0.9)]


def test_numbers_of_two_who_are_as_sure_do_not_depend_on_their_order() -> None:
    people = scene([(figure(0), 100, 300, 160), (figure(1), 600, 300, 160)])
    places = []
    for poses in (people, people[[1, 0]]):
        tracker = make_tracker()
        for i in range(5):
            tracks = tracker.update(poses, stamp(i / 10))
        places.append(dict(zip(tracks.ids.tolist(), tracks.poses.boxes[:, 0], strict=True)))
    assert places[0] == places[1]
    assert sorted(places[0]) == [1, 2]


def test_a_sure_face_on_a_poster_begins_no_track() -> None:
    body = HALPE136.parts["body"]
    poses = scene([(figure(0, HALPE136), 100, 300, 160)], HALPE136, joint_score=0.9)
    scores = poses.scores.copy()
    scores[:, body] = 0.25
    tracker = make_tracker(skeleton=HALPE136)
    assert len(tracker.update(replace(poses, scores=scores), stamp(0))) == 0
    assert len(tracker.update(poses, stamp(0.1))) == 1


def test_a_pose_network_that_knows_five_joints_begins_tracks() -> None:
    poses = scene([(figure(0), 100, 300, 160)])
    scores = np.zeros((1, 17), np.float32)
    scores[:, :5] = 0.6
    assert len(make_tracker().update(replace(poses, scores=scores), stamp(0))) == 1


def test_a_tracker_may_do_without_faint_detections() -> None:
    tracker = make_tracker(low_score=0.5, high_score=0.5)
    for i in range(10):
        score = 0.9 if i < 5 else 0.4
        tracks = tracker.update(scene([(figure(0), 100, 300, 160, score)]), stamp(i / 10))
        assert len(tracks) == (i < 5)
