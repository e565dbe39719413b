# SPDX-License-Identifier: Apache-2.0
"""The one person to follow: who it is, who takes over when, and where the pose points."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fake_pipeline import make_tracks
from hypothesis import given
from hypothesis import strategies as st
from message_definitions import Definitions
from scipy.spatial.transform import Rotation
from test_spatial_scenes import CAMERA, Scene, camera_at, make_person, see

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.base.records import FrameResult, Header, Spatial, TrackState
from alphapose_ros.base.skeletons import HALPE136, SKELETONS
from alphapose_ros.base.transform import RigidTransform
from alphapose_ros.output.target import (
    MODES,
    TargetSelector,
    facing,
    hand_raised,
    target_pose,
    target_transform,
)
from alphapose_ros.spatial.config import SpatialConfig
from alphapose_ros.spatial.estimator import SpatialEstimator

CLASSES = Definitions()
STAMP = 1_700_000_000_000_000_000
FORWARD, UP = np.array([1.0, 0, 0]), np.array([0, 0, 1.0])


def result(
    at_s: float, ids: list[int], *, up: tuple[int, ...] = (), lost: tuple[int, ...] = ()
) -> FrameResult:
    """People by identity; identities in ``up`` hold a hand up, those in ``lost`` are lost."""
    tracks = make_tracks(len(ids), HALPE136)
    points, scores = tracks.poses.keypoints, tracks.poses.scores
    points[..., 1], scores[...] = 300, 0.9
    for row, identity in enumerate(ids):
        points[row, HALPE136.index("right_wrist"), 1] = 100 if identity in up else 500
    states = [TrackState.LOST if i in lost else TrackState.TRACKED for i in ids]
    tracks = replace(tracks, ids=np.array(ids), track_ids=np.array(ids) + 10, states=states)
    header = Header("camera", "optical", STAMP + round(at_s * 1e9), (480, 640))
    return FrameResult(header, tracks)


def placed(
    positions: Any, headings: Any = None, frame: str = "map", viewpoint: Any = (0, 0, 0)
) -> Spatial:
    count = len(positions)
    places = np.reshape(np.array(positions, float), (count, 3))
    angles = np.full(count, np.nan) if headings is None else np.array(headings)
    unknown = Spatial.unknown(count, len(HALPE136), frame)
    return replace(unknown, positions=places, headings=angles, viewpoint=viewpoint)


def chosen(selector: TargetSelector, of: FrameResult, spatial: Spatial | None = None) -> int:
    row = selector.select(of, spatial)
    return 0 if row is None else int(of.tracks.ids[row])


@pytest.mark.parametrize("mode", MODES)
def test_nobody_is_chosen_where_nobody_is(mode: str) -> None:
    selector = TargetSelector(mode, 1)
    assert selector.select(result(0, [])) is None
    assert selector.select(result(1, []), placed([])) is None
    assert selector.select(result(2, [0, 0], up=(0,))) is None
    assert selector.select(result(3, [1], lost=(1,), up=(1,))) is None


def test_off_is_nobody_and_an_unknown_mode_is_refused() -> None:
    assert TargetSelector("off").select(result(0, [1, 2])) is None
    with pytest.raises(ConfigError, match="tallest"):
        TargetSelector("tallest")


def test_by_id_it_is_that_person_and_nobody_else() -> None:
    selector = TargetSelector("id", 3)
    assert chosen(selector, result(0, [1, 2])) == 0
    assert chosen(selector, result(1, [1, 3, 2])) == 3
    assert chosen(selector, result(2, [1, 3, 2], lost=(3,))) == 0
    assert chosen(selector, result(60, [3])) == 3


def test_the_nearest_takes_over_only_when_clearly_nearer() -> None:
    selector, ids = TargetSelector("nearest"), [1, 2]
    away = [(3.0, 5.0, 1), (3.0, 2.5, 1), (3.0, 2.41, 1), (3.0, 2.39, 2), (2.0, 2.39, 2)]
    for time, (one, two, expected) in enumerate(away):
        where = placed([(0, one, 0), (0, 0, two)])
        assert chosen(selector, result(time / 10, ids), where) == expected


def test_distance_is_measured_from_the_camera_in_any_frame() -> None:
    places, people = [(0, 0, 0), (9, 0, 0)], result(0, [1, 2])
    for viewpoint, nearest in (((0, 0, 0), 0), ((9, 1, 0), 1), ((-5, 0, 0), 0)):
        where = placed(places, viewpoint=viewpoint)
        assert TargetSelector("nearest").select(people, where) == nearest


def test_the_nearest_on_a_map_is_the_nearest_to_the_camera() -> None:
    """The camera drove 8 m away from the map's origin and looks back at two people."""
    camera = camera_at((8.0, 0.0, 1.0), yaw=np.pi)
    people = (make_person((6.0, 0.4)), make_person((4.0, -0.4)))
    tracks = see(people, camera)
    tracks = replace(tracks, ids=np.array([1, 2]), states=[TrackState.TRACKED] * 2)
    depth, _ = Scene(people, 1.0).image(camera)
    seen = FrameResult(Header("camera", "optical", STAMP, CAMERA.size_hw), tracks)
    for frame, to_frame in (("map", camera), ("optical", RigidTransform())):
        where = SpatialEstimator(SpatialConfig()).update(
            tracks, STAMP, CAMERA, depth, frame=frame, to_frame=to_frame, to_fixed=camera
        )
        assert np.isfinite(where.positions).all()
        assert chosen(TargetSelector("nearest"), seen, where) == 1


