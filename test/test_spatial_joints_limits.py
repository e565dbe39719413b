# SPDX-License-Identifier: Apache-2.0
"""Which joints count, and how far fingers and points of the face may be off."""

from __future__ import annotations

import numpy as np
import pytest
from test_spatial_joints import lift
from test_spatial_reach import FACE, painted
from test_spatial_scenes import CAMERA, make_tracks

from alphapose_ros.base.skeletons import COCO17, HALPE136, SKELETONS
from alphapose_ros.spatial.config import SpatialConfig
from alphapose_ros.spatial.joints import usable_joints

HEAD = {
    "nose": (320, 100), "left_eye": (345, 90), "right_eye": (295, 90), "left_ear": (370, 95),
    "right_ear": (270, 95), "head_top": (320, 60),
}  # fmt: skip
TORSO = {
    "left_shoulder": (360, 160), "right_shoulder": (280, 160), "left_hip": (350, 260),
    "right_hip": (290, 260),
}  # fmt: skip
POINT = (320, 125)  # of the face, below the nose


@pytest.mark.parametrize("axis", [0, 1])
def test_a_joint_is_in_the_image_up_to_the_edges_of_its_pixels(axis) -> None:
    size = CAMERA.size_hw[1 - axis]
    pixels = np.full((17, 2), 100.0)
    pixels[:6, axis] = [-0.51, -0.5, -0.2, size - 0.6, size - 0.5, size - 0.2]
    found = usable_joints(make_tracks(pixels, COCO17), CAMERA, SpatialConfig())
    assert found[0, :7].tolist() == [False, True, True, True, False, False, True]


def test_the_least_score_counts() -> None:
    scores = np.full(17, 0.5)
    scores[3] = 0.49
    tracks = make_tracks(np.full((17, 2), 100.0), COCO17, scores)
    found = usable_joints(tracks, CAMERA, SpatialConfig(joint_score=0.5))
    assert np.flatnonzero(~found[0]).tolist() == [3]
    assert not usable_joints(
        make_tracks(np.full((17, 2), 100.0), COCO17, 0.29), CAMERA, SpatialConfig()
    ).any()


def test_fingers_are_not_far_behind_their_wrist() -> None:
    hand = SKELETONS["hand21"]
    pixels = np.array(
        [[320, 300]] + [[240 + 40 * (k // 4), 260 - 30 * (k % 4)] for k in range(20)]
    )
    squares = [(x, y, 1.0) for x, y in pixels]
    index = [hand.index(f"index_{i}") for i in (1, 2, 3, 4)]
    for k, depth in zip(index, (1.1, 1.2, 1.3, 1.4), strict=True):  # step by step
        squares[k] = (*pixels[k], depth)
    found = lift(make_tracks(pixels, hand), painted(squares, 14))[0, :, 2]
    assert np.isfinite(found[index]).tolist() == [True, True, False, False]


def face_point(head, point, eyes=None):
    """Depth of the face's point at ``point`` m, of who is ``head`` m away; eyes may be behind."""
    pixels = np.full((136, 2), np.nan)
    for name, place in (HEAD | TORSO).items():
        pixels[HALPE136.index(name)] = place
    pixels[FACE[0]] = POINT
    image = np.full((480, 640), head, np.float32)
    half = 10
    squares = [(POINT, point)]
    if eyes is not None:
        squares += [(place, eyes) for name, place in HEAD.items() if name != "nose"]
    for (x, y), depth in squares:
        image[y - half : y + half + 1, x - half : x + half + 1] = depth
    return lift(make_tracks(pixels), image)[0, FACE[0], 2]


def test_a_face_may_lie_behind_its_head_by_the_jump_and_noise() -> None:
    """At 3 m: 0.12 m, and three sigmas of 0.014 m."""
    assert face_point(3.0, 3.14) == pytest.approx(3.14)
    assert np.isnan(face_point(3.0, 3.18))


def test_however_noisy_depth_is_a_face_is_within_its_reach() -> None:
    """At 6 m noise alone would allow 0.3 m."""
    assert face_point(6.0, 6.17) == pytest.approx(6.17)
    assert np.isnan(face_point(6.0, 6.25))


def test_eyes_that_are_seen_on_the_wall_are_no_head() -> None:
    assert face_point(2.0, 2.0, eyes=4.0) == pytest.approx(2.0)
    assert np.isnan(face_point(2.0, 4.0, eyes=4.0))
