# SPDX-License-Identifier: Apache-2.0
"""``eval reid``: the bundled network on real people, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from alphapose_ros import cli
from alphapose_ros.models.osnet import WIDTHS, OSNet
from alphapose_ros.weights import save_tensors

pytestmark = pytest.mark.usefixtures("one_thread")


def test_attention_holds_on_to_the_person(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    people = shared / "data" / "coco_person"
    written = tmp_path / "reid.json"
    argv = [
        "eval", "reid", "--annotations", str(people / "val.json"), "--images",
        str(people / "images"), "--most", "24", "--json", str(written),
    ]  # fmt: skip
    assert cli.main(argv) == 0
    numbers = json.loads(written.read_text())
    assert "24 people" in capsys.readouterr().out
    assert numbers["movement, background: ratio"] < 0.6
    assert numbers["movement, second person: ratio"] < 0.8
    for change in ("background", "second person", "occluded"):
        seen, blind = (numbers[f"ranking, {change}, {a}: rank1"] for a in ("attention", "none"))
        assert seen >= blind
    weight = numbers["attention, unchanged: weight_on_person"]
    assert weight > 1.3 * numbers["attention, unchanged: area_of_person"]


def osnet(folder: Path) -> str:
    torch.manual_seed(0)
    weights = folder / "osnet.safetensors"
    save_tensors(OSNet(WIDTHS["0_25"]).state_dict(), weights)
    return str(weights)


def market(shared: Path, folder: Path) -> Path:
    """Two people by two cameras, one of them without a picture that shows him whole."""
    images = shared / "data" / "coco_person" / "images"
    folder.mkdir()
    content = json.loads((shared / "data" / "coco_person" / "val.json").read_text())
    files = {entry["id"]: entry["file_name"] for entry in content["images"]}
    tall = [each for each in content["annotations"] if each.get("num_keypoints_gt", 0) > 15]
    for person, entry in enumerate(tall[:2]):
        image = cv2.imread(str(images / files[entry["image_id"]]))
        x, y, w, h = map(int, entry["bbox"])
        for camera in (1, 2):
            crop = image[max(0, y - camera) : y + h, max(0, x - camera) : x + w]
            cv2.imwrite(str(folder / f"{person:04d}_c{camera}s1_000000_00.png"), crop)
    return folder


def test_identities_are_found_again(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, written = market(shared, tmp_path / "crops"), tmp_path / "reid.json"
    argv = ["eval", "reid", "--identities", str(folder), "--json", str(written), "--quiet"]
    assert cli.main(argv) == 0
    numbers = json.loads(written.read_text())
    assert "4 queries of 2 people, 4 pictures" in capsys.readouterr().out
    assert numbers["ranking, unchanged, attention: rank1"] == 1  # nearly the same picture
    assert numbers["ranking, unchanged, attention: mean_ap"] == 1
    assert cli.main([*argv, "--queries", str(folder), "--most", "2", "--weights",
                     osnet(tmp_path)]) == 0  # fmt: skip
    numbers = json.loads(written.read_text())
    assert numbers["queries"] == 2
    for way in ("attention", "none"):  # OSNet's attention is a mask on its crops
        assert 0 <= numbers[f"ranking, unchanged, {way}: rank1"] <= 1


def test_what_is_missing_or_too_much_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    people = tmp_path / "people.json"
    people.write_text(json.dumps({"images": [], "annotations": [], "categories": []}))
    given = ["--annotations", str(people), "--images", str(tmp_path)]
    for argv, told in (
        ([*given, "--most", "1"], "--most: expected at least 2, got 1"),
        ([], "expected --identities SET, or --annotations FILE"),
        ([*given, "--identities", "crops"], "--annotations or --identities, got both"),
        ([*given, "--queries", "crops"], "--queries: expected --identities"),
        (["--identities", str(tmp_path / "none")], "expected a folder of pictures"),
    ):
        assert cli.main(["eval", "reid", *argv]) == 2
        assert told in capsys.readouterr().err
    alone = tmp_path / "alone"
    alone.mkdir()
    cv2.imwrite(str(alone / "0001_c1s1_000000_00.png"), np.zeros((96, 48, 3), np.uint8))
    assert cli.main(["eval", "reid", "--identities", str(alone), "--quiet"]) == 2
    assert "seen more than once" in capsys.readouterr().err
    for source in (str(people), f"{people}@{tmp_path}"):
        argv = ["eval", "reid", "--identities", source, "--json", str(people)]
        assert cli.main(argv) == 2
        assert "--json: expected another file than the input" in capsys.readouterr().err
    assert cli.main(["eval", "pose", "--identities", "crops"]) == 2
    assert "--identities: expected eval reid" in capsys.readouterr().err