def test_without_distances_the_largest_box_is_nearest() -> None:
    people = result(0, [1, 2, 3])
    boxes = np.array([[0, 0, 10, 20], [0, 0, 20, 40], [0, 0, 19, 39]])
    poses = replace(people.tracks.poses, boxes=boxes)
    people = replace(people, tracks=replace(people.tracks, poses=poses))
    for where in (None, placed(np.full((3, 3), np.nan))):
        assert TargetSelector("nearest").select(people, where) == 1
    one_known = placed([[np.nan] * 3, [np.nan] * 3, [0, 0, 50]])
    assert TargetSelector("nearest").select(people, one_known) == 2


def test_a_target_whose_depth_drops_out_is_kept() -> None:
    selector, people = TargetSelector("nearest"), result(0, [1, 2])
    boxes = replace(people.tracks.poses, boxes=np.array([[0, 0, 10, 20]] * 2))
    people = replace(people, tracks=replace(people.tracks, poses=boxes))
    assert selector.select(people, placed([(0, 0, 2), (0, 0, 3)])) == 0
    assert selector.select(people, placed([(np.nan,) * 3, (0, 0, 3)])) == 0


def test_a_lost_target_is_waited_for_and_then_given_up() -> None:
    selector = TargetSelector("nearest", hold_s=2.0)
    near_far, far = placed([(0, 0, 1), (0, 0, 5)]), placed([(0, 0, 5)])
    assert chosen(selector, result(0, [1, 2]), near_far) == 1
    assert chosen(selector, result(1, [2]), far) == 0
    assert chosen(selector, result(2, [1, 2], lost=(1,)), near_far) == 0
    assert chosen(selector, result(2.1, [2]), far) == 2
    assert chosen(selector, result(2.2, [1, 2]), placed([(0, 0, 4.5), (0, 0, 5)])) == 2


def test_a_target_that_comes_back_in_time_is_the_target_again() -> None:
    selector = TargetSelector("nearest", hold_s=2.0)
    assert chosen(selector, result(0, [1, 2]), placed([(0, 0, 1), (0, 0, 5)])) == 1
    assert chosen(selector, result(1.9, [2]), placed([(0, 0, 5)])) == 0
    assert chosen(selector, result(2.0, [1, 2]), placed([(0, 0, 5), (0, 0, 5)])) == 1


def test_a_stamp_that_goes_back_or_a_reset_forgets() -> None:
    far_near, near_far = ([(0, 0, 5), (0, 0, 1)], [(0, 0, 4.5), (0, 0, 5)])
    selector = TargetSelector("nearest")
    assert chosen(selector, result(5, [1, 2]), placed(far_near)) == 2
    assert chosen(selector, result(5, [1, 2]), placed(near_far)) == 2
    assert chosen(selector, result(4, [1, 2]), placed(near_far)) == 1
    assert chosen(selector, result(6, [1, 2]), placed(far_near)) == 2
    selector.reset()
    assert chosen(selector, result(7, [1, 2]), placed(near_far)) == 1


