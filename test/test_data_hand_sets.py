# SPDX-License-Identifier: Apache-2.0
"""Hands in 3-D find their pixels and their places: FreiHAND's and InterHand2.6M's files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.skeletons import COCO17, HALPE136, HAND21
from alphapose_ros.data.readers import read_set, seen_format

K = [[200.0, 0.0, 112.0], [0.0, 210.0, 100.0], [0.0, 0.0, 1.0]]
RIGHT, LEFT = HALPE136.parts["right_hand"], HALPE136.parts["left_hand"]


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.zeros((20, 20, 3), np.uint8))


def freihand(folder: Path, count: int = 3, images: tuple[int, ...] = (0, 1, 2)) -> Path:
    """Joint j of hand n is at (j, n, 10 + j) / 100."""
    xyz = [[[j / 100, n / 100, (10 + j) / 100] for j in range(21)] for n in range(count)]
    (folder / "training_xyz.json").write_text(json.dumps(xyz))
    (folder / "training_K.json").write_text(json.dumps([K] * count))
    for n in images:
        picture(folder / "rgb" / f"{n:08d}.jpg")
    return folder / "training_xyz.json"


def test_freihand_is_projected_in_our_order(tmp_path: Path) -> None:
    path = freihand(tmp_path)
    assert seen_format(path) == "freihand"
    hands = read_set(path, tmp_path / "rgb", HAND21)
    whole = read_set(path, tmp_path / "rgb")
    assert hands.keypoints.shape == (3, 21, 2)
    for n in range(3):
        for j in range(21):
            z = 10 + j
            expected = [200 * j / z + 112, 210 * n / z + 100]
            np.testing.assert_allclose(hands.keypoints[n, j], expected, rtol=1e-5)
    assert (hands.labels == 2).all()
    np.testing.assert_array_equal(whole.keypoints[:, RIGHT], hands.keypoints)
    assert whole.labels.sum() == 2 * 3 * 21
    low, high = hands.keypoints[1].min(0), hands.keypoints[1].max(0)
    np.testing.assert_allclose(hands.boxes[1], [*low, *high], rtol=1e-4)


def test_freihands_repetitions_are_read_where_they_are(tmp_path: Path) -> None:
    path = freihand(tmp_path, images=(0, 2, 3, 4, 5, 7))
    hands = read_set(path, tmp_path / "rgb", HAND21)
    assert hands.image_ids.tolist() == [0, 2, 3, 4, 5, 7]
    np.testing.assert_array_equal(hands.keypoints[0], hands.keypoints[2])
    np.testing.assert_array_equal(hands.keypoints[3], hands.keypoints[5])
    assert hands.problems == {"missing image": 3}  # 1, 6 and 8


def test_freihand_files_that_do_not_fit(tmp_path: Path) -> None:
    path = freihand(tmp_path)
    (tmp_path / "training_K.json").write_text(json.dumps([K]))
    with pytest.raises(InputError, match=r"training_K\.json: expected a camera for each of 3"):
        read_set(path, tmp_path / "rgb")
    (tmp_path / "training_K.json").unlink()
    with pytest.raises(InputError, match=r"training_K\.json: cannot read"):
        read_set(path, tmp_path / "rgb")
    for bad in ([[[1, 2]]], [[1], [1, 2]], ["a"], [1]):
        path.write_text(json.dumps(bad))
        with pytest.raises(InputError, match=r"training_xyz\.json: expected a list of 21 x 3"):
            read_set(path, tmp_path / "rgb")
    with pytest.raises(InputError, match="found none of them"):
        read_set(freihand(tmp_path), tmp_path / "elsewhere")
    assert len(read_set(freihand(tmp_path, 0), tmp_path / "rgb")) == 0


def test_a_joint_behind_the_camera_is_not_known(tmp_path: Path) -> None:
    path = freihand(tmp_path, 2)
    xyz = json.loads(path.read_text())
    xyz[0][5][2] = -0.1
    for joint in xyz[1]:
        joint[2] = 0.0
    path.write_text(json.dumps(xyz))
    hands = read_set(path, tmp_path / "rgb", HAND21)
    assert hands.image_ids.tolist() == [0, 2]  # hand 1 is gone, image 2 repeats hand 0
    assert np.flatnonzero(hands.labels[0] == 0).tolist() == [5]
    assert hands.problems == {"fewer than two joints": 1, "missing image": 1}


TURN = cv2.Rodrigues(np.array([0.1, -0.2, 0.3]))[0]
PLACE = np.array([10.0, -20.0, -500.0])
FINGERS = ("thumb", "index", "middle", "ring", "little")


def interhand_world() -> np.ndarray:
    return np.random.default_rng(3).uniform(-80, 80, (42, 3))


def interhand(folder: Path, valid: list[Any], **changes: Any) -> Path:
    entry = {"id": 5, "file_name": "Capture0/a.jpg", "capture": 0, "camera": "400262",
             "frame_idx": 17}  # fmt: skip
    item = {"id": 1, "image_id": 5, "bbox": [0, 0, 9, 9], "joint_valid": valid,
            "hand_type": "interacting"} | changes  # fmt: skip
    camera = {
        "0": {
            "campos": {"400262": PLACE.tolist()},
            "camrot": {"400262": TURN.tolist()},
            "focal": {"400262": [1200.0, 1300.0]},
            "princpt": {"400262": [256.0, 167.0]},
        }
    }
    files = {
        "data": {"images": [entry], "annotations": [item, item | {"image_id": 6}]},
        "camera": camera,
        "joint_3d": {"0": {"17": {"world_coord": interhand_world().tolist()}}},
    }
    for name, content in files.items():
        (folder / f"train_{name}.json").write_text(json.dumps(content))
    picture(folder / "Capture0" / "a.jpg")
    return folder / "train_data.json"


@pytest.mark.parametrize("nested", [False, True])
def test_interhand_runs_from_the_tips_to_the_wrist(tmp_path: Path, nested: bool) -> None:
    valid: list[Any] = [1] * 42
    path = interhand(tmp_path, [[v] for v in valid] if nested else valid)
    assert seen_format(path) == "interhand"
    people = read_set(path, tmp_path)
    assert people.problems == {"annotation of a missing image": 1}
    assert len(people) == 2
    for row, (side, start) in enumerate((("right", 0), ("left", 21))):
        assert people.labels[row].sum() == 2 * 21
        for finger in range(5):
            for i in range(4):  # 0 is the tip, our number 4
                world = interhand_world()[start + 4 * finger + i]
                x, y, z = TURN @ (world - PLACE)
                k = HALPE136.index(f"{side}_hand_{FINGERS[finger]}_{4 - i}")
                expected = [1200 * x / z + 256, 1300 * y / z + 167]
                np.testing.assert_allclose(people.keypoints[row, k], expected, rtol=1e-4)
        x, y, z = TURN @ (interhand_world()[start + 20] - PLACE)
        wrist = people.keypoints[row, HALPE136.index(f"{side}_hand_wrist")]
        np.testing.assert_allclose(wrist, [1200 * x / z + 256, 1300 * y / z + 167], rtol=1e-4)
    alone = read_set(path, tmp_path, HAND21)
    np.testing.assert_array_equal(alone.keypoints[0], people.keypoints[0, RIGHT])
    np.testing.assert_array_equal(alone.keypoints[1], people.keypoints[1, LEFT])


def test_interhands_invalid_joints_and_hands_are_left_out(tmp_path: Path) -> None:
    path = interhand(tmp_path, [0] * 21 + [0, 1] + [1] * 19)
    people = read_set(path, tmp_path)
    assert len(people) == 1
    assert not people.labels[0, RIGHT].any()
    tip = HALPE136.index("left_hand_thumb_4")
    assert people.labels[0, LEFT].sum() == 2 * 20
    assert people.labels[0, tip] == 0
    one = read_set(interhand(tmp_path, [1] + [0] * 41), tmp_path)
    assert len(one) == 0
    assert one.problems["fewer than two joints"] == 1


def test_interhand_mistakes_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"train_data\.json: no annotation can be used"):
        read_set(interhand(tmp_path, [1] * 41), tmp_path)
    path = interhand(tmp_path, [1] * 42)
    (tmp_path / "train_camera.json").write_text("{}")
    with pytest.raises(InputError, match=r"train_data\.json: no annotation can be used"):
        read_set(path, tmp_path)
    (tmp_path / "train_joint_3d.json").unlink()
    with pytest.raises(InputError, match=r"train_joint_3d\.json: cannot read"):
        read_set(path, tmp_path)
    path = interhand(tmp_path, [1] * 42)
    (tmp_path / "Capture0" / "a.jpg").write_bytes(b"")
    with pytest.raises(InputError, match="found none of them"):
        read_set(path, tmp_path)


def test_hands_have_no_place_in_a_body_set(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected joints of 'coco17'"):
        read_set(freihand(tmp_path), tmp_path / "rgb", COCO17)
