# SPDX-License-Identifier: Apache-2.0
"""A skeleton of one's own: what a file may say, and one clear line for each mistake."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from coco_scenes import coco_file, person

from alphapose_ros.base.custom_skeleton import load_skeleton
from alphapose_ros.base.errors import ConfigError
from alphapose_ros.base.skeletons import COCO17
from alphapose_ros.data.readers import read_set

FULL = """
name: robot_arm
keypoints: [base, left_wrist, left_finger, right_finger]
limbs: [[base, left_wrist], [left_wrist, left_finger]]
flip_pairs: [[left_finger, right_finger]]
sigmas: {base: 0.06}
parts: {arm: [base, left_wrist], gripper: [left_finger, right_finger]}
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_everything_given(tmp_path: Path) -> None:
    skeleton = load_skeleton(write(tmp_path, FULL))
    assert skeleton.name == "robot_arm"
    assert skeleton.keypoint_names == ("base", "left_wrist", "left_finger", "right_finger")
    assert skeleton.edges == ((0, 1), (1, 2))
    assert skeleton.flip_permutation.tolist() == [0, 1, 3, 2]
    assert dict(skeleton.parts) == {"arm": slice(0, 2), "gripper": slice(2, 4)}
    wrist = COCO17.sigmas[COCO17.index("left_wrist")]
    np.testing.assert_allclose(skeleton.sigmas, [0.06, wrist, 0.05, 0.05])


def test_the_least_that_is_needed(tmp_path: Path) -> None:
    skeleton = load_skeleton(write(tmp_path, "name: a\nkeypoints: [right_x, t, left_x, left_y]"))
    assert skeleton.flip_permutation.tolist() == [2, 1, 0, 3]
    assert skeleton.edges == ()
    assert dict(skeleton.parts) == {"body": slice(0, 4)}
    np.testing.assert_allclose(skeleton.sigmas, 0.05)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0.1", [0.1, 0.1]), ("[0.1, 0.2]", [0.1, 0.2]), ("{b: 0.3}", [0.05, 0.3])],
)
def test_sigmas(tmp_path: Path, text: str, expected: list[float]) -> None:
    path = write(tmp_path, f"name: n\nkeypoints: [a, b]\nsigmas: {text}")
    np.testing.assert_allclose(load_skeleton(path).sigmas, expected)


AB = "name: n\nkeypoints: [a, b, c]\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected the keys name, keypoints"),
        ("- a", "expected the keys name, keypoints"),
        ("name: [", "cannot read a skeleton"),
        ("name: n", "expected the key 'keypoints'"),
        ("keypoints: [a]", "expected the key 'name'"),
        ("name: 3\nkeypoints: [a]", "name: expected a text, got 3"),
        ("name: coco17\nkeypoints: [a]", "'coco17' is a known skeleton"),
        ("name: n\nkeypoints: []", "at least one name"),
        ("name: n\nkeypoints: a", "keypoints: expected a list of names, got 'a'"),
        ("name: n\nkeypoints: [a, yes]", "expected names, got True"),
        ("name: n\nkeypoints: [a, b, a]", "'a' is there more than once"),
        (AB + "limb: []", "unknown key 'limb'; did you mean 'limbs'"),
        (AB + "7: []", "unknown key 7; known: name"),
        (AB + "limbs: [[a, d]]", "limbs: 'd' is not among the keypoints"),
        (AB + "limbs: [[a]]", r"limbs: expected pairs of names, got \['a'\]"),
        (AB + "limbs: 3", "limbs: expected a list of pairs"),
        (AB + "limbs: [[a, [b]]]", r"limbs: \['b'\] is not among the keypoints"),
        (AB + "limbs: [[a, a]]", "'a' is paired with itself"),
        (AB + "limbs: [[a, b], [b, a]]", "is there more than once"),
        (AB + "flip_pairs: [[a, b], [b, c]]", "'b' is in more than one pair"),
        (AB + "sigmas: [0.1]", "sigmas: expected 3 numbers, got 1"),
        (AB + "sigmas: {d: 0.1}", "sigmas: 'd' is not among"),
        (AB + "sigmas: {a: 0}", "sigmas: a: expected a number between 0 and 1, got 0"),
        (AB + "sigmas: wide", "sigmas: a: expected a number between 0 and 1, got 'wide'"),
        (AB + "sigmas: .nan", "sigmas: a: expected a number between 0 and 1, got nan"),
        (AB + "sigmas: true", "sigmas: a: expected a number between 0 and 1, got True"),
        (AB + "parts: [a]", "parts: expected part"),
        (AB + "parts: {p: [a, b]}", "parts: 'c' is in no part"),
        (AB + "parts: {p: [a, c], q: [b]}", r"parts.p: expected .* order, next 'a', got"),
        (AB + "parts: {p: [a, b, c], q: [a]}", "next 'no further name'"),
        (AB + "parts: {p: [a, b, c], q: []}", "next 'no further name'"),
        (AB + "parts: {p: [a, d]}", "parts.p: 'd' is not among"),
    ],
)
def test_every_mistake_is_one_line_that_names_the_file(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=rf"mine\.yaml: .*{message}") as caught:
        load_skeleton(write(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot read"):
        load_skeleton(tmp_path / "none.yaml")
    (tmp_path / "bytes.yaml").write_bytes(b"name: \xff\xfe")
    with pytest.raises(ConfigError, match=r"bytes\.yaml: cannot read"):
        load_skeleton(tmp_path / "bytes.yaml")


def test_a_set_whose_file_names_its_own_joints(tmp_path: Path) -> None:
    """Any order, joints to spare and joints that lack: names decide."""
    skeleton = load_skeleton(write(tmp_path, FULL))
    path = coco_file(tmp_path, [person([1, 2, 2, 3, 4, 1, 5, 6, 0, 7, 8, 2], category_id=4)])
    content = json.loads(path.read_text())
    names = ["right_finger", "base", "left_finger", "lamp"]
    content["categories"] = [{"id": 4, "name": "arm", "keypoints": names}]
    path.write_text(json.dumps(content))
    people = read_set(path, tmp_path, skeleton)
    assert people.skeleton is skeleton
    assert people.keypoints[0].tolist() == [[3, 4], [0, 0], [0, 0], [1, 2]]
    assert people.labels[0].tolist() == [2, 0, 0, 2]
    joined = read_set(coco_file(tmp_path, [person([1, 2, 2] * 17)], "c.json"), tmp_path, skeleton)
    assert joined.labels[0].tolist() == [0, 2, 0, 0]  # left_wrist is COCO's