def follow(frames: list[tuple[float, tuple[int, ...]]], ids: list[int]) -> list[int]:
    selector = TargetSelector("raised_hand", hold_s=1.0)
    return [chosen(selector, result(at, ids, up=up)) for at, up in frames]


def test_a_hand_counts_when_it_was_up_for_half_a_second() -> None:
    frames = [(0, (2,)), (0.25, (2,)), (0.5, (2,)), (0.75, ()), (9, ())]
    assert follow(frames, [1, 2]) == [0, 0, 2, 2, 2]
    first_up = [(0, (2,)), (0.1, (1, 2)), (0.7, (1, 2))]
    assert follow(first_up, [1, 2]) == [0, 0, 2]


def test_a_hand_that_goes_down_starts_again_but_may_flicker() -> None:
    down = [(0, (1,)), (0.3, ()), (0.4, (1,)), (0.8, (1,)), (0.9, (1,))]
    assert follow(down, [1]) == [0, 0, 0, 0, 1]
    flickers = [(0, (1,)), (0.2, (1,)), (0.35, ()), (0.4, (1,)), (0.5, (1,))]
    assert follow(flickers, [1]) == [0, 0, 0, 0, 1]


def test_each_raising_counts_once() -> None:
    both = [(0, (1,)), (0.5, (1,)), (1, (1, 2)), (1.5, (1, 2)), (2, (1, 2)), (2.5, (1,))]
    assert follow(both, [1, 2]) == [0, 1, 1, 2, 2, 2]
    again = [*both, (3, ()), (4, (1,)), (4.5, (1,))]
    assert follow(again, [1, 2])[-3:] == [2, 2, 1]


def test_of_two_hands_at_once_the_target_yields_to_the_other() -> None:
    one = [(0, (1,)), (0.5, (1,)), (1, ())]
    at_once = [*one, (2, (1,)), (2.1, (1, 2)), (2.6, (1, 2)), (3, (1, 2))]
    assert follow(at_once, [1, 2]) == [0, 1, 1, 1, 1, 2, 2]


def test_who_leaves_for_too_long_makes_room_for_a_hand_already_up() -> None:
    selector = TargetSelector("raised_hand", hold_s=1.0)
    for at, up in [(0, (1,)), (0.5, (1,)), (1, (1, 2)), (1.5, (1, 2))]:
        last = chosen(selector, result(at, [1, 2], up=up))
    assert last == 2
    assert chosen(selector, result(2, [1], up=(1,))) == 0
    assert chosen(selector, result(3, [1], up=(1,))) == 1


def test_a_raised_hand_lies_above_nose_and_eyes_as_far_as_they_are_seen() -> None:
    poses = result(0, [1, 2, 3, 4], up=(1, 2, 3)).tracks.poses
    poses.scores[1, HALPE136.index("right_wrist")] = 0.1
    poses.keypoints[2, HALPE136.index("left_eye"), 1] = 90
    assert hand_raised(poses).tolist() == [True, False, False, False]
    poses.scores[2, HALPE136.index("left_eye")] = 0.1
    assert hand_raised(poses).tolist() == [True, False, True, False]
    poses.scores[:, :3] = 0
    assert not hand_raised(poses).any()


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=str)
def test_hands_of_any_skeleton(skeleton: Any) -> None:
    for count in (0, 3):
        assert hand_raised(make_tracks(count, skeleton).poses).shape == (count,)


@given(
    st.sampled_from(MODES),
    st.lists(st.tuples(st.permutations(range(4)), st.sets(st.integers(1, 4))), max_size=12),
    st.integers(0, 99),
)
def test_the_order_of_rows_decides_nothing(mode: str, frames: list[Any], seed: int) -> None:
    rng, straight, mixed = np.random.default_rng(seed), *(TargetSelector(mode, 2) for _ in "ab")
    for time, (order, up) in enumerate(frames):
        people = result(time * 0.3, [1, 2, 3, 4], up=tuple(up), lost=tuple({1, 2} - up))
        where = placed(rng.integers(1, 3, (4, 1)) * [0, 0, 1])
        moved = replace(people, tracks=people.tracks[np.array(order)])
        expected = chosen(straight, people, where)
        assert chosen(mixed, moved, where[np.array(order)]) == expected


