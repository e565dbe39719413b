# SPDX-License-Identifier: Apache-2.0
"""How much a place is doubted when parts of the torso are not seen, and by what it was found."""

from __future__ import annotations

import numpy as np
import pytest
from test_spatial_torso import BONES, CAMERA, COCO17, CONFIG, TORSO, people, place

from alphapose_ros.base.custom_skeleton import make_skeleton
from alphapose_ros.spatial.bones import Bones
from alphapose_ros.spatial.depth import depth_noise
from alphapose_ros.spatial.torso import BODY, find_places

INDEX = np.array([COCO17.index(name) for name in TORSO])
HEAD = np.arange(5)


def head_only(depths):
    """Rays and depths of who shows but the head, on the camera's axis."""
    rays, out = np.full((1, 17, 2), np.nan), np.full((1, 17), np.nan)
    rays[0, HEAD], out[0, HEAD] = 0.0, depths
    return rays, out


@pytest.mark.parametrize("missing", range(4))
def test_a_corner_that_was_completed_is_off_by_eight_centimetres(missing, rng) -> None:
    rays, depths, _ = people(rng, 1, turn=0.0, noise=False)
    whole = place(rays, depths)
    depths[:, INDEX[missing]] = np.nan
    found = place(rays, depths)
    np.testing.assert_allclose(found.points, whole.points)
    more = found.noise[0, 2, 2] - whole.noise[0, 2, 2]
    assert more == pytest.approx(0.08**2 / 16, rel=0.01)


def test_every_choice_of_corners_is_another_evidence(rng) -> None:
    """Who shows the other half is measured anew, and did not move."""
    seen = [(0, 1), (2, 3), (0, 2), (1, 3), (0,), (1,), (2,), (3,), (0, 1, 2, 3)]
    found = set()
    for corners in seen:
        rays, depths, _ = people(rng, 1)
        gone = [INDEX[i] for i in range(4) if i not in corners]
        rays[:, gone], depths[:, gone] = np.nan, np.nan
        found.add(int(place(rays, depths).evidence[0]))
    assert len(found) == len(seen)
    assert not found & {0, BODY}


def test_a_bodys_depth_is_as_sure_as_its_joints_agree() -> None:
    rays, depths = head_only([1.9, 1.95, 2.0, 2.05, 2.1])
    found = place(rays, depths)
    spread = (2 * 0.1**2 + 2 * 0.05**2) / 5**2
    own = depth_noise(np.array(2.0), CONFIG) ** 2 + CONFIG.joint_noise**2
    assert found.noise[0, 2, 2] == pytest.approx(own + spread)
    assert found.evidence[0] == BODY


def test_shoulders_without_depth_make_no_head_surer() -> None:
    rays, depths = head_only([2.0] * 5)
    alone = place(rays, depths)
    rays[0, INDEX[:2]] = [[0.1, 0.2], [-0.1, 0.2]]
    found = place(rays, depths)
    np.testing.assert_allclose(found.noise, alone.noise)
    assert found.evidence[0] == alone.evidence[0]


def test_a_corner_that_a_skeleton_lacks_is_not_its_last_joint() -> None:
    names = ["left_shoulder", "right_shoulder", "left_hip", "tail"]  # no right hip
    bones = Bones(make_skeleton({"name": "cut", "keypoints": names, "limbs": [names[:2]]}))
    corners = np.array([[0.2, -0.5], [-0.2, -0.5], [0.2, 0.0], [5.0, 5.0]])
    rays, depths = corners[None] / 3.0, np.array([[3.0, 3.0, 3.0, 9.0]])
    usable = np.ones((1, 4), bool)
    found = find_places(rays, depths, usable, bones, CAMERA, CONFIG)
    usable[0, 3], depths[0, 3] = False, np.nan
    without = find_places(rays, depths, usable, bones, CAMERA, CONFIG)
    np.testing.assert_allclose(found.points, [[0.0, -0.25, 3.0]], atol=1e-9)
    np.testing.assert_allclose(found.noise, without.noise)
    assert BONES.has_torso
    assert not bones.has_torso
