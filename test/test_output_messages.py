# SPDX-License-Identifier: Apache-2.0
"""Record -> message -> record is the identity, for both kinds of message classes."""

from __future__ import annotations

import array
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fake_pipeline import make_tracks
from hypothesis import given
from hypothesis import strategies as st

from alphapose_ros.base.records import FrameResult, Header, Tracks, TrackState
from alphapose_ros.base.skeletons import HALPE136, SKELETONS
from alphapose_ros.dds.types import MessageClasses, WireTypes
from alphapose_ros.output.messages import buffer, pose_array, result_of, skeleton_message

TYPES = WireTypes()
BAGS = MessageClasses(TYPES)
POSES = "alphapose_ros/msg/PoseArray"


class RclpyLike:
    """Classes that hold sequences in array.array, as rclpy's do."""

    sequence = staticmethod(buffer)

    def __getattr__(self, name: str) -> Any:
        return lambda **fields: SimpleNamespace(**fields)


def result(count: int, skeleton: str = "halpe136", seed: int = 0) -> FrameResult:
    header = Header("camera", "optical", 1_700_000_000_123_456_789, (480, 640))
    return FrameResult(header, make_tracks(count, SKELETONS[skeleton], seed))


@given(st.integers(0, 12), st.sampled_from(sorted(SKELETONS)), st.integers(0, 99))
def test_round_trip_over_the_wire(count: int, skeleton: str, seed: int) -> None:
    before = result(count, skeleton, seed)
    cdr = TYPES.serialize(pose_array(before, BAGS))
    after = result_of(TYPES.deserialize(cdr, POSES), SKELETONS)
    assert after.header == before.header
    for name in ("ids", "track_ids", "states", "ages_s", "since_seen_s", "identity_confidence"):
        np.testing.assert_array_equal(getattr(after.tracks, name), getattr(before.tracks, name))
    poses, expected = after.tracks.poses, before.tracks.poses
    np.testing.assert_array_equal(poses.keypoints, expected.keypoints)
    np.testing.assert_array_equal(poses.scores, expected.scores)
    np.testing.assert_allclose(poses.boxes, expected.boxes, rtol=1e-5)
    np.testing.assert_allclose(poses.person_scores, expected.person_scores, rtol=1e-5)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_both_kinds_of_classes_get_the_same_numbers(count: int) -> None:
    ros, bags = (pose_array(result(count), classes) for classes in (RclpyLike(), BAGS))
    assert len(ros.poses) == len(bags.poses) == count
    for one, other in zip(ros.poses, bags.poses, strict=True):
        assert isinstance(one.keypoints, array.array)
        assert one.keypoints.typecode == "f"
        assert one.keypoints.tolist() == other.keypoints.tolist()
        assert len(one.keypoint_std) == len(one.keypoints_3d) == 0
        # rclpy accepts exactly these types.
        assert all(type(v) is int for v in (one.id, one.track_id, one.state))
        assert all(type(v) is float for v in (one.score, one.age, one.box.x, one.heading))


def test_flat_keypoints_are_x_y_score() -> None:
    before = result(2)
    message = pose_array(before, BAGS)
    flat = message.poses[1].keypoints
    poses = before.tracks.poses
    assert flat.shape == (3 * 136,)
    assert flat[3 * 5 : 3 * 5 + 3].tolist() == [*poses.keypoints[1, 5], poses.scores[1, 5]]


def test_unknown_space_is_nan_not_zero() -> None:
    (person,) = pose_array(result(1), BAGS).poses
    values = [person.position.x, person.velocity.z, person.heading, *person.position_covariance]
    assert np.isnan(values).all()


def test_lost_people_are_listed_as_the_tracker_reports_them() -> None:
    before = result(3)
    states = np.array([TrackState.TRACKED, TrackState.LOST, TrackState.LOST])
    since = np.array([0, 0.4, 2])
    tracks: Tracks = replace(before.tracks, states=states, since_seen_s=since)
    lost = replace(before, tracks=tracks)
    people = pose_array(lost, BAGS).poses
    assert [(p.id, p.state) for p in people] == [(1, 2), (2, 3), (3, 3)]
    assert [p.since_seen for p in people] == pytest.approx([0, 0.4, 2])


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=str)
def test_skeleton_parts_cover_all_joints_once(skeleton: Any) -> None:
    message = skeleton_message(skeleton, BAGS)
    joints = [j for p in message.parts for j in range(p.first, p.first + p.count)]
    assert joints == list(range(len(skeleton)))
    again = TYPES.deserialize(TYPES.serialize(message), "alphapose_ros/msg/Skeleton")
    assert again.keypoint_names == list(skeleton.keypoint_names)
    assert again.edges.reshape(-1, 2).tolist() == [list(e) for e in skeleton.edges]


def test_states_are_the_messages_constants() -> None:
    constants = TYPES.message_class("alphapose_ros/msg/PersonPose")
    assert {s.name: int(s) for s in TrackState} == {
        s.name: getattr(constants, s.name) for s in TrackState
    }


def test_joints_do_not_become_objects_one_by_one() -> None:
    made: list[str] = []

    class Counting(MessageClasses):
        def __getattr__(self, name: str) -> Any:
            made.append(name)
            return lambda **fields: SimpleNamespace(**fields)

    pose_array(result(10), Counting(TYPES))
    assert len(made) < 10 * 6
    assert len(HALPE136) == 136
