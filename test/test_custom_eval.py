# SPDX-License-Identifier: Apache-2.0
"""``eval pose`` of joints of one's own: every part and joint by its name, by its own sigmas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coco_scenes import BOX, coco_file
from custom_joints import NAMES, own_network, own_skeleton

import alphapose_ros.cli as cli
from alphapose_ros.base.errors import ConfigError
from alphapose_ros.base.skeletons import COCO17, HALPE26, Skeleton
from alphapose_ros.data.people import read_people
from alphapose_ros.eval.detected import ignored_regions
from alphapose_ros.eval.gallery import write_gallery
from alphapose_ros.eval.parts import body_part, flat_parts, official_parts
from alphapose_ros.eval.pose import (
    Estimates,
    measure,
    measure_joints,
    measure_parts,
    people_with_joints,
)
from alphapose_ros.eval.report import JOINT_HEADER, Report

pytestmark = pytest.mark.usefixtures("one_thread")

POINTS = [[20, 30], [60, 30], [40, 10], [50, 50], [70, 70]]


def annotated(folder: Path, names: list[str], count: int = 3, **extra: Any) -> Path:
    """A set whose people have the points of ``names`` where the joints of ours are."""
    place = dict(zip(NAMES, POINTS, strict=True))
    flat = [value for name in names for value in (*place.get(name, [5, 5]), 2)]
    rows = [{"image_id": 7, "bbox": BOX, "keypoints": flat, **extra} for _ in range(count)]
    path = coco_file(folder, rows, "own.json")
    content = json.loads(path.read_text())
    content["categories"] = [{"id": 1, "name": "person", "keypoints": names}]
    path.write_text(json.dumps(content))
    return path


def estimates(folder: Path, skeleton: Skeleton, off: float, names: list[str]) -> Estimates:
    """Everybody found ``off`` px to the right of the truth."""
    people = read_people(annotated(folder, names), folder, skeleton)
    scores = np.full(people.labels.shape, 0.5, np.float32)
    moved = (people.keypoints + np.array([off, 0])).astype(np.float32)
    return Estimates(people, moved, scores, np.full(len(people), 0.5, np.float32))


def test_parts_and_sigmas_are_those_of_the_file() -> None:
    skeleton = own_skeleton()
    parts = official_parts(skeleton)
    assert {name: part.joints.tolist() for name, part in parts.items()} == {
        "person": [0, 1, 2], "tool": [3, 4], "whole": [0, 1, 2, 3, 4],
    }  # fmt: skip
    np.testing.assert_allclose(parts["whole"].sigmas, [0.05, 0.05, 0.03, 0.05, 0.07])
    assert flat_parts(skeleton) == {}
    assert body_part(skeleton).joints.tolist() == [0, 1, 2, 3, 4]
    assert body_part(HALPE26).joints.tolist() == list(range(17))
    assert list(official_parts(own_skeleton(parts=None))) == ["body"]


def test_each_joint_is_measured_by_its_own_sigma(tmp_path: Path) -> None:
    found = estimates(tmp_path, own_skeleton(), 4.0, NAMES)
    side, area = max(BOX[2:]), float(found.people.areas[0])
    joints = measure_joints(found)
    for name, sigma in (("helmet", 0.03), ("tool_tip", 0.07), ("tool", 0.05)):
        assert joints[f"joint_{name}_labelled"] == 3
        assert joints[f"joint_{name}_pck"] == float(4 / side <= 0.1)
        assert joints[f"joint_{name}_error"] == pytest.approx(4 / side)
        expected = np.exp(-16 / (2 * area * (2 * sigma) ** 2))
        assert joints[f"joint_{name}_oks"] == pytest.approx(expected, rel=1e-4)
        assert joints[f"joint_{name}_score"] == 0.5
    numbers = measure(found)
    each = [joints[f"joint_{name}_oks"] for name in NAMES]
    assert numbers["oks"] == pytest.approx(np.mean(each), rel=1e-4)
    assert numbers["joints"] == 15
    parts = measure_parts(found)
    assert {key for key in parts if key.endswith("_ap")} == {"person_ap", "tool_ap", "whole_ap"}
    rows = Report("", numbers, parts, joints=joints).joint_rows()
    assert [row[0] for row in rows] == NAMES
    assert all(len(row) == len(JOINT_HEADER) for row in rows)


def test_labels_of_some_joints_alone_say_nothing_of_the_others(tmp_path: Path) -> None:
    found = estimates(tmp_path, own_skeleton(), 0.0, ["helmet", "lamp", "left_glove"])
    joints = measure_joints(found)
    assert [joints[f"joint_{name}_labelled"] for name in NAMES] == [3, 0, 3, 0, 0]
    assert "joint_tool_oks" not in joints
    numbers, parts = measure(found), measure_parts(found)
    assert (numbers["oks"], numbers["joints"], numbers["ap"]) == (1.0, 6, 1.0)
    assert {key for key in parts if key.endswith("_ap")} == {"person_ap"}
    tip = Report("", numbers, parts, joints=joints).joint_rows()[-1]
    assert tip == ("tool_tip", "0", "", "", "", "")


def test_a_head_of_ones_own_is_not_the_top_of_the_head(tmp_path: Path) -> None:
    """Some data sets call head_top so."""
    names = ["head", "hip", "nose"]
    skeleton = own_skeleton(keypoints=names, limbs=[], sigmas=None, parts=None)
    people = read_people(annotated(tmp_path, names), tmp_path, skeleton)
    assert people.labels.tolist() == [[2, 2, 2]] * 3
    other = read_people(annotated(tmp_path, names), tmp_path, HALPE26)
    assert other.labels[0, HALPE26.index("head_top")] == 2


def test_people_of_no_joint_of_ours_are_refused(tmp_path: Path) -> None:
    path = annotated(tmp_path, list(COCO17.keypoint_names))
    with pytest.raises(ConfigError, match=r"own\.json: expected joints of 'operator', found none"):
        people_with_joints(path, tmp_path, skeleton=own_skeleton())
    assert len(people_with_joints(path, tmp_path)) == 3


def test_people_of_other_joints_alone_are_no_false_alarm(tmp_path: Path) -> None:
    """A pose that the network finds on them counts neither way."""
    path = annotated(tmp_path, ["helmet", "lamp"], count=2, category_id=1)
    content = json.loads(path.read_text())
    other = content["annotations"][1]
    other |= {"keypoints": [0, 0, 0, 5, 5, 2], "bbox": [90.0, 10.0, 50.0, 90.0]}
    path.write_text(json.dumps(content))
    people = read_people(path, tmp_path, own_skeleton())
    assert len(people) == 1
    ((region,),) = [r for r in ignored_regions(path, tmp_path, people, lambda _: True) if r]
    assert region[0].tolist() == [90, 10, 140, 100]


def test_a_part_of_two_joints_has_people_in_the_gallery(tmp_path: Path) -> None:
    found = estimates(tmp_path, own_skeleton(), 2.0, NAMES)
    page = write_gallery(found, tmp_path / "worst")
    assert len(list((tmp_path / "worst").glob("tool_*.jpg"))) == 3
    assert page.is_file()


def test_the_command_names_every_part_and_joint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = own_network(tmp_path / "mine.safetensors")
    given = ["--annotations", str(annotated(tmp_path, NAMES[:4])), "--images", str(tmp_path)]
    numbers = tmp_path / "numbers.json"
    argv = ["eval", "pose", *given, "--weights", str(weights), "--detected", "--quiet"]
    assert cli.main([*argv, "--json", str(numbers)]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    first = [line[0] for line in lines if line]
    table = first[first.index("joint") + 1 :]  # below a line of dashes
    assert table[1 : 1 + len(NAMES)] == NAMES
    assert {"person", "tool", "whole"} <= set(first)
    found = json.loads(numbers.read_text())
    assert found["joints"] == 12
    assert found["joint_tool_labelled"] == 3
    assert found["joint_tool_tip_labelled"] == 0
    assert 0 <= found["joint_helmet_pck"] <= 1
    assert "detected_tool_ap" in found
    assert cli.main([*argv[:-2], "--feet", "feet.json"]) == 2
    assert (
        "--feet: expected a network of a known skeleton, got 'operator'" in capsys.readouterr().err
    )
