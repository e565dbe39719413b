# SPDX-License-Identifier: Apache-2.0
"""The formats of others, joint by joint, for every skeleton that has a body."""

from __future__ import annotations

import json

import numpy as np
import pytest

from alphapose_ros.base.records import Poses
from alphapose_ros.base.skeletons import COCO17, HALPE26, HALPE136, WHOLEBODY133, Skeleton
from alphapose_ros.io.formats import (
    BODY25,
    alphapose_rows,
    coco_image_id,
    coco_rows,
    openpose_document,
    to_skeleton,
)

# OpenPose's BODY_25 as its documentation numbers it.
OPENPOSE = {
    0: "nose", 1: "neck", 2: "right_shoulder", 3: "right_elbow", 4: "right_wrist",
    5: "left_shoulder", 6: "left_elbow", 7: "left_wrist", 8: "pelvis", 9: "right_hip",
    10: "right_knee", 11: "right_ankle", 12: "left_hip", 13: "left_knee", 14: "left_ankle",
    15: "right_eye", 16: "left_eye", 17: "right_ear", 18: "left_ear", 19: "left_big_toe",
    20: "left_small_toe", 21: "left_heel", 22: "right_big_toe", 23: "right_small_toe",
    24: "right_heel",
}  # fmt: skip


def poses(skeleton: Skeleton, count: int = 2) -> Poses:
    """Joint k of person n at (k, 100 n) with score (k + 1) / 200."""
    joints = len(skeleton)
    x, y = np.meshgrid(np.arange(joints), 100.0 * np.arange(count))
    scores = np.tile((np.arange(joints) + 1) / 200, (count, 1))
    boxes = np.tile([10.0, 20.0, 40.0, 100.0], (count, 1))
    return Poses(np.stack([x, y], -1), scores, boxes, np.full(count, 0.5), range(count), skeleton)


def triple(flat: list[float], k: int) -> list[float]:
    return flat[3 * k : 3 * k + 3]


def test_body25_has_openposes_order() -> None:
    assert dict(enumerate(BODY25)) == OPENPOSE


@pytest.mark.parametrize(
    "skeleton", [COCO17, HALPE26, HALPE136, WHOLEBODY133], ids=lambda s: s.name
)
def test_openpose_joints_come_by_name(skeleton: Skeleton) -> None:
    given = poses(skeleton)
    people = openpose_document(given)["people"]
    assert len(people) == 2
    body = people[1]["pose_keypoints_2d"]
    assert len(body) == 75
    for k, name in OPENPOSE.items():
        if name in skeleton.keypoint_names:
            j = skeleton.index(name)
            assert triple(body, k) == pytest.approx([j, 100.0, (j + 1) / 200], abs=1e-4)
        elif name == "neck":
            assert triple(body, k) == pytest.approx([5.5, 100.0, 6 / 200])
        elif name == "pelvis":
            assert triple(body, k) == pytest.approx([11.5, 100.0, 12 / 200])
        else:
            assert triple(body, k) == [0, 0, 0]


@pytest.mark.parametrize("skeleton", [HALPE136, WHOLEBODY133], ids=lambda s: s.name)
def test_openpose_face_and_hands(skeleton: Skeleton) -> None:
    person = openpose_document(poses(skeleton))["people"][0]
    face, start = person["face_keypoints_2d"], skeleton.parts["face"].start
    assert len(face) == 210
    assert face[0] == start
    assert triple(face, 67)[0] == start + 67
    assert face[204:] == [0] * 6  # the pupils, which our models lack
    for side in ("left", "right"):
        hand, first = person[f"hand_{side}_keypoints_2d"], skeleton.parts[f"{side}_hand"].start
        assert len(hand) == 63
        assert [triple(hand, k)[0] for k in range(21)] == [first + k for k in range(21)]


def test_openpose_parts_that_a_skeleton_lacks_are_empty() -> None:
    person = openpose_document(poses(COCO17))["people"][0]
    assert person["face_keypoints_2d"] == []
    assert person["hand_left_keypoints_2d"] == person["hand_right_keypoints_2d"] == []


def test_an_untaught_neck_becomes_the_middle_of_the_shoulders() -> None:
    given = poses(HALPE26, 1)
    given.scores[0, HALPE26.index("neck")] = 0
    body = openpose_document(given)["people"][0]["pose_keypoints_2d"]
    assert triple(body, 1) == pytest.approx([5.5, 0.0, 6 / 200])
    assert triple(body, 8)[0] == HALPE26.index("pelvis")


def test_joints_without_a_score_are_zero_in_openpose() -> None:
    given = poses(HALPE136, 1)
    given.scores[:] = 0
    person = openpose_document(given)["people"][0]
    assert person["person_id"] == [-1]
    for key in ("pose", "face", "hand_left", "hand_right"):
        assert not any(person[f"{key}_keypoints_2d"])


def test_alphapose_rows_have_its_score_and_integer_ids() -> None:
    given = poses(COCO17)
    rows = alphapose_rows("a.jpg", given)
    scores = given.scores[1]
    assert [row["idx"] for row in rows] == [0, 1]
    assert rows[1]["image_id"] == "a.jpg"
    assert rows[1]["score"] == pytest.approx(scores.mean() + 0.5 + 1.25 * scores.max(), abs=1e-3)
    assert rows[1]["box"] == [10, 20, 30, 80]
    assert len(rows[1]["keypoints"]) == 51
    assert triple(rows[1]["keypoints"], 3) == [3, 100, 0.02]


def test_coco_rows_have_scores_in_0_1() -> None:
    given = poses(HALPE136)
    mapped = to_skeleton(given, COCO17)
    (first, _) = rows = coco_rows(42, mapped)
    assert first.keys() == {
        "image_id", "category_id", "keypoints", "score", "bbox", "box_score"
    }  # fmt: skip
    assert (first["image_id"], first["category_id"], first["box_score"]) == (42, 1, 0.5)
    assert first["bbox"] == [10, 20, 30, 80]
    assert len(first["keypoints"]) == 51
    assert (mapped.scores == given.scores[:, :17]).all()
    assert first["score"] == pytest.approx(mapped.person_scores[0], abs=1e-6)
    assert 0 < first["score"] < first["box_score"]
    json.dumps(rows)


@pytest.mark.parametrize("form", [coco_rows, alphapose_rows])
def test_nobody_is_no_row(form: object) -> None:
    assert form("1", Poses.empty(HALPE136)) == []  # type: ignore[operator]
    assert openpose_document(Poses.empty(HALPE136))["people"] == []


@pytest.mark.parametrize(
    ("stem", "expected"),
    [("000000397133", 397133), ("COCO_val2014_000000000042", 42), ("frame7b", 7), ("me", "me")],
)
def test_the_image_id_is_the_integer_in_the_name(stem: str, expected: int | str) -> None:
    assert coco_image_id(stem) == expected


def test_results_are_read_by_pycocotools() -> None:
    coco = pytest.importorskip("pycocotools.coco")
    dataset = coco.COCO()
    dataset.dataset = {"images": [{"id": 42}], "categories": [{"id": 1}], "annotations": []}
    dataset.createIndex()
    loaded = dataset.loadRes(coco_rows(42, poses(COCO17)))
    assert len(loaded.getAnnIds()) == 2
