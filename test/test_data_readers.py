# SPDX-License-Identifier: Apache-2.0
"""Every data set's own files become the same record: joints by name, what is broken counted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coco_scenes import coco_file, flat, person
from numpy.typing import NDArray

from alphapose_ros.base.errors import ConfigError, InputError
from alphapose_ros.base.skeletons import (
    COCO17,
    FACE68,
    HALPE26,
    HALPE136,
    HAND21,
    WHOLEBODY133,
    Skeleton,
)
from alphapose_ros.data.people import People, read_people
from alphapose_ros.data.readers import one_row_per_part, read_set, seen_format

FEET = HALPE136.parts["feet"]


@pytest.fixture
def samples(shared: Path) -> Path:
    folder = shared / "data" / "samples_wholebody"
    if not folder.is_dir():
        pytest.skip(f"NO DATA: {folder} is absent")
    return folder


def at(people: People, row: int, name: str) -> list[float]:
    """x, y and label of a joint."""
    k = people.skeleton.index(name)
    return [*people.keypoints[row, k].tolist(), float(people.labels[row, k])]


def parts_of(**flags: bool) -> dict[str, Any]:
    """A COCO-WholeBody annotation; joint k of its 133 is at (k, k / 2)."""
    triples = flat(WHOLEBODY133)
    keys = ("keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts")
    lists = {
        key: triples[3 * part.start : 3 * part.stop]
        for key, part in zip(keys, WHOLEBODY133.parts.values(), strict=True)
    }
    names = ("foot_valid", "face_valid", "lefthand_valid", "righthand_valid")
    return person([]) | lists | {name: flags.get(name, True) for name in names}


@pytest.mark.parametrize("target", [WHOLEBODY133, HALPE136, HALPE26, COCO17], ids=lambda s: s.name)
def test_wholebodys_five_lists_become_one(tmp_path: Path, target: Skeleton) -> None:
    people = read_set(coco_file(tmp_path, [parts_of()]), tmp_path, target)
    for k, name in enumerate(target.keypoint_names):
        known = name in WHOLEBODY133.keypoint_names
        j = WHOLEBODY133.index(name) if known else 0
        assert at(people, 0, name) == ([j, j / 2, 2] if known else [0, 0, 0]), (k, name)


@pytest.mark.parametrize("flag", ["foot_valid", "face_valid", "lefthand_valid", "righthand_valid"])
@pytest.mark.parametrize("joined", [False, True])
def test_a_part_that_is_not_valid_has_no_labels(tmp_path: Path, flag: str, joined: bool) -> None:
    item = parts_of(**{flag: False})
    if joined:  # the lists in one already, as mmpose's evaluation wants them
        item = person(flat(WHOLEBODY133)) | {key: v for key, v in item.items() if "valid" in key}
        item["foot_kpts"] = []
    people = read_set(coco_file(tmp_path, [item]), tmp_path, WHOLEBODY133)
    part = {"foot": "feet", "face": "face", "lefthand": "left_hand", "righthand": "right_hand"}
    off = WHOLEBODY133.parts[part[flag.removesuffix("_valid")]]
    assert not people.labels[0, off].any()
    assert not people.keypoints[0, off].any()
    assert (np.delete(people.labels[0], off) == 2).all()


def test_whoever_shows_a_hand_alone_is_kept(tmp_path: Path) -> None:
    item = parts_of(foot_valid=False, face_valid=False, righthand_valid=False)
    item["keypoints"] = [0] * 51
    people = read_set(coco_file(tmp_path, [item]), tmp_path)
    assert np.flatnonzero(people.labels[0]).tolist() == list(range(94, 115))
    with pytest.raises(ConfigError, match=r"set\.json: expected joints of 'coco17', found none"):
        read_set(coco_file(tmp_path, [item]), tmp_path, COCO17)
    mixed = read_set(coco_file(tmp_path, [item, parts_of()]), tmp_path, COCO17)
    assert len(mixed) == 1
    assert mixed.problems["no joint of the skeleton"] == 1


def test_the_two_foot_orders_are_not_mixed_up_as_in_the_original(samples: Path) -> None:
    """AlphaPose appends COCO-WholeBody's feet to Halpe's places unpermuted (17 + i -> 20 + i).

    Only 20 and 25 then mean the same in both sets: a left small toe teaches the right big toe. The
    same people are annotated in both, so the pixels tell.
    """
    folder = samples / "coco"
    whole = read_set(folder / "test_coco_wholebody.json", folder, WHOLEBODY133)
    ours = read_set(folder / "test_coco_wholebody.json", folder)
    halpe = read_set(samples / "halpe" / "test_halpe.json", folder)
    np.testing.assert_array_equal(ours.boxes, halpe.boxes)
    both = (ours.labels[:, FEET] > 0) & (halpe.labels[:, FEET] > 0)
    assert both.sum() >= 25
    size = np.sqrt(halpe.areas)[:, None]

    def error(feet: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.linalg.norm(feet - halpe.keypoints[:, FEET], axis=2) / size

    named = error(ours.keypoints[:, FEET])[both]
    original = error(whole.keypoints[:, WHOLEBODY133.parts["feet"]])
    moved = both.copy()
    moved[:, [0, 5]] = False  # the two that agree by chance
    moved &= whole.labels[:, WHOLEBODY133.parts["feet"]] > 0
    assert np.median(named) < 0.05
    assert np.median(original[moved]) > 3 * np.median(named)


def test_halpes_feet_stay_and_wholebodys_move(tmp_path: Path) -> None:
    halpe = read_set(coco_file(tmp_path, [person(flat(HALPE26))], "h.json"), tmp_path)
    assert halpe.keypoints[0, FEET, 0].tolist() == [20, 21, 22, 23, 24, 25]
    whole = read_set(coco_file(tmp_path, [parts_of()], "w.json"), tmp_path)
    assert whole.keypoints[0, FEET, 0].tolist() == [17, 20, 18, 21, 19, 22]
    back = read_set(
        coco_file(tmp_path, [person(flat(HALPE136))], "b.json"), tmp_path, WHOLEBODY133
    )
    assert back.keypoints[0, 17:23, 0].tolist() == [20, 22, 24, 21, 23, 25]


def test_hidden_is_annotated_in_halpe_and_derived_in_our_own_files(tmp_path: Path) -> None:
    path = coco_file(tmp_path, [person(flat(HALPE136, 1))])
    content = json.loads(path.read_text())
    label = {}
    for kind, names in (("bare", None), ("halpe", []), ("own", list(HALPE136.keypoint_names))):
        if names is not None:
            content["categories"] = [{"id": 1, "name": "person", "keypoints": names}]
        path.write_text(json.dumps(content))
        label[kind] = int(read_set(path, tmp_path).labels.max())
    assert label == {"bare": 1, "halpe": 2, "own": 1}
    assert (read_set(path, tmp_path, format="halpe").labels == 2).all()
    content["categories"][0]["keypoints"] = []
    path.write_text(json.dumps(content))
    assert (read_set(path, tmp_path, format="derived").labels == 1).all()
    halpe26 = coco_file(tmp_path, [person(flat(HALPE26, 1))], "26.json")
    assert (read_set(halpe26, tmp_path, HALPE26).labels == 2).all()


def test_the_names_in_the_file_count_before_the_number_of_joints(tmp_path: Path) -> None:
    """PoseTrack has 17 joints too, but its second is no left eye."""
    names = ["nose", "head_bottom", "head_top", *COCO17.keypoint_names[3:]]
    path = coco_file(tmp_path, [person(flat(COCO17), category_id=1)])
    content = json.loads(path.read_text())
    content["categories"] = [{"id": 1, "keypoints": names}, {"id": 2, "keypoints": ["tail"]}]
    path.write_text(json.dumps(content))
    people = read_set(path, tmp_path)
    assert at(people, 0, "left_eye") == [0, 0, 0]
    assert at(people, 0, "head_top") == [2, 1, 2]
    assert at(people, 0, "left_ear") == [3, 1.5, 2]
    assert people.problems["joint of an unknown name"] == 2  # head_bottom and tail


def test_other_names_of_the_same_joints(tmp_path: Path) -> None:
    """Halpe's with numbered hands, and those that mmpose gives to COCO-WholeBody."""
    halpe = list(HALPE136.keypoint_names)
    halpe[17], halpe[19] = "head", "hip"
    halpe[94:] = [f"{side}_hand_{i}" for side in ("left", "right") for i in range(21)]
    mmpose = [*WHOLEBODY133.keypoint_names[:23], *(f"face-{i}" for i in range(68))]
    for side in ("left", "right"):
        mmpose.append(f"{side}_hand_root")
        for finger in ("thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger"):
            mmpose += [f"{side}_{finger}{i}" for i in range(1, 5)]
    for source, names in ((HALPE136, halpe), (WHOLEBODY133, mmpose)):
        path = coco_file(tmp_path, [person(flat(source))])
        by_length = read_set(path, tmp_path)
        content = json.loads(path.read_text()) | {"categories": [{"id": 1, "keypoints": names}]}
        path.write_text(json.dumps(content))
        named = read_set(path, tmp_path)
        np.testing.assert_array_equal(named.keypoints, by_length.keypoints)
        np.testing.assert_array_equal(named.labels, by_length.labels)
        assert named.labels.any(0).sum() == len(source)
        assert named.problems == {"missing image": 1}


