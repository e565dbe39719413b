# SPDX-License-Identifier: Apache-2.0
"""People as points and lines, and the 3-D fields of a message back as records."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fake_pipeline import make_tracks

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.records import FrameResult, Header, Spatial, Tracks, TrackState
from alphapose_ros.base.skeletons import COCO17, HALPE136, Skeleton
from alphapose_ros.output import shapes
from alphapose_ros.output.messages import pose_array_cdr, skeleton_message
from alphapose_ros.output.palette import NOBODY, edge_color, identity_color, joint_color
from alphapose_ros.output.reading import skeleton_of, spatial_of


@pytest.mark.parametrize("people", [0, 1, 3])
def test_lines_join_the_shown_joints_of_one_person(people: int) -> None:
    tracks = make_tracks(people, HALPE136, people)
    shown = shapes.shown_joints(tracks)
    points = tracks.poses.keypoints
    limbs = shapes.limbs_of(tracks, points, shown)
    expected = [
        (row, points[row, a], points[row, b], edge_color(HALPE136, (a, b)))
        for row in range(people)
        for a, b in HALPE136.edges
        if shown[row, a] and shown[row, b]
    ]
    assert len(limbs.ends) == len(expected)
    for k, (row, first, second, color) in enumerate(expected):
        assert limbs.rows[k] == row
        np.testing.assert_array_equal(limbs.ends[k], [first, second])
        assert tuple(limbs.colors[k]) == color


def test_joints_keep_place_score_and_colour() -> None:
    tracks = make_tracks(2, HALPE136, 4)
    shown = np.zeros((2, 136), bool)
    shown[1, [0, 5, 40, 100]] = True
    joints = shapes.joints_of(tracks, tracks.poses.keypoints, shown)
    assert joints.joints.tolist() == [0, 5, 40, 100]
    assert joints.rows.tolist() == [1, 1, 1, 1]
    np.testing.assert_array_equal(joints.points, tracks.poses.keypoints[1, [0, 5, 40, 100]])
    np.testing.assert_array_equal(joints.scores, tracks.poses.scores[1, [0, 5, 40, 100]])
    assert [tuple(c) for c in joints.colors] == [joint_color(HALPE136, k) for k in joints.joints]
    assert joints.fine.tolist() == [False, False, True, True]


def test_lost_people_have_a_grey_box_and_no_joints() -> None:
    seen = make_tracks(3, COCO17)
    scores = seen.poses.scores.copy()
    scores[2] = 0
    states = [TrackState.TRACKED, TrackState.TENTATIVE, TrackState.LOST]
    tracks = replace(seen, ids=[4, 0, 9], states=states, poses=replace(seen.poses, scores=scores))
    assert shapes.person_labels(tracks) == ["#4", "tentative", "#9 lost"]
    colors = [tuple(color) for color in shapes.person_colors(tracks)]
    assert colors == [identity_color(4), NOBODY, NOBODY]
    assert not shapes.shown_joints(tracks)[2].any()


def test_unknown_places_are_not_shown() -> None:
    tracks = make_tracks(2, COCO17)
    spatial = Spatial.unknown(2, 17, "map")
    spatial.keypoints[0, 5] = 1, 2, 3
    shown = shapes.shown_in_space(tracks, spatial)
    assert np.argwhere(shown).tolist() == [[0, 5]]


def the_message(tracks: Tracks, spatial: Spatial | None) -> object:
    types = wire_types()
    header = Header("front", "optical", 5, (480, 640))
    return types.deserialize(
        pose_array_cdr(FrameResult(header, tracks), spatial), "alphapose_ros/msg/PoseArray"
    )


def wire_types() -> object:
    pytest.importorskip("rosbags", reason="MESSAGES NOT CHECKED: rosbags is absent")
    from alphapose_ros.dds.types import WireTypes

    return WireTypes()


@pytest.mark.parametrize("has_depth", [True, False])
def test_what_is_known_in_space_comes_back(has_depth: bool, rng: np.random.Generator) -> None:
    tracks = make_tracks(2, COCO17)
    joints = rng.normal(size=(2, 17, 3)) if has_depth else np.full((2, 17, 3), np.nan)
    spatial = Spatial(
        joints.astype(np.float32),
        rng.normal(size=(2, 3)).astype(np.float32),
        rng.normal(size=(2, 3, 3)).astype(np.float32),
        rng.normal(size=(2, 3)).astype(np.float32),
        rng.normal(size=(2, 3, 3)).astype(np.float32),
        rng.normal(size=2).astype(np.float32),
        "map",
        has_depth,
        viewpoint=np.zeros(3),
    )
    back = spatial_of(the_message(tracks, spatial))
    assert back is not None
    assert (back.frame, back.has_depth) == ("map", has_depth)
    for name in ("keypoints", "positions", "position_covariances", "velocities", "headings"):
        np.testing.assert_array_equal(getattr(back, name), getattr(spatial, name))


@pytest.mark.parametrize("people", [0, 2])
def test_nothing_known_is_no_space(people: int) -> None:
    assert spatial_of(the_message(make_tracks(people, COCO17), None)) is None


def test_a_message_that_contradicts_itself_is_refused() -> None:
    tracks = make_tracks(2, COCO17)
    known = replace(Spatial.unknown(2, 17, "map"), has_depth=True)
    message = the_message(tracks, known)
    message.poses[0].keypoints_3d = np.zeros(6, np.float32)
    with pytest.raises(InputError, match=r"expected 51 values in keypoints_3d"):
        spatial_of(message)


def test_a_skeleton_comes_back() -> None:
    wire_types()
    from alphapose_ros.dds.types import MessageClasses, WireTypes

    back = skeleton_of(skeleton_message(HALPE136, MessageClasses(WireTypes())))
    assert isinstance(back, Skeleton)
    assert back.keypoint_names == HALPE136.keypoint_names
    assert back.edges == HALPE136.edges
    assert dict(back.parts) == dict(HALPE136.parts)


def test_a_skeleton_with_half_an_edge_is_refused() -> None:
    wire_types()
    from alphapose_ros.dds.types import MessageClasses, WireTypes

    message = skeleton_message(COCO17, MessageClasses(WireTypes()))
    message.edges = np.array([0, 1, 2], np.uint32)
    with pytest.raises(InputError, match="expected pairs of edges, got 3"):
        skeleton_of(message)
