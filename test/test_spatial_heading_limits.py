# SPDX-License-Identifier: Apache-2.0
"""Which pairs of shoulders and hips tell a heading."""

from __future__ import annotations

import numpy as np
import pytest

from alphapose_ros.base.custom_skeleton import make_skeleton
from alphapose_ros.base.skeletons import COCO17
from alphapose_ros.spatial.bones import TORSO, Bones
from alphapose_ros.spatial.heading import headings

BONES = Bones(COCO17)
INDEX = [COCO17.index(name) for name in TORSO]


def standing(shoulders, hips):
    """(1, 17, 3) m, z up: each pair goes from the right to the left one by (x, y, z)."""
    points = np.full((1, 17, 3), np.nan)
    ends = np.stack([shoulders, np.negative(shoulders), hips, np.negative(hips)]) / 2
    points[0, INDEX] = ends + np.array([[2, 0, 1.4], [2, 0, 1.4], [2, 0, 0.9], [2, 0, 0.9]])
    return points


@pytest.mark.parametrize(("width", "known"), [(0.09, False), (0.11, True)])
def test_a_decimetre_is_the_least_width(width, known) -> None:
    points = standing([0, width, 0], [0, width, 0])
    assert np.isfinite(headings(points, BONES, False))[0] == known


def test_who_lies_on_one_side_has_no_heading() -> None:
    """Shoulders and hips are above each other: on the ground they are not apart."""
    points = standing([0.05, 0.05, 0.4], [0.0, 0.05, 0.3])
    assert np.isnan(headings(points, BONES, False)).all()


def test_a_narrow_pair_does_not_turn_a_wide_one() -> None:
    points = standing([0, 0.4, 0], [0.09, 0, 0])
    assert headings(points, BONES, False)[0] == pytest.approx(0.0)


def test_a_joint_that_a_skeleton_lacks_is_none_of_a_pair() -> None:
    names = ["left_shoulder", "right_shoulder", "left_hip", "tail"]  # no right hip
    bones = Bones(make_skeleton({"name": "cut", "keypoints": names, "limbs": [names[:2]]}))
    points = np.array([[[2, 0.2, 1.4], [2, -0.2, 1.4], [2, 0.2, 0.9], [4, 0.2, 0.9]]])
    assert headings(points, bones, False)[0] == pytest.approx(0.0)
