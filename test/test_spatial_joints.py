# SPDX-License-Identifier: Apache-2.0
"""Depth of joints in ray-cast scenes: right where they are seen, and never the background's."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from test_spatial_scenes import (
    BODY,
    CAMERA,
    PERSON,
    Scene,
    camera_at,
    joint_array,
    make_person,
    make_tracks,
    project,
    see,
)

from alphapose_ros.base.records import TrackState
from alphapose_ros.base.skeletons import COCO17, FACE68, HALPE136, SKELETONS
from alphapose_ros.base.transform import RigidTransform
from alphapose_ros.spatial.config import SpatialConfig
from alphapose_ros.spatial.estimator import SpatialEstimator

ARMS = (("hang", "side"), ("reach", "hang"), ("side", "reach"))
LEFT_HAND = [i for i, n in enumerate(HALPE136.keypoint_names) if n.startswith("left_hand")]
FEET = [i for i, n in enumerate(HALPE136.keypoint_names) if n.endswith(("toe", "heel", "ankle"))]


def index(*names):
    return [HALPE136.index(name) for name in names]


@cache
def scene_of(left, right, yaw=np.pi, table=None, back=0.3):
    """A person at 2 m before a wall, the camera, and the depth image without noise."""
    person = make_person((2.0, 0.0), yaw, left=left, right=right)
    wall = max(2.0, *(p[0] for p in person.joints.values())) + back  # no arm goes through it
    scene = Scene((person,), wall, table)
    camera = camera_at()
    depth, owner = scene.image(camera)
    return scene, camera, depth, owner


def lift(tracks, depth, **changes):
    """(N, K, 3) m in the camera's frame."""
    estimator = SpatialEstimator(SpatialConfig(**changes))
    own = RigidTransform()
    spatial = estimator.update(
        tracks, 0, CAMERA, depth, frame="camera", to_frame=own, to_fixed=own
    )
    return spatial.keypoints


def noisy(depth, rng):
    return (depth + (0.0012 + 0.0019 * (depth - 0.4) ** 2) * rng.normal(size=depth.shape)).astype(
        np.float32
    )


def surface(scene, camera, tracks):
    """What a perfect camera sees at each joint: depth (N, K) and whether it is a person."""
    depth, owner = scene.cast(tracks.poses.keypoints.astype(float), camera)
    return depth, owner == PERSON


@pytest.mark.parametrize(("left", "right"), ARMS)
@pytest.mark.parametrize("yaw", [np.pi, np.pi + 0.4, 0.0])
def test_joints_in_sight_are_within_a_centimetre(left, right, yaw, rng) -> None:
    scene, camera, depth, _ = scene_of(left, right, yaw)
    tracks = see(scene.people, camera)
    found = lift(tracks, noisy(depth, rng))[0]
    true, on_person = surface(scene, camera, tracks)
    own = camera.inverse().points(joint_array(scene.people[0]))[:, 2]
    in_sight = on_person[0] & (own - true[0] < 0.12)  # not behind another part of the body
    body = np.array(index(*BODY))
    body = body[in_sight[body]]
    assert len(body) >= 9
    error = np.abs(found[:, 2] - true[0])
    assert np.nanmax(error[body]) < 0.012
    assert np.nanmedian(error[body]) < 0.005
    assert np.isnan(error[body]).sum() <= (2 if "reach" in (left, right) else 0)
    assert np.nanmax(error[in_sight]) < 0.06  # fingers and the rim of the face are all edge


def test_points_lie_on_the_rays_of_their_joints(rng) -> None:
    scene, camera, depth, _ = scene_of("hang", "side")
    tracks = see(scene.people, camera)
    found = lift(tracks, depth)[0].astype(float)
    good = np.isfinite(found[:, 0])
    back = project(camera.points(found[good]), camera)
    np.testing.assert_allclose(back, tracks.poses.keypoints[0, good], atol=1e-3)


def with_holes(depth, pixels, rng):
    """A depth image with unknown pixels, and unknown patches over some of the joints."""
    holes = rng.random(depth.shape) < rng.uniform(0, 0.5)
    rows, columns = np.ogrid[: depth.shape[0], : depth.shape[1]]
    for x, y in pixels[rng.random(len(pixels)) < rng.choice([0.01, 0.04, 0.2])]:
        a, b = rng.uniform(4, 35, 2)
        holes |= (np.abs(columns - x) < a) & (np.abs(rows - y) < b)
    return np.where(holes, np.float32(rng.choice([np.nan, 0, np.inf, -1])), depth)


