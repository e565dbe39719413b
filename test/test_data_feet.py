# SPDX-License-Identifier: Apache-2.0
"""Feet of a file of their own find the people, sides and joints that they belong to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coco_scenes import coco_file, flat, person

from alphapose_ros.base.errors import ConfigError, InputError
from alphapose_ros.base.skeletons import COCO17, HALPE26, HALPE136, WHOLEBODY133
from alphapose_ros.data.feet import (
    NOBODY,
    FeetSpec,
    read_feet,
    read_set_with_feet,
    with_feet,
)
from alphapose_ros.data.people import read_people


def foot(number: int, side: str = "L", image: int = 7, **points: Any) -> dict[str, Any]:
    return {"annotation_id": number, "image_id": image, "side": side} | points


def feet_file(folder: Path, rows: Any, part: str = "train") -> Path:
    path = folder / "feet.json"
    path.write_text(json.dumps({"warning": "made by hand", part: rows}))
    return path


def people_file(folder: Path, skeleton: Any = COCO17) -> Path:
    return coco_file(folder, [person(flat(skeleton), id=n) for n in (3, 1, 2)])


def test_halpes_order_left_and_right(tmp_path: Path) -> None:
    rows = [
        foot(1, "L", big_toe=[1, 2], small_toe=[3, 4], heel=[5, 6]),
        foot(1, "R", big_toe=[7, 8], small_toe=[9, 10], heel=[11, 12]),
    ]
    feet = read_feet(feet_file(tmp_path, rows))
    people = read_set_with_feet(people_file(tmp_path), tmp_path, feet, label=1)
    # Toe by toe: big L, big R, small L, small R, heel L, heel R.
    assert people.keypoints[1, 20:26].tolist() == [
        [1, 2],
        [7, 8],
        [3, 4],
        [9, 10],
        [5, 6],
        [11, 12],
    ]
    assert people.labels[:, 20:26].tolist() == [[0] * 6, [1] * 6, [0] * 6]
    assert (people.labels[:, :17] == 2).all()
    wholebody = read_set_with_feet(people_file(tmp_path), tmp_path, feet, WHOLEBODY133, label=1)
    # Foot by foot: big, small, heel of the left foot, then of the right one.
    assert wholebody.keypoints[1, 17:23, 0].tolist() == [1, 3, 5, 7, 9, 11]


def test_unknown_points_stay_unknown(tmp_path: Path) -> None:
    feet = read_feet(feet_file(tmp_path, [foot(2, "R", heel=[5, 6], visibility=0.9)]))
    people = read_set_with_feet(people_file(tmp_path), tmp_path, feet, HALPE26, label=2)
    assert people.labels[2, 20:].tolist() == [0, 0, 0, 0, 0, 2]
    assert not people.labels[:2, 20:].any()


def test_annotated_feet_are_kept(tmp_path: Path) -> None:
    feet = read_feet(feet_file(tmp_path, [foot(1, big_toe=[1, 2])]))
    path = people_file(tmp_path, HALPE136)
    people = read_set_with_feet(path, tmp_path, feet, label=1)
    before = read_people(path, tmp_path)
    assert (people.keypoints == before.keypoints).all()
    assert (people.labels == before.labels).all()
    assert people.problems == before.problems


def test_numbers_follow_the_people_that_are_kept(tmp_path: Path) -> None:
    feet = read_feet(feet_file(tmp_path, [foot(2, heel=[5, 6]), foot(3, heel=[1, 1])]))
    path = coco_file(
        tmp_path,
        [
            person(flat(COCO17), id=1, iscrowd=1),
            person(flat(COCO17), id=3),
            person([], id=4),
            person(flat(COCO17), id=2),
        ],
    )
    people = read_set_with_feet(path, tmp_path, feet, label=1, keep=lambda item: item["id"] != 3)
    assert people.keypoints[:, 24].tolist() == [[5, 6]]
    assert people.problems[NOBODY] == 1
    assert people.problems["left out by choice"] == 1


def test_a_foot_of_another_image_is_nobodys(tmp_path: Path) -> None:
    people = read_people(people_file(tmp_path), tmp_path)
    feet = read_feet(feet_file(tmp_path, [foot(1, image=8, heel=[5, 6])]))
    merged = with_feet(people, [3, 1, 2], feet, label=1)
    assert not merged.labels[:, 20:26].any()
    assert merged.problems[NOBODY] == 1
    assert NOBODY not in people.problems
    with pytest.raises(InputError, match="found none of them"):
        read_set_with_feet(people_file(tmp_path), tmp_path, feet, label=1)


def test_nobody_and_no_feet(tmp_path: Path) -> None:
    people = read_people(people_file(tmp_path), tmp_path)
    assert len(with_feet(people[np.zeros(0, int)], [], [], label=1)) == 0
    assert with_feet(people, [3, 1, 2], [], label=1).problems == people.problems
    assert read_feet(feet_file(tmp_path, [], "val"), "val") == ()


def test_skeletons_without_feet_are_refused(tmp_path: Path) -> None:
    feet = read_feet(feet_file(tmp_path, [foot(1, heel=[5, 6])]))
    with pytest.raises(ConfigError, match="expected a skeleton with feet, got 'coco17'"):
        read_set_with_feet(people_file(tmp_path), tmp_path, feet, COCO17, label=1)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (None, "expected a list of feet under 'train'"),
        ([3], "foot 0 of 'train'"),
        ([foot(1, "X", heel=[1, 2])], "KeyError: 'X'"),
        ([foot(1, heel=[1, 2]), foot(1, heel=[1])], "foot 1 of 'train': ValueError"),
        ([foot(1, heel=[1, float("nan")])], "heel: expected finite numbers"),
        ([foot(1)], "expected some of big_toe, small_toe, heel"),
    ],
)
def test_broken_files_are_refused(tmp_path: Path, rows: Any, message: str) -> None:
    with pytest.raises(InputError, match=r"feet\.json.*" + message):
        read_feet(feet_file(tmp_path, rows))


def test_spec(tmp_path: Path) -> None:
    assert FeetSpec.parse("a/feet.json@b.json") == FeetSpec(Path("a/feet.json"), Path("b.json"))
    for text in ("feet.json", "@b.json", "feet.json@"):
        with pytest.raises(ConfigError, match="expected FEET@ANNOTATIONS"):
            FeetSpec.parse(text)


def test_real_feet_lie_near_their_ankles(shared: Path) -> None:
    folder = shared / "data" / "coco_person"
    if not folder.is_dir():
        pytest.skip(f"NOT TESTED: no data at {folder}")
    feet = read_feet(folder / "feet_experimental.json")
    people = read_set_with_feet(folder / "train.json", folder / "images", feet, label=1)
    assert NOBODY not in people.problems
    named = people.labels[:, HALPE136.parts["feet"]].sum(0)
    assert named[2:4].tolist() == [0, 0]  # the file knows no small toes
    assert named.sum() == 2 * len(feet)
    for side, joints in (("left", (20, 24)), ("right", (21, 25))):
        ankle, knee, other = (
            people.keypoints[:, HALPE136.index(name)]
            for name in (
                f"{side}_ankle",
                f"{side}_knee",
                f"{'right' if side == 'left' else 'left'}_ankle",
            )
        )
        rows = people.labels[:, joints[1]] == 1
        heel = people.keypoints[rows, joints[1]]
        leg = np.linalg.norm(ankle - knee, axis=1)[rows]
        both = people.labels[rows, HALPE136.index("left_ankle")] == 2
        both &= people.labels[rows, HALPE136.index("right_ankle")] == 2
        own = np.linalg.norm(heel - ankle[rows], axis=1)
        strange = np.linalg.norm(heel - other[rows], axis=1)
        assert np.median(own / leg) < 0.4
        assert (own < strange)[both].mean() > 0.9
