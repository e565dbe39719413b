# SPDX-License-Identifier: Apache-2.0
"""Broken annotations and images are counted, named, and fatal only if nothing is left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coco_scenes import coco_file, flat, person, save

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.skeletons import COCO17
from alphapose_ros.data.coco import image_fault, read_image
from alphapose_ros.data.detection import read_coco_boxes
from alphapose_ros.data.readers import read_set


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    save(path, np.random.default_rng(1).integers(0, 256, (60, 80, 3), dtype=np.uint8))


def test_broken_annotations_are_counted(tmp_path: Path) -> None:
    good = flat(COCO17)
    broken = [
        "no object",
        person(good[:-1]),
        person([*good[:-3], "x", 1, 2]),
        person([*good[:-3], float("nan"), 1, 2]),
        person(good, bbox=[1, 2, "wide", 4]),
        person(good, bbox=[1, 2, 3]),
        person(good, bbox=[1, 2, float("inf"), 3]),
        person(good, area="large"),
        person(good, image_id=[7]),
        person(good, foot_kpts=[1, 2, 2]),
        person(good, area=float("nan")),
        person(good, area=-4.0),
    ]
    path = coco_file(tmp_path, [*broken, person(good)])  # type: ignore[list-item]
    people = read_set(path, tmp_path)
    assert len(people) == 1
    assert people.problems == {"missing image": 1, "broken annotation": len(broken)}
    for item in broken:
        with pytest.raises(InputError, match=r"set\.json: no annotation can be used: ."):
            read_set(coco_file(tmp_path, [item]), tmp_path)  # type: ignore[list-item]


def test_the_caller_s_choice_is_counted(tmp_path: Path) -> None:
    rows = [person(flat(COCO17), id=n) for n in range(3)]
    people = read_set(coco_file(tmp_path, rows), tmp_path, keep=lambda item: item["id"] == 1)
    assert len(people) == 1
    assert people.problems["left out by choice"] == 2


def test_broken_images_are_counted_and_named(tmp_path: Path) -> None:
    picture(tmp_path / "good.jpg")
    picture(tmp_path / "good.png")
    for kind in ("jpg", "png"):
        data = (tmp_path / f"good.{kind}").read_bytes()
        (tmp_path / f"cut.{kind}").write_bytes(data[: len(data) // 2])
        (tmp_path / f"zero.{kind}").write_bytes(b"")
        (tmp_path / f"text.{kind}").write_bytes(b"<html>not found</html>")
    (tmp_path / "folder.jpg").mkdir()
    bad = [f"{n}.{kind}" for n in ("cut", "zero", "text") for kind in ("jpg", "png")]
    bad.append("folder.jpg")
    for name in bad:
        assert image_fault(tmp_path / name) == "unreadable image", name
        with pytest.raises(InputError, match=name):
            read_image(tmp_path / name)
    assert image_fault(tmp_path / "none.jpg") == "missing image"
    names = ["good.jpg", "good.png", "none.jpg", *bad]
    images: list[Any] = [{"id": n, "file_name": name} for n, name in enumerate(names)]
    images += [{"id": 99}, {"file_name": "good.jpg"}, None]
    rows = [person(flat(COCO17), image_id=n) for n in range(len(names))]
    path = tmp_path / "set.json"
    path.write_text(json.dumps({"images": images, "annotations": rows}))
    people = read_set(path, tmp_path)
    assert [p.name for p in people.images] == ["good.jpg", "good.png"]
    assert people.image_ids.tolist() == [0, 1]
    assert people.problems == {
        "missing image": 1,
        "unreadable image": len(bad),
        "broken image entry": 3,
        "annotation of a missing image": 1 + len(bad),
    }
    path.write_text(json.dumps({"images": images[3:4], "annotations": rows}))
    with pytest.raises(InputError, match=r"found none of them \(1 unreadable image\)"):
        read_set(path, tmp_path)


def test_jpegs_with_a_thumbnail_and_with_bytes_behind_the_end(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg")
    data = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "long.jpg").write_bytes(data + b"\x00" * 10_000)
    assert image_fault(tmp_path / "long.jpg") is None
    assert read_image(tmp_path / "long.jpg").shape == (60, 80, 3)
    thumbnail = b"\xff\xe1\x00\x06\xff\xd9ab"
    cut = data[:2] + thumbnail + data[2:-2] + b"\x00" * 10_000
    (tmp_path / "thumb.jpg").write_bytes(cut)
    assert image_fault(tmp_path / "thumb.jpg") == "unreadable image"


def one_image(folder: Path, **changes: Any) -> Path:
    """A file of one image and one person, with ``changes`` of the image's entry or of lists."""
    picture(folder / "a.png")
    image = {"id": 7, "file_name": "a.png", "height": 60, "width": 80}
    image |= {key: value for key, value in changes.items() if key in image}
    content = {
        "images": [image],
        "annotations": [person(flat(COCO17), category_id=1, image_id=image["id"])],
        "categories": changes.get("categories", [{"id": 1, "name": "person"}]),
    }
    path = folder / "set.json"
    path.write_text(json.dumps(content).replace('"LONG"', "1" * 5000))
    return path


@pytest.mark.parametrize(
    "categories",
    [
        5, {"a": 1}, [{"id": [1], "name": "person"}],
        [{"id": 1, "name": "person", "keypoints": 17}],
        [{"id": 1, "name": "person", "keypoints": [{}]}],
    ],
)  # fmt: skip
def test_categories_of_another_kind_are_refused(tmp_path: Path, categories: Any) -> None:
    path = one_image(tmp_path, categories=categories)
    for read in (read_set, read_coco_boxes):
        with pytest.raises(InputError, match=r"set\.json: expected a list of 'categories'"):
            read(path, tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("id", 2**63 + 5), ("id", -(2**63) - 1), ("id", float("inf")), ("id", float("nan")),
        ("id", "LONG"), ("file_name", "\ud800.jpg"), ("file_name", "a" * 300),
    ],
)  # fmt: skip
def test_an_image_entry_of_impossible_values_is_an_error_of_input(
    tmp_path: Path, key: str, value: Any
) -> None:
    path = one_image(tmp_path, **{key: value})
    for read in (read_set, read_coco_boxes):
        with pytest.raises(InputError, match=r"set\.json"):
            read(path, tmp_path)
    if value != "LONG":
        content = json.loads(path.read_text())
        content["images"].append({"id": 9, "file_name": "a.png"})
        content["annotations"].append(person(flat(COCO17), image_id=9))
        path.write_text(json.dumps(content))
        assert read_set(path, tmp_path).image_ids.tolist() == [9]


def test_a_number_of_63_bits_is_one(tmp_path: Path) -> None:
    path = one_image(tmp_path, id=2**63 - 1)
    assert read_set(path, tmp_path).image_ids.tolist() == [2**63 - 1]
    assert read_coco_boxes(path, tmp_path).samples[0].image_id == 2**63 - 1
