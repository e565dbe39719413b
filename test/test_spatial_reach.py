# SPDX-License-Identifier: Apache-2.0
"""Limits of what belongs to a body, one by one."""

from __future__ import annotations

import numpy as np
import pytest
from test_spatial_joints import index, lift, noisy, scene_of
from test_spatial_scenes import CAMERA, PERSON, Scene, camera_at, make_person, make_tracks, see

from alphapose_ros.base.skeletons import COCO17, HALPE136, SKELETONS

FACE = np.arange(136)[HALPE136.parts["face"]]


def painted(squares, half, rest=6.0):
    """A depth image of squares (x, y, depth)."""
    image = np.full((480, 640), rest, np.float32)
    for x, y, depth in squares:
        image[y - half : y + half + 1, x - half : x + half + 1] = depth
    return image


def test_a_foot_in_a_hole_is_not_on_a_box_beside_the_body() -> None:
    """The box is nearer than the torso, so only the way along the bones tells."""
    pixels = np.full((17, 2), np.nan)
    for name, place in {
        "left_shoulder": (360, 100), "right_shoulder": (280, 100), "left_hip": (350, 200),
        "right_hip": (290, 200), "left_knee": (350, 280), "left_ankle": (350, 380),
    }.items():  # fmt: skip
        pixels[COCO17.index(name)] = place
    image = painted([(320, 150, 2.0)], 80, rest=1.9)
    rows = np.arange(200, 400)
    image[200:400, 335:366] = np.linspace(2.0, 1.4, len(rows))[:, None]  # a leg, stretched forward
    ankle = COCO17.index("left_ankle")
    tracks = make_tracks(pixels, COCO17)
    assert lift(tracks, image)[0, ankle, 2] == pytest.approx(1.46, abs=0.03)
    image[340:420, 335:366] = np.nan
    image[340:420, 335:366:2] = 1.9
    found = lift(tracks, image)[0, :, 2]
    assert np.isnan(found[ankle])
    assert found[COCO17.index("left_knee")] == pytest.approx(1.76, abs=0.03)


def test_fingers_are_near_their_wrist() -> None:
    hand = SKELETONS["hand21"]
    pixels = np.array(
        [[320, 300]] + [[240 + 40 * (k // 4), 260 - 30 * (k % 4)] for k in range(20)]
    )
    tracks, squares = make_tracks(pixels, hand), [(x, y, 1.0) for x, y in pixels]
    assert np.isfinite(lift(tracks, painted(squares, 14))[0, :, 2]).all()
    index = [hand.index(f"index_{i}") for i in (1, 2, 3, 4)]
    for k, depth in zip(index, (0.9, 0.8, 0.7, 0.6), strict=True):  # step by step, but too far
        squares[k] = (*pixels[k], depth)
    found = lift(tracks, painted(squares, 14))[0, :, 2]
    assert np.isfinite(found[index]).tolist() == [True, True, False, False]
    assert np.isfinite(np.delete(found, index)).all()


def test_a_cup_before_the_mouth_is_not_the_face() -> None:
    scene, camera, depth, _ = scene_of("hang", "side")
    tracks, cup = see(scene.people, camera), depth.copy()
    x, y = tracks.poses.keypoints[0, FACE[8]].round().astype(int)
    cup[y - 5 : y + 6, x - 5 : x + 6] -= np.float32(0.24)  # no more than what hides a joint
    free, covered = lift(tracks, depth)[0, FACE, 2], lift(tracks, cup)[0, FACE, 2]
    assert np.isfinite(free).all()
    assert np.isnan(covered[8])
    assert np.isfinite(covered).mean() > 0.5


def test_the_reach_of_a_body_is_a_limit() -> None:
    scene, camera, depth, _ = scene_of("reach", "hang")
    found = lift(see(scene.people, camera), depth, reach=0.2)[0, :, 2]
    assert np.isnan(found[index("left_wrist")]).all()
    assert np.isfinite(found[index("left_shoulder", "right_wrist", "nose", "left_knee")]).all()


def test_a_black_shirt_that_gives_no_depth_leaves_head_and_hands(rng) -> None:
    """What little there is within the torso is the wall, seen beside it."""
    scene, camera, depth, owner = scene_of("hang", "side")
    tracks = see(scene.people, camera)
    low, high = (tracks.poses.keypoints[0, index(*ends)] for ends in (
        ("right_shoulder", "right_hip"), ("left_shoulder", "left_hip")))  # fmt: skip
    shirt = depth.copy()
    rows, columns = (
        slice(int(low[0, 1]) - 12, int(low[1, 1]) + 12),
        slice(int(low[:, 0].min()) - 14, int(high[:, 0].max()) + 14),
    )
    seen = rng.random(shirt[rows, columns].shape) < 0.15
    shirt[rows, columns] = np.where(seen, depth[0, 0], np.nan)
    found = lift(tracks, shirt)[0, :, 2]
    assert np.isfinite(found[index("nose", "left_eye")]).all()
    assert np.nanmax(found) < depth[owner == PERSON].max() + 0.05


@pytest.mark.parametrize("distance", [5.0, 8.0])
def test_noise_far_away_is_expected(distance, rng) -> None:
    person, camera = make_person((distance, 0.0), np.pi, left="side"), camera_at()
    depth, _ = Scene((person,), distance + 1.5).image(camera, CAMERA)
    tracks = see([person], camera, COCO17)
    found = [np.isfinite(lift(tracks, noisy(depth, rng))[0, :, 2]).mean() for _ in range(20)]
    assert np.mean(found) > 0.97
