# SPDX-License-Identifier: Apache-2.0
"""What is drawn, and that nothing else is touched; how it looks is judged by eye."""

from __future__ import annotations

import numpy as np
import pytest

from alphapose_ros.base.records import FrameResult, Header, Poses, Tracks, TrackState
from alphapose_ros.base.skeletons import HALPE136, SKELETONS, Skeleton
from alphapose_ros.output.draw import DrawStyle, draw_poses, draw_result, visible_joints
from alphapose_ros.output.palette import (
    LEFT,
    MIDDLE,
    NOBODY,
    RIGHT,
    edge_color,
    identity_color,
)

RNG = np.random.default_rng(0)


def result(
    skeleton: Skeleton,
    *,
    ids: tuple[int, ...] = (3,),
    states: tuple[TrackState, ...] | None = None,
    score: float = 0.9,
    size_hw: tuple[int, int] = (240, 320),
) -> FrameResult:
    count = len(ids)
    height, width = size_hw
    low = np.array([0.2 * width, 0.2 * height])
    span = np.array([0.5 * width, 0.6 * height])
    keypoints = low + span * np.random.default_rng(1).random((count, len(skeleton), 2))
    boxes = np.tile([*low, *(low + span)], (count, 1))
    poses = Poses(
        keypoints, np.full((count, len(skeleton)), score), boxes, np.ones(count), range(count),
        skeleton,
    )  # fmt: skip
    chosen = states or [TrackState.TRACKED if i else TrackState.TENTATIVE for i in ids]
    none = np.zeros(count)
    tracks = Tracks(
        ids, range(1, count + 1), poses, chosen, np.zeros((count, 2)), none, none, none
    )
    return FrameResult(Header("c", "f", 0, size_hw), tracks)


def changed(image: np.ndarray, drawn: np.ndarray) -> int:
    return int((image != drawn).any(-1).sum())


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
@pytest.mark.parametrize("size_hw", [(240, 320), (2160, 3840), (3, 5)])
def test_every_skeleton_at_every_size(skeleton: Skeleton, size_hw: tuple[int, int]) -> None:
    image = np.full((*size_hw, 3), 90, np.uint8)
    before = image.copy()
    drawn = draw_result(image, result(skeleton, ids=(1, 0, 250), size_hw=size_hw))
    assert drawn.shape == image.shape
    assert drawn.dtype == np.uint8
    assert (image == before).all()
    assert changed(image, drawn) > 0


def test_nobody_leaves_the_image_as_it_is() -> None:
    image = RNG.integers(0, 255, (20, 30, 3), np.uint8)
    drawn = draw_result(image, result(HALPE136, ids=()))
    assert (drawn == image).all()
    assert drawn is not image


def test_the_lost_are_not_drawn() -> None:
    image = np.zeros((240, 320, 3), np.uint8)
    lost = result(HALPE136, ids=(4,), states=(TrackState.LOST,))
    assert changed(image, draw_result(image, lost)) == 0


def test_the_tentative_are_dimmer() -> None:
    image = np.zeros((240, 320, 3), np.uint8)
    style = DrawStyle(boxes=False, labels=False)
    certain = draw_result(image, result(HALPE136, ids=(4,)), style)
    tentative = draw_result(image, result(HALPE136, ids=(0,)), style)
    assert 0 < tentative.sum() < 0.6 * certain.sum()


def test_joints_below_the_score_are_not_drawn() -> None:
    image = np.zeros((240, 320, 3), np.uint8)
    style = DrawStyle(boxes=False, labels=False)
    assert changed(image, draw_result(image, result(HALPE136, score=0.1), style)) == 0
    assert changed(image, draw_result(image, result(HALPE136, score=0.31), style)) > 0


def test_visibility_by_part() -> None:
    keypoints = RNG.random((136, 2)).astype(np.float32) * 100
    scores = np.full(136, 0.2, np.float32)
    shown = visible_joints(keypoints, scores, HALPE136, DrawStyle())
    assert not shown[:26].any()
    assert shown[26:].all()
    keypoints[HALPE136.parts["face"]] *= 0.05  # a face of 5 px
    scores[0], keypoints[1] = 1, np.nan
    shown = visible_joints(keypoints, scores, HALPE136, DrawStyle())
    assert shown[0]
    assert not shown[1]
    assert not shown[HALPE136.parts["face"]].any()
    assert shown[HALPE136.parts["left_hand"]].all()
    none = visible_joints(keypoints, scores * 0, HALPE136, DrawStyle(0.0, 0.0))
    assert not none.any()  # score 0 is never a joint


def test_coordinates_far_outside_do_no_harm() -> None:
    image = np.zeros((24, 32, 3), np.uint8)
    given = result(HALPE136, size_hw=(24, 32))
    poses = given.tracks.poses
    poses.keypoints[:, 5] = 1e12
    poses.keypoints[:, 6] = -1e12
    poses.keypoints[:, 7] = np.inf
    assert draw_poses(image, poses).shape == image.shape


def test_a_read_only_or_reversed_image_is_fine() -> None:
    image = np.zeros((24, 32, 3), np.uint8)[:, :, ::-1]
    image.flags.writeable = False
    assert draw_poses(image, result(HALPE136, size_hw=(24, 32)).tracks.poses).any()


def test_colours_tell_side_and_identity() -> None:
    index = HALPE136.index
    assert edge_color(HALPE136, (index("left_hip"), index("left_knee"))) == LEFT
    assert edge_color(HALPE136, (index("right_shoulder"), index("neck"))) == RIGHT
    assert edge_color(HALPE136, (index("neck"), index("pelvis"))) == MIDDLE
    assert edge_color(HALPE136, (index("left_hip"), index("right_hip"))) == MIDDLE
    assert identity_color(0) == NOBODY
    near = [identity_color(identity) for identity in range(1, 9)]
    distances = [np.abs(np.subtract(a, b)).max() for i, a in enumerate(near) for b in near[:i]]
    assert min(distances) > 30
