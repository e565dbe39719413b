# SPDX-License-Identifier: Apache-2.0
"""The way from the torso to a joint over painted depths, one limit at a time.

At 2 m the depth may grow by 0.138 m at once: 0.12 m, and three sigmas of 0.006 m.
"""

from __future__ import annotations

import numpy as np
import pytest
from test_spatial_joints import lift
from test_spatial_scenes import CAMERA, make_tracks

from alphapose_ros.base.custom_skeleton import make_skeleton
from alphapose_ros.base.skeletons import COCO17
from alphapose_ros.spatial.bones import Bones
from alphapose_ros.spatial.config import SpatialConfig
from alphapose_ros.spatial.depth import DepthView
from alphapose_ros.spatial.reach import find_anchor

TORSO = {
    "left_shoulder": (360, 100), "right_shoulder": (280, 100), "left_hip": (350, 200),
    "right_hip": (290, 200),
}  # fmt: skip
ARM = {"left_elbow": (400, 100), "left_wrist": (500, 100)}
LEG = {"left_knee": (350, 300), "left_ankle": (350, 400)}


def plane(depth=2.0):
    return np.full((480, 640), depth, np.float32)


def lifted(joints, image, **config):
    """Depths by name; a joint that is not given is not seen."""
    pixels = np.full((17, 2), np.nan)
    for name, place in joints.items():
        pixels[COCO17.index(name)] = place
    found = lift(make_tracks(pixels, COCO17), image, **config)[0, :, 2]
    return {name: found[COCO17.index(name)] for name in joints}


@pytest.mark.parametrize(("nearer", "known"), [(0.24, True), (0.26, True), (0.28, False)])
def test_what_is_nearer_than_the_body_hides_a_joint(nearer, known) -> None:
    """By more than 0.25 m and noise, and at once."""
    image = plane()
    image[90:111, 490:511] = 2.0 - nearer
    found = lifted(TORSO | ARM, image)
    assert np.isfinite(found["left_wrist"]) == known
    assert np.isfinite(found["left_elbow"])


def test_a_gap_of_a_tenth_of_a_bone_is_seen() -> None:
    image = plane()
    image[:, 444:457] = 3.0
    found = lifted(TORSO | ARM, image)
    assert np.isnan(found["left_wrist"])
    assert np.isfinite(found["left_elbow"])


def test_the_reach_of_a_body_ends_behind_it_too() -> None:
    image = plane()
    image[:, 360:] = np.linspace(2.0, 2.4, 280)  # an arm that points away
    found = lifted(TORSO | ARM, image, reach=0.15)
    assert found["left_elbow"] == pytest.approx(2.06, abs=0.01)
    assert np.isnan(found["left_wrist"])
    assert lifted(TORSO | ARM, image)["left_wrist"] == pytest.approx(2.2, abs=0.01)


@pytest.mark.parametrize(("depth", "known"), [(2.25, True), (2.31, True), (2.33, False)])
def test_in_profile_legs_begin_behind_the_arm_but_no_arm_does(depth, known) -> None:
    """By 0.3 m and noise."""
    image = plane()
    image[215:] = depth
    joints = {name: (320, y) for name, (_, y) in (TORSO | LEG).items()}
    found = lifted(joints | {"left_elbow": (320, 260)}, image)
    assert np.isfinite(found["left_hip"])
    assert np.isfinite([found["left_knee"], found["left_ankle"]]).tolist() == [known, known]
    assert np.isnan(found["left_elbow"])


def test_behind_a_bar_the_body_may_come_nearer_again() -> None:
    """What hid the thigh is over at the knee: the foot is stretched forward, not hidden."""
    image = plane()
    image[240:261] = 1.5
    image[300:411] = np.linspace(2.0, 1.6, 111)[:, None]
    found = lifted(TORSO | LEG, image)
    assert found["left_knee"] == pytest.approx(2.0, abs=0.02)
    assert found["left_ankle"] == pytest.approx(1.64, abs=0.02)


def test_a_table_before_more_than_half_of_a_torso_is_not_the_torso() -> None:
    image = plane()
    image[138:] = 1.4
    found = lifted(TORSO, image)
    assert np.isfinite([found["left_shoulder"], found["right_shoulder"]]).all()
    assert np.isnan([found["left_hip"], found["right_hip"]]).all()


def test_two_shoulders_are_torso_enough() -> None:
    shoulders = {name: place for name, place in TORSO.items() if "shoulder" in name}
    assert np.isfinite([*lifted(shoulders | ARM, plane()).values()]).all()


def test_without_a_torso_the_way_begins_at_a_joint_on_the_body() -> None:
    """The first joint is seen on the wall."""
    image = plane()
    image[:, 450:] = 4.0
    joints = {"left_elbow": (500, 100), "right_elbow": (250, 100), "right_wrist": (250, 150)}
    found = lifted(joints | LEG, image)
    assert np.isnan(found.pop("left_elbow"))
    assert np.isfinite([*found.values()]).all()


@pytest.mark.parametrize(("depth", "known"), [(1.9, True), (2.1, True), (1.8, False)])
def test_behind_a_bar_is_the_body_only_at_its_old_depth(depth, known) -> None:
    image = plane()
    image[230:251] = 1.2
    image[251:] = depth
    found = lifted(TORSO | LEG, image)
    assert np.isfinite([found["left_knee"], found["left_ankle"]]).tolist() == [known, known]


def anchor_of(image):
    """Where the tree of who shows the torso begins; its left half is right of column 320."""
    pixels = np.full((1, 17, 2), np.nan)
    for name, place in TORSO.items():
        pixels[0, COCO17.index(name)] = place
    pixels[..., 0] += 0.5 * np.sign(pixels[..., 0] - 320)  # no point lies between the halves
    view = DepthView(image, CAMERA, SpatialConfig())
    return find_anchor(view, pixels, np.isfinite(pixels).all(-1), Bones(COCO17))


def test_far_away_depths_that_differ_by_noise_agree() -> None:
    """At 8 m noise is 0.11 m: both halves of the chest are one torso."""
    image = plane(7.9)
    image[:, 320:] = 8.1
    anchor = anchor_of(image)
    assert anchor.depth[0] == pytest.approx(8.0, abs=1e-3)
    assert anchor.by_torso[0]


def test_what_is_two_decimetres_before_a_torso_is_none_of_it() -> None:
    image = plane()
    image[160:] = 1.8
    assert anchor_of(image).depth[0] == pytest.approx(2.0)


@pytest.mark.parametrize(("count", "known"), [(2, False), (3, True)])
def test_three_joints_that_agree_are_a_body(count, known) -> None:
    head = {"nose": (320, 100), "left_eye": (330, 95), "right_eye": (310, 95)}
    found = lifted(dict([*head.items()][:count]), plane())
    assert np.isfinite([*found.values()]).tolist() == [known] * count


def test_a_body_of_a_single_joint_is_that_joint() -> None:
    skeleton = make_skeleton({"name": "helmet", "keypoints": ["helmet"]})
    found = lift(make_tracks([[320, 100]], skeleton), plane())
    assert found[0, 0, 2] == pytest.approx(2.0)