@given(st.floats(-7, 7))
def test_headings_turn_about_the_frames_up(heading: float) -> None:
    (flat,) = facing([heading], "map", "optical")
    expected = Rotation.from_rotvec(heading * UP)
    assert (Rotation.from_quat(flat) * expected.inv()).magnitude() < 1e-6
    # In an optical frame z is ahead, x right and y down: left is -x, up is -y.
    ahead, left, up = np.array([0, 0, 1.0]), np.array([-1.0, 0, 0]), np.array([0, -1.0, 0])
    optical = Rotation.from_quat(facing([heading], "optical", "optical")[0])
    np.testing.assert_allclose(
        optical.apply(FORWARD), np.cos(heading) * ahead + np.sin(heading) * left, atol=1e-6
    )
    np.testing.assert_allclose(optical.apply(UP), up, atol=1e-6)
    standing = Rotation.from_matrix(np.stack([ahead, left, up], 1))
    turned = standing * Rotation.from_rotvec(heading * UP)
    assert (optical * turned.inv()).magnitude() < 1e-6


@pytest.mark.parametrize(
    ("frame", "up"),
    [("cam_optical_frame", "y"), ("cam_optical", "y"), ("cam", "y"), ("map", "z"), ("", "z")],
)
def test_optical_frames_are_known_by_name_or_as_the_images_own(frame: str, up: str) -> None:
    turned = Rotation.from_quat(facing([0.3], frame, "cam")[0]).apply(UP)
    np.testing.assert_allclose(turned, [0, -1, 0] if up == "y" else [0, 0, 1], atol=1e-9)


def test_pose_and_transform_say_the_same() -> None:
    people, where = result(1.5, [4, 5]), placed([(0, 0, 1), (1, 2, 3)], [0, np.pi / 2])
    pose = CLASSES.again(target_pose(people, where, 1, CLASSES))
    moved = CLASSES.again(target_transform(people, where, 1, CLASSES))
    assert moved.child_frame_id == "person_5"
    for header in (pose.header, moved.header):
        assert (header.stamp.sec, header.stamp.nanosec) == (1_700_000_001, 500_000_000)
        assert header.frame_id == "map"
    position, shift = pose.pose.position, moved.transform.translation
    assert (position.x, position.y, position.z) == (shift.x, shift.y, shift.z) == (1, 2, 3)
    quaternion, rotation = pose.pose.orientation, moved.transform.rotation
    values = [quaternion.x, quaternion.y, quaternion.z, quaternion.w]
    assert values == [rotation.x, rotation.y, rotation.z, rotation.w]
    np.testing.assert_allclose(Rotation.from_quat(values).apply(FORWARD), [0, 1, 0], atol=1e-6)


def test_an_unknown_heading_is_the_identity_and_an_unknown_place_is_none() -> None:
    people, where = result(0, [1, 2], up=()), placed([(0, 0, 1), (np.nan, 0, 1)], frame="optical")
    orientation = target_pose(people, where, 0, CLASSES).pose.orientation
    assert (orientation.x, orientation.y, orientation.z, orientation.w) == (0, 0, 0, 1)
    for make in (target_pose, target_transform):
        assert make(people, where, 1, CLASSES) is None
        assert make(people, where, None, CLASSES) is None
        assert make(people, None, 0, CLASSES) is None


def test_the_largest_box_is_nearest_wherever_it_lies():
    selector = TargetSelector("nearest")
    at = result(0, [1, 2])
    boxes = np.array([[0, 0, 60, 120], [500, 300, 540, 380]], np.float32)
    poses = replace(at.tracks.poses, boxes=boxes)
    assert chosen(selector, replace(at, tracks=replace(at.tracks, poses=poses))) == 1
