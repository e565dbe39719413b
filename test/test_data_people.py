# SPDX-License-Identifier: Apache-2.0
"""From COCO files, and from a teacher, to annotated people: joints find their place."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from coco_scenes import BOX, coco_file, flat, person, save

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.skeletons import COCO17, HALPE136, WHOLEBODY133, Skeleton
from alphapose_ros.data.coco import read_image
from alphapose_ros.data.people import read_people


@pytest.mark.parametrize("source", [HALPE136, WHOLEBODY133, COCO17], ids=lambda s: s.name)
def test_joints_find_their_place_by_name(tmp_path: Path, source: Skeleton) -> None:
    people = read_people(coco_file(tmp_path, [person(flat(source))]), tmp_path)
    assert people.keypoints.shape == (1, 136, 2)
    for k, name in enumerate(HALPE136.keypoint_names):
        if name in source.keypoint_names:
            j = source.index(name)
            assert people.keypoints[0, k].tolist() == [j, j / 2], name
            assert people.labels[0, k] == 2
        else:
            assert people.keypoints[0, k].tolist() == [0, 0], name
            assert people.labels[0, k] == 0


def test_wholebodys_feet_are_reordered(tmp_path: Path) -> None:
    people = read_people(coco_file(tmp_path, [person(flat(WHOLEBODY133))]), tmp_path)
    # COCO-WholeBody: 17..22 left big, left small, left heel, right big, right small, right heel.
    assert people.keypoints[0, 20:26, 0].tolist() == [17, 20, 18, 21, 19, 22]
    assert (people.labels[0, 17:20] == 0).all()  # head top, neck and pelvis are not in the set


def test_boxes_areas_and_image_numbers(tmp_path: Path) -> None:
    people = read_people(coco_file(tmp_path, [person(flat(COCO17))] * 2), tmp_path)
    assert people.boxes.tolist() == [[20, 10, 90, 110]] * 2
    assert people.areas.tolist() == [900, 900]
    assert people.image_ids.tolist() == [7, 7]
    assert [people.images[row] for row in people.image_rows] == [tmp_path / "a.png"] * 2


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    good = flat(COCO17)
    bad = [
        person(good, iscrowd=1),
        person(good, image_id=8),
        person(good, image_id=99),
        person(flat(COCO17, label=0)),
        person([]),
        {"image_id": 7, "bbox": BOX},
        person(good) | {"keypoints": None},
        person(good, bbox=[1, 2, 0, 30]),
        person(good, bbox=[1, 2, 30, -4]),
        person(good, bbox=[]),
    ]
    people = read_people(coco_file(tmp_path, [*bad, person(good)]), tmp_path)
    assert len(people) == 1
    assert people.problems == {
        "missing image": 1,
        "crowd region": 1,
        "annotation of a missing image": 2,
        "no keypoints": 4,
        "empty box": 3,
    }


def test_a_file_without_people_is_no_error(tmp_path: Path) -> None:
    people = read_people(coco_file(tmp_path, []), tmp_path)
    assert len(people) == 0
    assert people.keypoints.shape == (0, 136, 2)
    assert len(people.images) == 1


def test_labels_are_kept_and_the_caller_may_choose(tmp_path: Path) -> None:
    rows = [person(flat(HALPE136, label), id=label) for label in (1, 2)]
    people = read_people(coco_file(tmp_path, rows), tmp_path, HALPE136, lambda i: i["id"] == 1)
    assert people.labels.tolist() == [[1] * 136]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"images": []}', "null"])
def test_files_that_are_not_coco_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(InputError, match="other"):
        read_people(path, tmp_path)


def test_other_mistakes_name_the_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="missing"):
        read_people(tmp_path / "missing.json", tmp_path)
    with pytest.raises(InputError, match="found none of them"):
        read_people(coco_file(tmp_path, []), tmp_path / "elsewhere")
    for keypoints in (flat(COCO17)[:-3], flat(COCO17)[:-1]):
        with pytest.raises(InputError, match=r"set\.json.*got \d+ numbers"):
            read_people(coco_file(tmp_path, [person(keypoints)]), tmp_path)


def test_images_are_rgb_and_broken_ones_are_named(tmp_path: Path) -> None:
    red = np.zeros((3, 5, 3), np.uint8)
    red[..., 0] = 255
    save(tmp_path / "red.png", red)
    np.testing.assert_array_equal(read_image(tmp_path / "red.png"), red)
    (tmp_path / "broken.png").write_bytes(b"no image")
    for name in ("broken.png", "missing.png"):
        with pytest.raises(InputError, match=name):
            read_image(tmp_path / name)


def test_pseudo_labels_come_from_a_teacher(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="NOT TESTED: onnx is not installed")
    pytest.importorskip("onnxruntime", reason="NOT TESTED: onnxruntime is not installed")
    from alphapose_ros.data.pseudo import AcceptanceRules, pseudo_label

    # The teacher sees red in every fourth pixel: all of its joints lie on a red dot.
    weight = np.zeros((136, 3, 1, 1), np.float32)
    weight[:, 0], weight[:, 1] = 20, -20
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    kind = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w", "b"], ["y"], strides=[4, 4])],
        "teacher",
        [helper.make_tensor_value_info("x", kind, ["n", 3, 256, 192])],
        [helper.make_tensor_value_info("y", kind, ["n", 136, 64, 48])],
        [numpy_helper.from_array(weight, "w"),
         numpy_helper.from_array(np.full(136, -20, np.float32), "b")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, str(tmp_path / "teacher.onnx"))
    image = np.zeros((400, 400, 3), np.uint8)
    cv2.circle(image, (231, 142), 8, (255, 0, 0), -1)
    save(tmp_path / "a.png", image)
    box = [150.0, 60.0, 130.0, 200.0]
    rows = [
        person([], id=1, bbox=box),
        person(flat(COCO17), id=2),  # has a pose already
        person([], id=3, bbox=[300, 300, 40, 90]),  # sees no dot
        person([], id=4, bbox=[200, 120, 30, 30]),  # too small
        person([], id=5, bbox=box, iscrowd=1),
    ]
    source, target = coco_file(tmp_path, rows), tmp_path / "new" / "pseudo.json"
    ticks: list[int] = []
    count = pseudo_label(
        tmp_path / "teacher.onnx", source, tmp_path, target, AcceptanceRules(),
        lambda: ticks.append(1),
    )  # fmt: skip
    assert count == len(ticks) == 1
    people = read_people(target, tmp_path)
    known = people.labels[0] > 0
    assert (people.labels[0][known] == 1).all()  # never taken for an annotation
    assert not known[HALPE136.parts["feet"]].any()
    assert known[HALPE136.parts["body"]].all()
    assert known[HALPE136.parts["face"]].all()
    assert np.abs(people.keypoints[0][known] - (231, 142)).max() < 1.0


def test_cocos_hidden_joints_are_annotations_and_a_missing_area_is_a_share_of_the_box(
    tmp_path: Path,
) -> None:
    keypoints = [10.0, 10.0, 1, 20.0, 10.0, 2] + [0.0, 0.0, 0] * 15
    content = {
        "images": [{"id": 1, "file_name": "a.png"}],
        "annotations": [{"image_id": 1, "bbox": [0, 0, 40, 50], "keypoints": keypoints}],
    }
    (tmp_path / "a.json").write_text(json.dumps(content))
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((60, 60, 3), np.uint8))
    people = read_people(tmp_path / "a.json", tmp_path)
    assert people.labels[0, :3].tolist() == [2, 2, 0]
    assert people.areas.tolist() == pytest.approx([0.53 * 2000])
