# SPDX-License-Identifier: Apache-2.0
"""``predict``: every format, given boxes, broken images."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from cli_stand_in import (
    OnePerson,
    fails,
    nobody_asks_for_a_pipeline,
    stand_in_pipeline,
    three_images,
)

import alphapose_ros.cli as cli

images = pytest.fixture(three_images)
pipeline = pytest.fixture(stand_in_pipeline)
no_network = pytest.fixture(nobody_asks_for_a_pipeline)


def test_predict_coco(pipeline: OnePerson, images: Path, tmp_path: Path) -> None:
    output = tmp_path / "r.json"
    argv = ["predict", str(images), "--output", str(output), "--format", "coco"]
    assert cli.main([*argv, "--skeleton", "coco17"]) == 0
    rows = json.loads(output.read_text())
    assert [row["image_id"] for row in rows] == [1, 2, 10]
    assert rows[0]["bbox"] == [0, 0, 32, 48]
    assert rows[0]["keypoints"] == [16, 24, 0.75] * 17
    assert rows[0]["score"] == pytest.approx(0.375)


def test_predict_alphapose_with_sub_folders(
    pipeline: OnePerson, images: Path, tmp_path: Path
) -> None:
    (images / "sub").mkdir()
    (images / "img_2.png").rename(images / "sub" / "img_1.png")
    output = tmp_path / "r.json"
    assert cli.main(["predict", str(images), "--output", str(output)]) == 0
    rows = json.loads(output.read_text())
    assert [row["image_id"] for row in rows] == ["img_1.png", "img_10.png", "sub/img_1.png"]
    assert {type(row["idx"]) for row in rows} == {int}
    assert len(rows[0]["keypoints"]) == 3 * 136


def test_predict_openpose_as_files_and_as_one(
    pipeline: OnePerson, images: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "op"
    argv = ["predict", str(images / "img_1.png"), "--format", "openpose", "--output"]
    assert cli.main([*argv, str(folder)]) == 0
    document = json.loads((folder / "img_1_keypoints.json").read_text())
    assert len(document["people"][0]["pose_keypoints_2d"]) == 75
    assert cli.main([*argv, str(tmp_path / "op.json")]) == 0
    assert json.loads((tmp_path / "op.json").read_text()) == {"img_1.png": document}
    assert cli.main([*argv, str(folder), "--skeleton", "coco17"]) == 2


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    ("form", "output"),
    [("openpose", "o.json"), ("openpose", "o"), ("alphapose", "o.json"), ("coco", "o.json")],
)
def test_two_images_of_one_name_are_refused(
    form: str, output: str, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "cam1"
    other.mkdir()
    copied = other / "img_2.png"
    copied.write_bytes((images / "img_2.png").read_bytes())
    argv = ["predict", str(images), str(other), "--format", form, "--output"]
    line = fails(capsys, [*argv, str(tmp_path / output)])
    assert str(images / "img_2.png") in line
    assert str(copied) in line
    assert not (tmp_path / output).exists()


def test_the_folder_above_tells_images_of_one_name_apart(
    pipeline: OnePerson, images: Path, tmp_path: Path
) -> None:
    for camera in ("cam1", "cam2"):
        (images / camera).mkdir()
        (images / camera / "7.png").write_bytes((images / "img_2.png").read_bytes())
    output = tmp_path / "r.json"
    argv = ["predict", str(images), "--output", str(output), "--format", "coco"]
    assert cli.main(argv) == 0
    found = [row["image_id"] for row in json.loads(output.read_text())]
    assert {"cam1/7.png", "cam2/7.png"} <= set(found)


def test_openpose_tells_endings_apart_in_one_file_alone(
    pipeline: OnePerson, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (images / "img_1.jpg").write_bytes((images / "img_1.png").read_bytes())
    argv = ["predict", str(images), "--format", "openpose", "--output"]
    assert "got 'img_1' for" in fails(capsys, [*argv, str(tmp_path / "o")])
    assert cli.main([*argv, str(tmp_path / "o.json")]) == 0
    assert len(json.loads((tmp_path / "o.json").read_text())) == 4


def test_an_image_may_be_named_twice(pipeline: OnePerson, images: Path, tmp_path: Path) -> None:
    argv = ["predict", str(images), str(images / "img_1.png"), "--output"]
    assert cli.main([*argv, str(tmp_path / "o"), "--format", "openpose"]) == 0
    assert len(list((tmp_path / "o").iterdir())) == 3
    assert cli.main([*argv, str(tmp_path / "o.json")]) == 0
    assert len(json.loads((tmp_path / "o.json").read_text())) == 4


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("output", ["o", "o/deeper"])
def test_a_folder_that_cannot_be_made_is_refused_first(
    output: str, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "o").write_text("a file")
    argv = ["predict", str(images), "--format", "openpose", "--output", str(tmp_path / output)]
    assert f"{tmp_path / output}: expected a folder to write to" in fails(capsys, argv)


def test_predict_answers_each_given_box(
    pipeline: OnePerson, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    boxes = tmp_path / "boxes.json"
    twice = {"image_id": 2, "bbox": [4, 8, 20, 30], "score": 0.25}
    point = {"image_id": "img_10.png", "bbox": [5, 5, 0, 0], "score": 1}
    other = {"image_id": 99, "bbox": [4, 8, 20, 30], "score": 1}
    boxes.write_text(json.dumps([twice, twice, point, other]))
    output = tmp_path / "r.json"
    argv = ["predict", str(images), "--output", str(output), "--format", "coco"]
    assert cli.main([*argv, "--boxes", str(boxes)]) == 0
    rows = json.loads(output.read_text())
    assert [row["image_id"] for row in rows] == [2, 2, 10]
    assert rows[0]["box_score"] == 0.25
    assert rows[0]["bbox"] == [4, 8, 20, 30]
    assert "1 boxes are of other images" in capsys.readouterr().err


def test_images_of_one_number_go_by_their_names(
    pipeline: OnePerson, images: Path, tmp_path: Path
) -> None:
    """The integer in "cam0_7.png" and "cam1_7.png" is one; their people were mixed."""
    folder = tmp_path / "two"
    folder.mkdir()
    for name in ("cam0_7.png", "cam1_7.png"):
        (folder / name).write_bytes((images / "img_2.png").read_bytes())
    boxes, output = tmp_path / "boxes.json", tmp_path / "r.json"
    given = [
        {"image_id": "cam1_7", "bbox": [4, 8, 20, 30]},
        {"image_id": 7, "bbox": [1, 1, 5, 5]},  # of which, nobody can tell
    ]
    boxes.write_text(json.dumps(given))
    argv = ["predict", str(folder), "--output", str(output), "--format", "coco"]
    assert cli.main(argv) == 0
    found = [row["image_id"] for row in json.loads(output.read_text())]
    assert found == ["cam0_7.png", "cam1_7.png"]
    assert cli.main([*argv, "--boxes", str(boxes)]) == 0
    (row,) = json.loads(output.read_text())
    assert (row["image_id"], row["bbox"]) == ("cam1_7.png", [4, 8, 20, 30])


def test_a_name_in_the_boxes_counts_before_the_number_in_it(
    pipeline: OnePerson, images: Path, tmp_path: Path
) -> None:
    boxes, output = tmp_path / "boxes.json", tmp_path / "r.json"
    rows = [
        {"image_id": 2, "bbox": [1, 1, 5, 5]},
        {"image_id": "img_2.png", "bbox": [4, 8, 20, 30]},
    ]
    boxes.write_text(json.dumps(rows))
    argv = ["predict", str(images / "img_2.png"), "--output", str(output), "--format", "coco"]
    assert cli.main([*argv, "--boxes", str(boxes)]) == 0
    (row,) = json.loads(output.read_text())
    assert row["bbox"] == [4, 8, 20, 30]


def test_a_network_that_finds_people_itself_takes_no_boxes(
    pipeline: OnePerson, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(OnePerson.estimator, "finds_people", True)
    boxes = tmp_path / "boxes.json"
    boxes.write_text("[]")
    argv = ["predict", str(images), "--output", str(tmp_path / "r.json"), "--boxes", str(boxes)]
    assert "finds the people itself" in fails(capsys, argv)


@pytest.mark.parametrize("content", ["{}", "[1]", '[{"image_id": 1}]', "not json", None])
def test_bad_boxes_are_one_line(
    content: str | None, pipeline: OnePerson, images: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    boxes = tmp_path / "boxes.json"
    if content is not None:
        boxes.write_text(content)
    argv = ["predict", str(images), "--output", str(tmp_path / "r.json"), "--boxes", str(boxes)]
    assert "boxes.json" in fails(capsys, argv)


def test_predict_skips_broken_images_of_a_folder_but_not_named_ones(
    pipeline: OnePerson, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (images / "img_3.png").write_bytes(b"broken")
    argv = ["--output", str(tmp_path / "r.json")]
    assert cli.main(["predict", str(images), *argv]) == 0
    assert "1 of 4 images skipped" in capsys.readouterr().err
    assert "not a readable image" in fails(capsys, ["predict", str(images / "img_3.png"), *argv])
    assert "no such image" in fails(capsys, ["predict", "nowhere.jpg", *argv])
    argv += ["--skeleton", "centaur"]
    assert "unknown skeleton 'centaur'" in fails(capsys, ["predict", str(images), *argv])


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    ("argv", "output"),
    [
        (["images/img_1.png"], "images/img_1.png"),
        (["images"], "./images/img_10.png"),
        (["images"], "link.json"),
        (["images", "--boxes", "kept.json"], "kept.json"),
        (["images", "--params-file", "kept.json", "--format", "openpose"], "kept.json"),
    ],
)
def test_the_output_never_takes_the_place_of_what_is_read(
    argv: list[str],
    output: str,
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("kept.json").write_text("[]")
    Path("link.json").symlink_to("images/img_2.png")
    before = Path(output).read_bytes()
    line = fails(capsys, ["predict", *argv, "--output", output])
    assert f"--output: expected another file than the input, got {output}" in line
    assert Path(output).read_bytes() == before


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    ("form", "output"), [("alphapose", "o.json"), ("openpose", "o.json"), ("openpose", "new/o")]
)
def test_an_output_that_cannot_be_written_is_refused_before_networks_are_loaded(
    form: str,
    output: str,
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    argv = ["predict", str(images), "--format", form, "--output", str(tmp_path / output)]
    assert f"cannot write to {tmp_path} " in fails(capsys, argv)