def test_real_sample_files(samples: Path) -> None:
    coco = samples / "coco"
    for file, joints in (("test_coco.json", 17), ("test_coco_wholebody.json", 133)):
        people = read_set(coco / file, coco)
        raw = [
            item for item in json.loads((coco / file).read_text())["annotations"]
            if any(item["keypoints"])
        ]  # fmt: skip
        assert len(people) == len(raw) == 12
        assert people.problems == {"no keypoints": 2}
        assert len(people.images) == 4
        for row, item in enumerate(raw):
            body = np.array(item["keypoints"]).reshape(-1, 3)
            np.testing.assert_array_equal(people.labels[row, :17] == 2, body[:, 2] > 0)
            seen = body[:, 2] > 0
            np.testing.assert_allclose(people.keypoints[row, :17][seen], body[seen, :2], rtol=1e-6)
            face = item.get("face_valid", False)
            assert people.labels[row, HALPE136.parts["face"]].any() == face
        assert (people.labels.any(0).sum() > 17) == (joints == 133)
    halpe = read_set(samples / "halpe" / "test_halpe.json", coco)
    assert len(halpe) == 12
    assert set(np.unique(halpe.labels)) == {0, 2}
    crowd = read_set(samples / "crowdpose" / "test_crowdpose.json", samples / "crowdpose")
    assert not crowd.labels[:, :5].any()  # has no face
    assert crowd.labels[:, [17, 18]].any()  # has a head and a neck