@pytest.mark.parametrize("seed", range(60))
def test_no_joint_is_ever_on_the_background(seed) -> None:
    """Holes, jitter of 3 px, joints beside limbs: a joint is on the person or unknown."""
    rng = np.random.default_rng(seed)
    scene, camera, depth, owner = scene_of(
        *ARMS[seed % 3], [np.pi, 0.0, np.pi - 0.4][seed // 3 % 3]
    )
    pixels = project(joint_array(scene.people[0]), camera)
    pixels += rng.normal(0, 3, pixels.shape)
    found = lift(make_tracks(pixels), with_holes(noisy(depth, rng), pixels, rng))[0, :, 2]

    behind = np.where(owner == PERSON, depth, 0)
    farthest = np.array([near_maximum(behind, *p) for p in pixels])
    off_body = found - farthest
    floor_under_foot = np.isin(np.arange(136), FEET)  # a sole is as near as the floor around it
    assert not (off_body > np.where(floor_under_foot, 0.13, 0.06)).any(), {
        HALPE136.keypoint_names[k]: off_body[k] for k in np.flatnonzero(off_body > 0.06)
    }


def near_maximum(depth, x, y, radius=16):
    """The person's farthest surface within a few px."""
    column, row = round(x), round(y)
    near = depth[
        max(row - radius, 0) : row + radius + 1, max(column - radius, 0) : column + radius
    ]
    return near.max(initial=0.0)


def test_holes_leave_most_joints(rng) -> None:
    scene, camera, depth, _ = scene_of("hang", "side")
    tracks = see(scene.people, camera)
    holey = np.where(rng.random(depth.shape) < 0.4, np.nan, depth).astype(np.float32)
    assert np.isfinite(lift(tracks, holey)[0, :, 2]).mean() > 0.9


def test_a_hand_in_a_hole_over_the_wall_is_unknown() -> None:
    scene, camera, depth, owner = scene_of("side", "hang")
    tracks = see(scene.people, camera)
    hand = tracks.poses.keypoints[0, [*LEFT_HAND, *index("left_wrist")]]
    low, high = hand.min(0) - 15, hand.max(0) + 15
    rows, columns = np.mgrid[: depth.shape[0], : depth.shape[1]]
    near = (columns > low[0]) & (columns < high[0]) & (rows > low[1]) & (rows < high[1])
    holey = np.where(near & (owner == PERSON), np.float32(np.nan), depth)
    found = lift(tracks, holey)[0, :, 2]
    assert np.isnan(found[[*LEFT_HAND, *index("left_wrist")]]).all()
    assert np.isfinite(found[index("left_shoulder", "left_elbow")]).all()
    assert np.isfinite(lift(tracks, depth)[0, LEFT_HAND, 2]).all()


def test_a_joint_on_the_silhouettes_edge_has_the_limbs_depth() -> None:
    scene, camera, depth, owner = scene_of("side", "hang")
    tracks = see(scene.people, camera)
    keypoints = tracks.poses.keypoints.copy()
    wrist = index("left_wrist")[0]
    x, y = keypoints[0, wrist].round().astype(int)
    edge = y + np.flatnonzero(owner[y:, x] != PERSON)[0]  # the first pixel of the wall below
    keypoints[0, wrist, 1] = edge
    found = lift(make_tracks(keypoints), depth)[0, wrist, 2]
    assert found == pytest.approx(depth[y, x], abs=0.03)
    keypoints[0, wrist, 1] = edge + 20  # far off: nothing but wall
    assert np.isnan(lift(make_tracks(keypoints), depth)[0, wrist, 2])


def test_an_arm_stretched_towards_the_camera_is_kept() -> None:
    scene, camera, depth, _ = scene_of("reach", "hang")
    tracks = see(scene.people, camera)
    found = lift(tracks, depth)[0, :, 2]
    true, _ = surface(scene, camera, tracks)
    arm = index("left_shoulder", "left_elbow", "left_wrist")
    np.testing.assert_allclose(found[arm], true[0, arm], atol=0.012)
    assert found[arm[2]] < found[arm[0]] - 0.4
    assert np.isfinite(found[LEFT_HAND]).all()


def test_a_table_before_the_legs_gives_no_joint() -> None:
    table = ((1.2, -0.8, 0.0), (1.5, 0.8, 0.7))
    scene, camera, depth, _ = scene_of("side", "side", np.pi, table)
    tracks = see(scene.people, camera)
    found = lift(tracks, depth)[0, :, 2]
    legs = index("left_knee", "right_knee", "left_ankle", "right_ankle")
    assert np.isnan(found[[*legs, *FEET]]).all()
    assert np.isfinite(found[index("left_hip", "left_wrist", "nose", "right_shoulder")]).all()


def test_legs_below_a_bar_are_found_again() -> None:
    bar = ((1.3, -0.8, 0.66), (1.4, 0.8, 0.78))  # before the thighs
    scene, camera, depth, _ = scene_of("side", "side", np.pi, bar)
    tracks = see(scene.people, camera)
    found = lift(tracks, depth)[0, :, 2]
    true, on_person = surface(scene, camera, tracks)
    shins = index("left_knee", "right_knee", "left_ankle", "right_ankle")
    assert on_person[0, shins].all()
    np.testing.assert_allclose(found[shins], true[0, shins], atol=0.03)


@pytest.mark.parametrize("yaw", np.radians([60, 90, 120, 240, 270, 300]))
def test_a_person_seen_from_the_side_has_a_head_and_legs(yaw) -> None:
    scene, camera, depth, owner = scene_of("hang", "hang", yaw)
    tracks = see(scene.people, camera)
    found = lift(tracks, depth)[0, :, 2]
    _, on_person = surface(scene, camera, tracks)
    near = "left" if np.sin(yaw) < 0 else "right"
    wanted = index(f"{near}_ear", f"{near}_knee", f"{near}_ankle", f"{near}_elbow")
    assert on_person[0, wanted].all()
    assert np.isfinite(found[wanted]).all()
    assert np.nanmax(found) < depth[owner == PERSON].max() + 0.05


# A face is lifted where it lies on a head; face-68 alone has none.
@pytest.mark.parametrize(
    "skeleton", [s for s in SKELETONS.values() if s is not FACE68], ids=lambda s: s.name
)
def test_every_skeleton_is_lifted(skeleton) -> None:
    scene, camera, depth, owner = scene_of("side", "hang")
    found = lift(see(scene.people, camera, skeleton), depth)[0, :, 2]
    assert np.isfinite(found).mean() > 0.95
    assert np.nanmax(found) < depth[owner == PERSON].max() + 0.05


def test_who_is_seen_from_the_chest_up_is_found() -> None:
    scene, camera, depth, _ = scene_of("hang", "hang")
    keypoints = see(scene.people, camera, COCO17).poses.keypoints
    scores = np.zeros(17)
    scores[:5] = 0.9  # the head only
    found = lift(make_tracks(keypoints, COCO17, scores), depth)[0, :, 2]
    assert np.isfinite(found).tolist() == [True] * 5 + [False] * 12


def test_what_does_not_count_is_unknown() -> None:
    scene, camera, depth, _ = scene_of("hang", "side")
    tracks = see(scene.people, camera)
    keypoints, scores = tracks.poses.keypoints.copy(), tracks.poses.scores.copy()
    elbow, wrist, knee = index("left_elbow", "right_wrist", "left_knee")
    scores[0, elbow] = 0.29
    keypoints[0, wrist] = [641, 100]
    keypoints[0, knee] = np.nan
    found = lift(make_tracks(keypoints, scores=scores), depth)[0, :, 2]
    assert np.isnan(found[[elbow, wrist, knee]]).all()
    assert np.isfinite(found[index("left_shoulder", "right_elbow", "left_ankle")]).all()
    assert np.isnan(lift(make_tracks(keypoints, states=TrackState.LOST), depth)).all()


def test_depth_out_of_range_is_unknown() -> None:
    scene, camera, depth, _ = scene_of("hang", "side")
    tracks = see(scene.people, camera)
    assert np.isnan(lift(tracks, depth, max_depth=1.5)).all()
    assert np.isnan(lift(tracks, depth, min_depth=2.8)).all()


def test_people_do_not_disturb_each_other() -> None:
    people = (
        make_person((2.0, 0.4), np.pi, right="side"),
        make_person((3.0, -0.2), np.pi, left="side"),
    )
    scene, camera = Scene(people, 4.0), camera_at()
    depth, _ = scene.image(camera)
    both = lift(see(people, camera), depth)
    for row, person in enumerate(people):
        np.testing.assert_allclose(both[row], lift(see([person], camera), depth)[0])
    assert np.nanmedian(both[0, :, 2]) < 2.1 < 2.7 < np.nanmedian(both[1, :, 2])
