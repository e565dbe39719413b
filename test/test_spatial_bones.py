# SPDX-License-Identifier: Apache-2.0
"""The body's tree: where the way to each joint begins."""

from __future__ import annotations

import numpy as np
import pytest

from alphapose_ros.base.custom_skeleton import make_skeleton
from alphapose_ros.base.skeletons import COCO17, HALPE136, SKELETONS
from alphapose_ros.spatial.bones import Bones

ROOT = "root"


def tree(skeleton):
    """Joint -> (the joint where its way begins, the joints on the way), by name."""
    names, out = [*skeleton.keypoint_names, ROOT], {}
    for level in Bones(skeleton).levels:
        for joint, parent, between in zip(*vars(level).values(), strict=True):
            assert names[joint] not in out
            assert names[parent] in (ROOT, *out)  # reached before
            out[names[joint]] = names[parent], [names[k] for k in between if k >= 0]
    return out


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_way_to_each_joint_begins_at_the_joint_before_it(side) -> None:
    found = tree(HALPE136)
    before = {
        "shoulder": ROOT, "elbow": "shoulder", "wrist": "elbow", "hand_wrist": "wrist",
        "hip": ROOT, "knee": "hip", "ankle": "knee", "heel": "ankle", "big_toe": "ankle",
        "small_toe": "ankle", "ear": "eye",
    }  # fmt: skip
    for joint, parent in before.items():
        expected = parent if parent == ROOT else f"{side}_{parent}"
        assert found[f"{side}_{joint}"] == (expected, [])
    middle = {f"{side}_eye": "nose", "nose": "neck", "head_top": "nose", "neck": ROOT}
    assert {name: found[name][0] for name in middle} == middle


@pytest.mark.parametrize(("skeleton", "hand"), [(HALPE136, "left_hand_"), ("hand21", "")])
def test_the_way_to_a_fingers_tip_leads_over_its_joints(skeleton, hand) -> None:
    found = tree(SKELETONS.get(skeleton, skeleton) if hand == "" else skeleton)
    for number in (1, 2, 3, 4):
        joints = [f"{hand}index_{k}" for k in range(1, number)]
        assert found[f"{hand}index_{number}"] == (f"{hand}wrist", joints)


def test_a_joint_that_is_missing_is_passed_over() -> None:
    assert tree(COCO17)["nose"] == (ROOT, [])  # there is no neck
    names = ["left_shoulder", "left_wrist", "left_heel"]
    skeleton = make_skeleton({"name": "cut", "keypoints": names})
    assert tree(skeleton) == {
        "left_shoulder": (ROOT, []), "left_wrist": ("left_shoulder", []), "left_heel": (ROOT, [])
    }  # fmt: skip


def test_what_is_numbered_five_is_no_finger() -> None:
    names = ["wrist", *(f"index_{i}" for i in range(1, 6))]
    skeleton = make_skeleton({"name": "cut", "keypoints": names})
    assert tree(skeleton)["index_5"] == (ROOT, [])
    assert Bones(skeleton).arms.tolist() == [True] * 5 + [False]


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
def test_every_joint_has_a_way_except_the_faces(skeleton) -> None:
    names = skeleton.keypoint_names
    assert set(tree(skeleton)) == {name for name in names if not name.startswith("face_")}
    assert Bones(skeleton).face.tolist() == [
        i for i, name in enumerate(names) if name.startswith("face_")
    ]


def test_which_joints_are_of_what() -> None:
    bones, names = Bones(HALPE136), np.array(HALPE136.keypoint_names)
    assert set(names[bones.trunk]) == {
        "left_shoulder", "right_shoulder", "left_hip", "right_hip", "neck", "pelvis"
    }  # fmt: skip
    assert names[bones.arms].tolist() == [
        name for name in names if "hand_" in name or name.endswith(("elbow", "wrist"))
    ]
    for hand, side in zip(bones.hands, ("left", "right"), strict=True):
        assert len(hand) == 22
        assert set(names[hand]) == {n for n in names if n.startswith(f"{side}_hand")} | {
            f"{side}_wrist"
        }
    joints = ("shoulder", "hip", "knee", "ankle")
    assert names[bones.legs].tolist() == [[f"{s}_{j}" for j in joints] for s in ("left", "right")]