@pytest.mark.parametrize(("name", "joints"), [("faces68", 68), ("lspet", 14)])
def test_real_faces_and_athletes(shared: Path, name: str, joints: int) -> None:
    folder = shared / "data" / name
    if not folder.is_dir():
        pytest.skip(f"NO DATA: {folder} is absent")
    people = read_set(folder / "val.json", folder / "images")
    assert len(people) == len(people.images) == len(set(people.image_ids)) > 200
    assert (people.labels == 2).any(0).sum() == joints
    assert not people.problems


def test_formats_can_be_named_and_wrong_ones_are_refused(tmp_path: Path) -> None:
    path = coco_file(tmp_path, [person(flat(COCO17))])
    assert seen_format(path) == "coco"
    for name in ("coco", "wholebody", "halpe", "derived"):
        assert len(read_set(path, tmp_path, format=name)) == 1
    with pytest.raises(ConfigError, match="expected one of auto, coco"):
        read_set(path, tmp_path, format="mpii")
    for name in ("lsp", "pts", "freihand", "interhand"):
        with pytest.raises(InputError):
            read_set(path, tmp_path, format=name)
    with pytest.raises(InputError, match=r"nothing\.json: cannot read"):
        read_set(tmp_path / "nothing.json", tmp_path)
    with pytest.raises(InputError, match=r"annotation file or a folder of \.pts"):
        read_set(tmp_path, tmp_path)


