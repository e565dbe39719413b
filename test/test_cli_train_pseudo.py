# SPDX-License-Identifier: Apache-2.0
"""``train pseudo``: a set with what its teachers add, counted and read back by the training."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coco_scenes import save
from hypothesis import given
from part_scenes import SIZE_HW, DotNetwork, dotted, face_points, hand_points
from strategies import boxes as some_boxes

from alphapose_ros import cli
from alphapose_ros.base.errors import ConfigError, InputError
from alphapose_ros.base.records import Detections
from alphapose_ros.base.skeletons import COCO17, HALPE136, WHOLEBODY133
from alphapose_ros.cli import train_pseudo as command
from alphapose_ros.data import missed_boxes, pseudo_set
from alphapose_ros.data.missed_boxes import BoxRules
from alphapose_ros.data.part_crops import Answer
from alphapose_ros.data.part_teachers import FaceTeacher, HandTeacher
from alphapose_ros.data.pose_samples import SetSpec
from alphapose_ros.data.pseudo import AcceptanceRules

pytestmark = pytest.mark.usefixtures("one_thread")

HAND, FACE = hand_points((70, 200)), face_points((250, 100))
BODY = {
    "nose": (250, 106), "left_eye": (274, 80), "right_eye": (226, 80), "right_wrist": (70, 200),
    "right_elbow": (70, 285), "left_wrist": (380, 250),
}  # fmt: skip


def annotation(number: int, places: dict[str, tuple[int, int]], **other: Any) -> dict[str, Any]:
    joints = np.zeros((17, 3))
    for name, place in places.items():
        joints[COCO17.index(name)] = *place, 2
    flat = {"keypoints": joints.reshape(-1).tolist()} if places else {}
    box = {"bbox": [5.0, 20.0, 380.0, 270.0], "area": 9000.0}
    return {"id": number, "image_id": 7, "category_id": 1, **box, **flat} | other


def written(folder: Path, people: list[dict[str, Any]]) -> str:
    save(folder / "a.png", dotted(FACE))
    # One picture for both teachers: the hand's dots lie on a picture of its own.
    save(folder / "b.png", dotted(HAND))
    images = [{"id": 7, "file_name": "a.png"}, {"id": 9, "file_name": "b.png"}]
    missing = {"id": 8, "file_name": "none.png"}
    content = {"images": [*images, missing], "annotations": people}
    (folder / "set.json").write_text(json.dumps(content))
    return f"{folder / 'set.json'}@{folder}"


@pytest.fixture
def networks(monkeypatch: pytest.MonkeyPatch) -> None:
    def made(path: Path, count: int, **options: Any) -> DotNetwork:
        assert options == ({} if count == 21 else {"keep": command.read_face_map("builtin"),
                                                   "logit": True})  # fmt: skip
        return DotNetwork(21 if count == 21 else 68)

    monkeypatch.setattr(command, "TflitePoints", made)


@pytest.mark.usefixtures("networks")
def test_the_command_adds_hands_and_faces_and_counts_refusals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        annotation(1, BODY), annotation(2, BODY, image_id=9), annotation(3, {}),
        annotation(4, {}, iscrowd=1), annotation(5, BODY, image_id=8),
    ]  # fmt: skip
    out = tmp_path / "new" / "pseudo.json"
    argv = ["train", "pseudo", "--people", written(tmp_path, rows), "--out", str(out)]
    assert cli.main([*argv, "--hands", "a.tflite", "b.tflite", "--face", "c.tflite"]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "faces accepted 1" in lines
    assert "hands accepted 1" in lines
    assert "hands refused: joints not seen 2" in lines  # left elbows
    assert "left out missing image 1" in lines
    assert not any("no keypoints" in line or "crowd" in line for line in lines)  # kept as boxes
    people = SetSpec.parse(f"{out}@{tmp_path}").read(HALPE136)
    assert len(people) == 2
    face, hand = (HALPE136.parts[name] for name in ("face", "right_hand"))
    assert (people.labels[0, face] == 1).all()
    assert (people.labels[1, hand] == 1).all()
    assert not people.labels[0, hand].any()
    assert not people.labels[1, face].any()
    assert not people.labels[:, HALPE136.parts["left_hand"]].any()
    assert np.abs(people.keypoints[0, face] - FACE).max() < 0.6
    assert np.abs(people.keypoints[1, hand] - HAND).max() < 0.6
    assert (people.labels[:, HALPE136.index("nose")] == 2).all()
    content = json.loads(out.read_text())
    assert [item["id"] for item in content["annotations"]] == [1, 2, 3, 4]
    assert content["annotations"][0]["pseudo"]["face"][0] == 0.99
    assert "keypoints" not in content["annotations"][2]
    assert content["annotations"][3]["iscrowd"] == 1


@pytest.mark.usefixtures("networks")
def test_a_set_without_people_is_written_as_it_is(tmp_path: Path) -> None:
    out = tmp_path / "p.json"
    config = command.PseudoConfig(str(out), written(tmp_path, []), hands=["a"], face="b")
    assert command.label_set(config) == out
    content = json.loads(out.read_text())
    assert content["annotations"] == []
    assert [entry["id"] for entry in content["images"]] == [7, 9]


def test_a_teacher_is_needed() -> None:
    with pytest.raises(ConfigError, match="expected a teacher"):
        command.PseudoConfig(people="a@b")


def test_the_table_begins_with_what_was_accepted() -> None:
    counts = Counter({("hands", "spread"): 2, ("hands", "presence"): 5, ("faces", "accepted"): 1})
    assert command.counted(counts) == [
        ("hands", "accepted", 0), ("hands", "refused: presence", 5),
        ("hands", "refused: spread", 2), ("faces", "accepted", 1),
    ]  # fmt: skip
    assert command.counted(Counter()) == []


@pytest.mark.parametrize(
    ("text", "name", "weights"),
    [
        ("yolox", "yolox", ""),
        ("some/net.onnx", "onnx", "some/net.onnx"),
        ("mine.safetensors", "yolox", "mine.safetensors"),
        ("fcos_resnet50=f.pth", "fcos_resnet50", "f.pth"),
    ],
)
def test_a_detector_is_named_or_a_file(text: str, name: str, weights: str) -> None:
    config = command.detector_config(text)
    assert (config.name, config.weights) == (name, weights)


def test_only_what_no_box_overlaps_is_a_missed_person() -> None:
    found = Detections(
        np.array(
            [[0, 0, 50, 100], [200, 0, 250, 100], [300, 0, 350, 100], [90, 0, 150, 20],
             [100, 100, 300, 300]], np.float32,
        ), np.array([0.9, 0.9, 0.59, 0.9, 0.9], np.float32),
    )  # fmt: skip
    annotated = np.array([[40, 0, 90, 100], [150, 150, 170, 170]], np.float32)
    rules = BoxRules()
    assert rules.refusals(found, annotated) == [
        "annotated already", "accepted", "score", "too small",
        "annotated already",  # a small one lies in it
    ]  # fmt: skip
    none = np.zeros((0, 4), np.float32)
    assert rules.refusals(found, none)[0] == "accepted"
    assert rules.refusals(Detections.empty(), annotated) == []
    assert rules.refusals(Detections.empty(), none) == []


@given(some_boxes(), some_boxes())
def test_the_share_of_the_smaller_box(first: np.ndarray, second: np.ndarray) -> None:
    found = missed_boxes._share_of_smaller(first, second)
    assert found.shape == (len(first), len(second))
    for a, one in enumerate(first.astype(float)):
        for b, other in enumerate(second.astype(float)):
            wide = max(min(one[2], other[2]) - max(one[0], other[0]), 0)
            high = max(min(one[3], other[3]) - max(one[1], other[1]), 0)
            least = min((x[2] - x[0]) * (x[3] - x[1]) for x in (one, other))
            wanted = wide * high / least if least > 1e-3 else found[a, b]
            assert found[a, b] == pytest.approx(wanted, abs=2e-3)


def test_missed_people_are_boxes_with_numbers_of_their_own(tmp_path: Path) -> None:
    spec = SetSpec.parse(written(tmp_path, [annotation(3, BODY), annotation(11, {}, iscrowd=1)]))
    source = pseudo_set.open_set(spec.annotations, spec.images)
    row = np.array([[10, 20, 110, 220]], np.float32)

    def detect(image: np.ndarray) -> Detections:
        assert image.shape == (*SIZE_HW, 3)
        return Detections(row, np.array([0.9], np.float32))

    ticks: list[int] = []
    made, counts = pseudo_set.add_boxes(source, detect, BoxRules(), lambda: ticks.append(1))
    assert counts == {("boxes", "annotated already"): 1, ("boxes", "accepted"): 1}
    assert len(ticks) == 2
    assert len(source.annotations) == 2  # as it was
    new = made.annotations[-1]
    assert (new["id"], new["image_id"], new["bbox"]) == (12, 9, [10.0, 20.0, 100.0, 200.0])
    assert new["pseudo"] == {"box": 0.9}
    assert "keypoints" not in new


def test_the_detector_of_the_command_sees_rgb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def create(config: object) -> Any:
        def detector(batch: Any) -> list[Detections]:
            assert batch.images[0][1].max() == 255  # green dots
            assert batch.images[0][2].max() == 0
            return [Detections.empty()]

        return detector

    monkeypatch.setattr(command, "create_detector", create)
    config = command.PseudoConfig(
        str(tmp_path / "p.json"), written(tmp_path, [annotation(1, BODY)]), detector="yolox"
    )
    assert len(json.loads(command.label_set(config).read_text())["annotations"]) == 1


def test_bodies_come_from_the_body_teacher(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = annotation(4, {}, bbox=[0, 0, 10, 20])
    rows = [annotation(1, BODY), annotation(2, {}), annotation(3, {}), small]
    spec = SetSpec.parse(written(tmp_path, rows))
    source = pseudo_set.open_set(spec.annotations, spec.images)
    joints = np.tile(np.float32([30, 40, 1]), 136).tolist()

    def teach(teacher: Path, given: Path, images: Path, made: Path, *_: object) -> int:
        items = {item["id"]: item for item in json.loads(given.read_text())["annotations"]}
        assert "keypoints" in items[1]
        made.write_text(
            json.dumps({"images": [], "annotations": [items[2] | {"keypoints": joints}]})
        )
        return 1

    monkeypatch.setattr(pseudo_set, "pseudo_label", teach)
    made, counts = pseudo_set.add_bodies(source, Path("t.onnx"), AcceptanceRules())
    assert counts == {
        ("bodies", "accepted"): 1, ("bodies", "too few sure joints"): 1,
        ("bodies", "too small"): 1,
    }  # fmt: skip
    assert [item["id"] for item in made.annotations] == [1, 2, 3, 4]
    assert made.annotations[1]["keypoints"] == joints
    assert made.annotations[1]["num_keypoints"] == 136
    person = pseudo_set.subject_of(made.annotations[1])
    assert set(person.evidence.tolist()) == {1}  # a pseudo label is no annotation


def test_points_outside_the_image_have_no_label(tmp_path: Path) -> None:
    spec = SetSpec.parse(written(tmp_path, [annotation(1, BODY)]))
    item = pseudo_set.open_set(spec.annotations, spec.images).annotations[0]
    points = hand_points((398, 30))
    answers = {"left_hand": Answer(points, 0.9, 0.02), "face": "presence"}
    made = pseudo_set.with_parts(item, answers, SIZE_HW)
    joints = np.array(made["keypoints"]).reshape(-1, 3)[HALPE136.parts["left_hand"]]
    inside = [0 <= x < 400 and 0 <= y < 300 for x, y in points]
    assert 0 < sum(inside) < 21
    assert joints[:, 2].tolist() == [float(one) for one in inside]
    assert not joints[~np.array(inside)].any()
    np.testing.assert_allclose(joints[inside, :2], points[inside], atol=0.006)
    assert made["num_keypoints"] == len(BODY) + sum(inside)
    assert made["pseudo"] == {"left_hand": [0.9, 0.02]}
    assert "pseudo" not in item


def test_hidden_joints_are_no_evidence(tmp_path: Path) -> None:
    hidden = annotation(1, BODY, image_id=9)
    hidden["keypoints"][3 * COCO17.index("right_wrist") + 2] = 1
    spec = SetSpec.parse(written(tmp_path, [hidden, annotation(2, BODY)]))
    source = pseudo_set.open_set(spec.annotations, spec.images)
    wrist = HALPE136.index("right_wrist")
    person, other = map(pseudo_set.subject_of, source.annotations)
    assert (person.labels[wrist], person.evidence[wrist]) == (2, 0)
    assert (other.labels[wrist], other.evidence[wrist]) == (2, 2)
    _, counts = pseudo_set.add_parts(source, HandTeacher([DotNetwork(21)]), None)
    assert counts["hands", "accepted"] == 0
    # What was written says it again when it is read.
    source.write(tmp_path / "again.json")
    again = pseudo_set.open_set(tmp_path / "again.json", tmp_path)
    assert again.annotations == source.annotations


def test_wholebody_files_keep_their_own_hands_and_faces(tmp_path: Path) -> None:
    item = annotation(1, BODY) | {
        "face_kpts": [9.0, 8.0, 2.0] * 68, "face_valid": True, "foot_kpts": [0.0] * 18,
        "lefthand_kpts": [0.0] * 63, "righthand_kpts": [0.0] * 63,
    }  # fmt: skip
    assert len(WHOLEBODY133) == 133
    spec = SetSpec.parse(written(tmp_path, [item]))
    source = pseudo_set.open_set(spec.annotations, spec.images)
    made, counts = pseudo_set.add_parts(source, None, FaceTeacher([DotNetwork(68)]))
    assert counts == {("faces", "labelled already"): 1}
    made.write(tmp_path / "w.json")
    people = SetSpec.parse(f"{tmp_path / 'w.json'}@{tmp_path}").read(HALPE136)
    assert (people.labels[0, HALPE136.parts["face"]] == 2).all()


def test_annotations_need_numbers_of_their_own(tmp_path: Path) -> None:
    for rows in ([annotation(1, BODY)] * 2, [{"image_id": 7}]):
        spec = SetSpec.parse(written(tmp_path, rows))
        with pytest.raises(InputError, match=r"set\.json: expected a number of its own"):
            pseudo_set.open_set(spec.annotations, spec.images)


def test_only_people_are_taken_for_people(tmp_path: Path) -> None:
    """Of a file of several categories, as COCO's instances, the others' boxes are no people."""
    dog = annotation(2, {}, category_id=18)
    spec = written(tmp_path, [annotation(1, {}), dog, annotation(3, BODY)])
    path = tmp_path / "set.json"
    content = json.loads(path.read_text())
    categories = [{"id": 18, "name": "dog"}, {"id": 1, "name": "person"}]
    path.write_text(json.dumps(content | {"categories": categories}))
    found = pseudo_set.open_set(*(Path(part) for part in spec.split("@")))
    assert [item["id"] for item in found.annotations] == [1, 3]
    assert found.problems["another category"] == 1
    for others in ([], [{"id": 18, "name": "rider"}], [{"id": 1}, {"id": 18}]):
        path.write_text(json.dumps(content | {"categories": others}))
        found = pseudo_set.open_set(path, tmp_path)
        assert [item["id"] for item in found.annotations] == [1, 2, 3]  # nobody can tell
