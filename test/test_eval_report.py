# SPDX-License-Identifier: Apache-2.0
"""``alphapose-ros eval``: what it prints and writes, and what it refuses in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from alphapose_ros.cli import main
from alphapose_ros.eval.report import Report

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_part_is_a_row() -> None:
    parts = {
        "x_body_people": 3, "x_body_ap": 0.5, "x_body_ap_95": (0.4, 0.6), "x_body_ap50": 0.7,
        "x_body_ar": 0.8, "x_body_ap_ratio": 0.9, "x_body_ap_ratio_95": (0.85, 0.95),
        "x_pseudo_flat_left_hand_people": 1, "x_pseudo_flat_left_hand_ap": float("nan"),
        "x_pseudo_flat_left_hand_ap50": 0.0, "x_pseudo_flat_left_hand_ar": 0.0,
    }  # fmt: skip
    report = Report("title", {"people": 3}, parts, "x_")
    body, hand = report.part_rows()
    assert body == (
        "body", "3", "0.5000", "[0.4000, 0.6000]", "0.7000", "0.8000", "0.9000",
        "[0.8500, 0.9500]",
    )  # fmt: skip
    assert hand[:4] == ("left hand (pseudo-labels too, flat .015)", "1", "nan", "")
    assert report.everything == {"people": 3} | parts
    assert Report("title", {}).part_rows() == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["pose"], "--annotations FILE and --images DIR"),
        (["detector", "--images", "."], "--annotations FILE and --images DIR"),
        (["pose", "clip.mp4", "--annotations", "a", "--images", "."], "expected no recording"),
        (["jitter"], "expected a recording"),
        (["jitter", "nowhere.mp4"], "no such file"),
        (["jitter", "clip.mp4", "--max-frames", "0"], "at least 1, got 0"),
    ],
)
def test_bad_usage_is_one_line(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", *arguments]) == 2
    error = capsys.readouterr().err
    assert complaint in error
    assert "Traceback" not in error


@pytest.fixture
def few(shared: Path, root: Path, tmp_path: Path) -> list[str]:
    """Arguments that name two images of real people with five joints or more."""
    folder = shared / "data" / "coco_person"
    if not folder.is_dir() or not (root / "alphapose_ros/bundled/pose_nano.safetensors").is_file():
        pytest.skip(f"NO DATA: {folder} or the bundled weights are absent")
    content = json.loads((folder / "val.json").read_text())
    faces = {a["image_id"] for a in content["annotations"] if a.get("pseudo", {}).get("face")}
    chosen = [image for image in content["images"] if image["id"] in faces][:2]
    numbers = {image["id"] for image in chosen}
    annotations = [a for a in content["annotations"] if a["image_id"] in numbers]
    (tmp_path / "few.json").write_text(
        json.dumps(content | {"images": chosen, "annotations": annotations})
    )
    images = str(folder / "images")
    return ["--annotations", str(tmp_path / "few.json"), "--images", images, "--device", "cpu"]


def test_real_people_are_measured_in_given_and_in_found_boxes(
    few: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gallery, numbers = tmp_path / "worst", tmp_path / "numbers.json"
    extra = ["--detected", "--gallery", str(gallery), "--worst", "2", "--json", str(numbers)]
    assert main(["eval", "pose", *few, *extra]) == 0
    text = capsys.readouterr().out
    assert "few.json: poses in the annotated boxes" in text
    assert "few.json: people found by the detector" in text
    assert "face (pseudo-labels too, flat .015)" in text
    written = json.loads(numbers.read_text())
    assert written["images"] == written["detected_images"] == 2
    assert written["people"] == written["body_people"] == written["detected_body_people"]
    assert written["ap"] == pytest.approx(written["body_ap"])
    ratio = written["detected_body_ap"] / written["body_ap"]
    assert written["detected_body_ap_ratio"] == pytest.approx(ratio)
    assert len(list(gallery.glob("body_*.jpg"))) in (1, 2)
    assert (gallery / "index.html").is_file()
