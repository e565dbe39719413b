# SPDX-License-Identifier: Apache-2.0
"""Bodies and faces as hri_msgs: points by name, normalised, zero where not seen, and frames."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fake_pipeline import make_tracks
from message_definitions import Definitions
from scipy.spatial.transform import Rotation

from alphapose_ros.base.records import FrameResult, Header, Poses, Spatial, TrackState
from alphapose_ros.base.skeletons import COCO17, HALPE136, SKELETONS
from alphapose_ros.output.bodies import landmark_points, skeleton_points
from alphapose_ros.output.humans import HumansWriter, body_frames

CLASSES = Definitions()
HEIGHT, WIDTH = 480, 640


def result(count: int = 1, skeleton: str = "halpe136") -> FrameResult:
    """Tracks 11, 12, ... with all joints in the picture."""
    header = Header("camera", "optical", 10**9, (HEIGHT, WIDTH))
    return FrameResult(header, make_tracks(count, SKELETONS[skeleton]))


def sent(of: FrameResult) -> dict[str, Any]:
    """Messages by topic, as they come out of the wire."""
    return {name: CLASSES.again(m) for name, m in HumansWriter().write(of, CLASSES).messages}


def test_skeleton_points_are_the_messages_by_name() -> None:
    order = (
        "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist "
        "right_hip right_knee right_ankle left_hip left_knee left_ankle left_eye right_eye "
        "left_ear right_ear"
    ).split()
    before = result()
    message = sent(before)["humans/bodies/b11/skeleton2d"]
    poses = before.tracks.poses
    for point, name in zip(message.skeleton, order, strict=True):
        joint = HALPE136.index(name)
        x, y = poses.keypoints[0, joint]
        assert point.x * WIDTH - 0.5 == pytest.approx(x, abs=1e-3)
        assert point.y * HEIGHT - 0.5 == pytest.approx(y, abs=1e-3)
        assert point.c == pytest.approx(poses.scores[0, joint])


def test_landmarks_are_dlibs_and_pupils_stay_empty() -> None:
    before = result()
    messages = sent(before)
    message = messages["humans/faces/f11/landmarks"]
    assert (message.height, message.width) == (HEIGHT, WIDTH)
    face = before.tracks.poses.keypoints[0, HALPE136.parts["face"]]
    points = np.array([[p.x, p.y] for p in message.landmarks[:68]])
    np.testing.assert_allclose(points * (WIDTH, HEIGHT) - 0.5, face, atol=1e-3)
    assert [(p.x, p.y, p.c) for p in message.landmarks[68:]] == [(0, 0, 0)] * 2
    region = messages["humans/faces/f11/roi"]
    corners = [region.xmin, region.ymin, region.xmax, region.ymax]
    np.testing.assert_allclose(corners, [*points.min(0), *points.max(0)], atol=1e-6)
    assert region.c == pytest.approx(before.tracks.poses.scores[0, 26:94].mean())


def test_the_face_turns_over_as_the_messages_codes_do() -> None:
    # FacialLandmarks: right 0..7 and left 16..9, eyes from outside in, mouth corners 48 and 54.
    pairs = {0: 16, 7: 9, 8: 8, 17: 26, 36: 45, 39: 42, 31: 35, 48: 54, 60: 64, 30: 30}
    face = HALPE136.parts["face"].start
    assert {a: HALPE136.flip_permutation[face + a] - face for a in pairs} == pairs


def test_a_region_is_the_part_of_the_box_in_the_picture() -> None:
    before = result()
    poses = replace(before.tracks.poses, boxes=np.array([[-50, 79.5, 319.5, 1000]]))
    messages = sent(replace(before, tracks=replace(before.tracks, poses=poses)))
    region = messages["humans/bodies/b11/roi"]
    corners = [region.xmin, region.ymin, region.xmax, region.ymax]
    assert corners == pytest.approx([0, 80 / HEIGHT, 0.5, 1])
    assert region.c == pytest.approx(poses.person_scores[0])


def poses_of(skeleton: Any, count: int = 1) -> Poses:
    return make_tracks(count, skeleton).poses


def test_a_neck_is_found_or_the_middle_of_the_shoulders() -> None:
    poses = poses_of(COCO17)
    left, right = COCO17.index("left_shoulder"), COCO17.index("right_shoulder")
    poses.scores[0, [left, right]] = 0.8, 0.4
    neck = skeleton_points(poses, (HEIGHT, WIDTH))[0, 1]
    middle = (poses.keypoints[0, [left, right]].mean(0) + 0.5) / (WIDTH, HEIGHT)
    assert neck == pytest.approx([*middle, 0.4])
    poses.scores[0, left] = 0
    assert skeleton_points(poses, (HEIGHT, WIDTH))[0, 1].tolist() == [0, 0, 0]
    untaught = poses_of(HALPE136)
    untaught.scores[0, HALPE136.index("neck")] = 0
    assert skeleton_points(untaught, (HEIGHT, WIDTH))[0, 1, 2] > 0


def test_joints_not_seen_or_out_of_the_picture_are_zero() -> None:
    poses = poses_of(HALPE136)
    poses.keypoints[0, :6] = [[-0.5, -0.5], [639.5, 479.5], [-0.6, 5], [5, 480], [5, 5], [5, 5]]
    poses.keypoints[0, 5], poses.scores[0, 4] = np.nan, 0
    points = skeleton_points(poses, (HEIGHT, WIDTH))[0]
    score = poses.scores[0]
    assert points[0] == pytest.approx([0, 0, score[0]])
    assert points[14] == pytest.approx([1, 1, score[1]])
    assert not points[[15, 16, 17, 5]].any()


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=str)
@pytest.mark.parametrize("count", [0, 2])
def test_points_of_any_skeleton_lie_within_one(skeleton: Any, count: int) -> None:
    poses = poses_of(skeleton, count)
    poses.keypoints[:] = poses.keypoints * 4 - 400
    for points, size in ((skeleton_points, 18), (landmark_points, 70)):
        found = points(poses, (HEIGHT, WIDTH))
        assert found.shape == (count, size, 3)
        assert ((found >= 0) & (found <= 1)).all()
    sent(result(count, skeleton.name))


def space(count: int, frame: str) -> Spatial:
    unknown = Spatial.unknown(count, len(HALPE136), frame)
    positions = np.arange(3.0 * count).reshape(count, 3)
    return replace(unknown, positions=positions, headings=np.full(count, np.pi / 2))


def test_frames_of_bodies_and_persons_stand_upright_where_they_are() -> None:
    people, where = result(4), space(4, "map")
    states = [TrackState.TRACKED, TrackState.TENTATIVE, TrackState.LOST, TrackState.TRACKED]
    tracks = replace(people.tracks, states=states, ids=[1, 0, 3, 4])
    people = replace(people, tracks=tracks)
    where.positions[3, 1] = np.nan
    where.headings[1] = np.nan
    frames = body_frames(people, where)
    assert [name for name, _, _ in frames] == ["body_b11", "person_p1", "body_b12"]
    assert [position for _, position, _ in frames] == [[0, 1, 2], [0, 1, 2], [3, 4, 5]]
    turned, _, unknown = (Rotation.from_quat(q).apply([1, 0, 0]) for _, _, q in frames)
    np.testing.assert_allclose(turned, [0, 1, 0], atol=1e-6)
    np.testing.assert_allclose(unknown, [1, 0, 0], atol=1e-6)
    for _, _, quaternion in body_frames(people, replace(where, frame="optical")):
        up = Rotation.from_quat(quaternion).apply([0, 0, 1])
        np.testing.assert_allclose(up, [0, -1, 0], atol=1e-6)


def test_nobody_and_no_space_have_no_frames() -> None:
    assert body_frames(result(0), space(0, "map")) == []
    assert body_frames(result(), None) == []


def test_messages_nobody_wants_are_not_made() -> None:
    made: Counter[str] = Counter()

    class Counting(Definitions):
        def __getattr__(self, name: str) -> Any:
            made[name] += 1
            return super().__getattr__(name)

    frame = HumansWriter().write(result(2), Counting(), lambda name: name.endswith("b11/roi"))
    names = [n for n, _ in frame.messages]
    assert made["NormalizedRegionOfInterest2D"] == 1
    assert "NormalizedPointOfInterest2D" not in made
    assert "humans/bodies/b11/roi" in names
    assert "humans/persons/p2/body_id" in names