def test_hands_alone_are_no_part_of_a_body_file_unless_asked_for(tmp_path: Path) -> None:
    path = coco_file(tmp_path, [person(flat(HAND21))])
    assert len(read_people(path, tmp_path, HAND21)) == 1
    assert read_people(path, tmp_path).problems["no joint of the skeleton"] == 1


def test_whole_bodies_have_faces_in_their_own_boxes(tmp_path: Path) -> None:
    far = parts_of() | {"face_valid": False}
    file = coco_file(tmp_path, [parts_of(), far, parts_of()])
    faces = read_set(file, tmp_path, FACE68)
    assert len(faces) == 2
    assert faces.skeleton is FACE68
    assert faces.problems["no joint of the skeleton"] == 1
    first, last = 23, 90  # of 133: joint k is at (k, k / 2)
    np.testing.assert_array_equal(faces.boxes, [[first, first / 2, last, last / 2]] * 2)
    np.testing.assert_allclose(faces.areas, 0.53 * 67**2 / 2)
    np.testing.assert_array_equal(faces.keypoints[0, :, 0], range(23, 91))
    assert (faces.labels == 2).all()
    assert faces.image_ids.tolist() == [7, 7]


def test_whole_bodies_have_two_hands_each_a_row(tmp_path: Path) -> None:
    right = parts_of(lefthand_valid=False)
    people = read_set(coco_file(tmp_path, [parts_of(), right]), tmp_path, HAND21)
    assert people.keypoints[:, 0, 0].tolist() == [91, 112, 112]  # left, right, and right
    assert people.boxes[:, 2].tolist() == [111, 132, 132]
    assert people.skeleton is HAND21
    alone = person(flat(HAND21))
    mixed = read_set(coco_file(tmp_path, [right, alone], "m.json"), tmp_path, HAND21)
    assert mixed.keypoints[:, 0, 0].tolist() == [112, 0]


def test_a_part_of_one_point_or_on_a_line_is_counted(tmp_path: Path) -> None:
    one, line = person(flat(HAND21)), person(flat(HAND21))
    one["keypoints"][5::3] = [0] * 20
    line["keypoints"][1::3] = [4.0] * 21
    items = [one, line, person(flat(HAND21))]
    people = read_set(coco_file(tmp_path, items), tmp_path, HAND21)
    assert len(people) == 1
    assert people.problems["fewer than two joints of the part"] == 2


def test_who_has_no_part_is_refused() -> None:
    shapes = ((0,), (0,), (0, 4), (0,), (0, 17, 2), (0, 17))
    nobody = People(*map(np.zeros, shapes), skeleton=COCO17)
    with pytest.raises(ConfigError, match="joints of 'hand21', got 'coco17'"):
        one_row_per_part(nobody, HAND21)


def test_real_faces_of_people(shared: Path) -> None:
    folder = shared / "data" / "coco_person"
    if not folder.is_dir():
        pytest.skip(f"NO DATA: {folder} is absent")
    whole = read_set(folder / "val.json", folder / "images")
    faces = read_set(folder / "val.json", folder / "images", FACE68)
    hands = read_set(folder / "val.json", folder / "images", HAND21)
    labels = whole.labels
    assert len(faces) == (labels[:, HALPE136.parts["face"]] > 0).any(1).sum() == 121
    both = [labels[:, HALPE136.parts[name]].any(1).sum() for name in ("left_hand", "right_hand")]
    assert len(hands) == sum(both) == 166
    assert (faces.labels <= 1).all()


def test_nobody_is_no_error(tmp_path: Path) -> None:
    people = read_set(coco_file(tmp_path, []), tmp_path, WHOLEBODY133)
    assert people.keypoints.shape == (0, 133, 2)
