# SPDX-License-Identifier: Apache-2.0
"""Record -> message -> record is the identity, for both kinds of message classes."""

from __future__ import annotations

import array
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fake_pipeline import make_tracks
from hypothesis import given
from hypothesis import strategies as st

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.records import FrameResult, Header, Spatial, Tracks, TrackState
from alphapose_ros.base.skeletons import SKELETONS
from alphapose_ros.dds.types import MessageClasses, WireTypes
from alphapose_ros.output.messages import buffer, pose_array_cdr, result_of, skeleton_message

TYPES = WireTypes()
BAGS = MessageClasses(TYPES)
POSES = "alphapose_ros/msg/PoseArray"


def result(count: int, skeleton: str = "halpe136", seed: int = 0) -> FrameResult:
    header = Header("camera", "optical", 1_700_000_000_123_456_789, (480, 640))
    return FrameResult(header, make_tracks(count, SKELETONS[skeleton], seed))


@given(st.integers(0, 12), st.sampled_from(sorted(SKELETONS)), st.integers(0, 99))
def test_round_trip_over_the_wire(count: int, skeleton: str, seed: int) -> None:
    before = result(count, skeleton, seed)
    cdr = pose_array_cdr(before)
    message = TYPES.deserialize(cdr, POSES)
    assert TYPES.serialize(message) == cdr  # byte for byte what another writer makes of it
    after = result_of(message, SKELETONS)
    assert after.header == before.header
    for name in ("ids", "track_ids", "states", "ages_s", "since_seen_s", "identity_confidence"):
        np.testing.assert_array_equal(getattr(after.tracks, name), getattr(before.tracks, name))
    poses, expected = after.tracks.poses, before.tracks.poses
    np.testing.assert_array_equal(poses.keypoints, expected.keypoints)
    np.testing.assert_array_equal(poses.scores, expected.scores)
    np.testing.assert_allclose(poses.boxes, expected.boxes, rtol=1e-5)
    np.testing.assert_allclose(poses.person_scores, expected.person_scores, rtol=1e-5)


def message_of(before: FrameResult, spatial: Spatial | None = None) -> Any:
    return TYPES.deserialize(pose_array_cdr(before, spatial), POSES)


@pytest.mark.parametrize(
    ("values", "typecode"),
    [(np.arange(6, dtype=np.float32), "f"), (np.arange(6, dtype=np.uint32), "I")],
)
def test_rclpys_sequences_are_arrays(values: np.ndarray, typecode: str) -> None:
    found = buffer(values.reshape(2, 3))
    assert isinstance(found, array.array)
    assert (found.typecode, found.tolist()) == (typecode, values.tolist())


@given(st.integers(0, 4), st.sampled_from(sorted(SKELETONS)), st.booleans())
def test_space_over_the_wire(count: int, skeleton: str, has_depth: bool) -> None:
    rng = np.random.default_rng(count)
    joints = len(SKELETONS[skeleton])
    spatial = Spatial(
        rng.normal(size=(count, joints, 3)),
        rng.normal(size=(count, 3)),
        rng.normal(size=(count, 3, 3)),
        rng.normal(size=(count, 3)),
        rng.normal(size=(count, 3, 3)),
        rng.normal(size=count),
        "map",
        has_depth,
        viewpoint=np.zeros(3),
    )
    message = message_of(result(count, skeleton), spatial)
    assert message.spatial_frame == "map"
    assert len(message.poses) == count
    for row, person in enumerate(message.poses):
        expected = spatial.keypoints[row].reshape(-1) if has_depth else []
        np.testing.assert_array_equal(person.keypoints_3d, expected)
        for name in ("position", "velocity"):
            point, covariance = getattr(person, name), getattr(person, f"{name}_covariance")
            rows = {"position": spatial.positions, "velocity": spatial.velocities}[name]
            assert [point.x, point.y, point.z] == rows[row].tolist()
            matrix = getattr(spatial, f"{name}_covariances")[row]
            np.testing.assert_array_equal(covariance, matrix.reshape(-1))
        assert person.heading == spatial.headings[row]


def test_flat_keypoints_are_x_y_score() -> None:
    before = result(2)
    message = message_of(before)
    flat = message.poses[1].keypoints
    poses = before.tracks.poses
    assert flat.shape == (3 * 136,)
    assert flat[3 * 5 : 3 * 5 + 3].tolist() == [*poses.keypoints[1, 5], poses.scores[1, 5]]


def test_unknown_space_is_nan_not_zero() -> None:
    (person,) = message_of(result(1)).poses
    values = [person.position.x, person.velocity.z, person.heading, *person.position_covariance]
    assert np.isnan(values).all()


def test_lost_people_are_listed_as_the_tracker_reports_them() -> None:
    before = result(3)
    states = np.array([TrackState.TRACKED, TrackState.LOST, TrackState.LOST])
    since = np.array([0, 0.4, 2])
    tracks: Tracks = replace(before.tracks, states=states, since_seen_s=since)
    lost = replace(before, tracks=tracks)
    people = message_of(lost).poses
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


def with_spreads(before: FrameResult, spreads: np.ndarray) -> FrameResult:
    poses = replace(before.tracks.poses, keypoint_std=spreads)
    return replace(before, tracks=replace(before.tracks, poses=poses))


def test_spreads_over_the_wire() -> None:
    before = result(3)
    spreads = np.random.default_rng(0).uniform(1, 9, (3, 136)).astype(np.float32)
    spreads[0, 5] = np.nan
    spreads[2] = np.nan  # somebody lost
    message = message_of(with_spreads(before, spreads))
    assert [len(person.keypoint_std) for person in message.poses] == [136] * 3
    after = result_of(message, SKELETONS)
    np.testing.assert_array_equal(after.tracks.poses.keypoint_std, spreads)


def test_spreads_of_nobody_are_left_out() -> None:
    message = message_of(with_spreads(result(2), np.full((2, 136), np.nan)))
    assert [len(person.keypoint_std) for person in message.poses] == [0, 0]
    assert np.isnan(result_of(message, SKELETONS).tracks.poses.keypoint_std).all()


def test_spreads_of_some_other_number_of_joints_are_refused() -> None:
    message = message_of(with_spreads(result(1), np.ones((1, 136))))
    message.poses[0].keypoint_std = message.poses[0].keypoint_std[:7]
    with pytest.raises(InputError, match=r"expected 136 values in keypoint_std, or none, got 7"):
        result_of(message, SKELETONS)
