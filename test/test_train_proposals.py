# SPDX-License-Identifier: Apache-2.0
"""Fitting proposals: who is matched with which box, and that a known error is found again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from coco_scenes import save

from alphapose_ros.base.boxes import box_iou
from alphapose_ros.base.errors import ConfigError, InputError
from alphapose_ros.base.skeletons import HALPE136
from alphapose_ros.data.atomic_poses import JOINTS
from alphapose_ros.data.people import People, read_people
from alphapose_ros.data.proposals import ProposalModel
from alphapose_ros.train.proposals import ProposalConfig, fit_proposals, matched

pytestmark = pytest.mark.usefixtures("one_thread")

STANDING = np.array([  # one arm raised, so that it can be told from its mirror image
    (50, 10), (52, 8), (48, 8), (55, 10), (45, 10), (65, 30), (35, 30), (75, 20), (30, 50),
    (85, 2), (28, 70), (60, 70), (40, 70), (60, 100), (40, 100), (60, 130), (40, 130),
])  # fmt: skip
SITTING = STANDING * (1, 0.6) + np.where(np.arange(17)[:, None] > 12, (40, -10), (0, 0))
RIGHT = HALPE136.parts["right_hand"]


def scene(folder: Path, count: int = 60) -> tuple[str, str]:
    """People of two poses, one an image, with detected boxes of known offsets: set and boxes."""
    rng = np.random.default_rng(0)
    images, people, found = [], [], []
    for number in range(count):
        sitting = number % 3 == 0
        joints = np.zeros((136, 3))
        joints[:17, :2] = (SITTING if sitting else STANDING) + rng.normal(0, 1, (17, 2))
        joints[:17, 2] = 2
        hand = rng.uniform(-8, 8, (21, 2))
        hand[0], hand[[5, 9, 13, 17]] = 0, [(-3, 9), (-1, 10), (1, 9), (3, 8)]
        joints[RIGHT, :2], joints[RIGHT, 2] = hand + joints[10, :2], 1
        x, y, width, height = (20, 0, 90, 90) if sitting else (20, 0, 60, 140)
        offsets = (0.1 if sitting else -0.05) + rng.normal(0, 0.01, 4)
        sides = np.tile((width, height), 2)
        corners = np.array([x, y, x + width, y + height]) + offsets * sides
        name = f"{number}.png"
        save(folder / name, np.zeros((8, 8, 3), np.uint8))
        images.append({"id": number, "file_name": name})
        people.append({"image_id": number, "bbox": [x, y, width, height],
                       "keypoints": joints.reshape(-1).tolist()})  # fmt: skip
        box = [*corners[:2], *(corners[2:] - corners[:2])]
        found.append({"image_id": number, "bbox": box, "score": 0.9})
        found.append({"image_id": number, "bbox": [300, 300, 50, 90], "score": 0.8})
    (folder / "set.json").write_text(json.dumps({"images": images, "annotations": people}))
    (folder / "boxes.json").write_text(json.dumps(found))
    return f"{folder / 'set.json'}@{folder}", str(folder / "boxes.json")


def test_a_known_error_is_found_again_for_each_pose(tmp_path: Path) -> None:
    people, boxes = scene(tmp_path)
    out = tmp_path / "out" / "proposals.json"
    config = ProposalConfig(str(out), people, boxes, atomic_poses=2)
    assert fit_proposals(config) == out
    model = ProposalModel.load(out)
    assert model.counts["people"] == 60
    assert (model.counts["pose 0"], model.counts["pose 1"]) == (40, 20)
    for mixture, wanted in zip(model.offsets, (-0.05, 0.1), strict=True):
        mean = np.abs(mixture.mean)  # both sides' signs change where a pose is met mirrored
        np.testing.assert_allclose(mean, abs(wanted), atol=0.01)
        np.testing.assert_allclose(mixture.deviation, 0.01, atol=0.006)
    assert model.counts["hand"] == 60
    assert model.counts["face"] == 0
    assert model.parts["face"].mean[2] == ProposalModel.default().parts["face"].mean[2]
    # A palm of 10 px on a forearm of about 20.
    assert np.exp(model.palm[0]) == pytest.approx(0.4, abs=0.2)
    assert model.poses.shape == (2, len(JOINTS), 2)
    picture = cv2.imread(str(out.with_suffix(".png")))
    assert picture.shape == (3 * 240, 6 * 240, 3)
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20
    first = out.read_bytes()
    fit_proposals(config)
    assert out.read_bytes() == first
    fit_proposals(replace(config, seed=1, out=str(tmp_path / "other.json"), images=30))
    assert ProposalModel.load(tmp_path / "other.json").counts["people"] == 30


def people_of(boxes: list[list[float]], images: list[int]) -> People:
    count = len(boxes)
    return People(
        np.array(images, np.int64), np.array(images, np.int64),
        np.array(boxes, np.float32).reshape(-1, 4), np.ones(count, np.float32),
        np.zeros((count, 136, 2), np.float32), np.zeros((count, 136), np.uint8),
        (Path("a"), Path("b")),
    )  # fmt: skip


def test_each_box_belongs_to_one_person_the_largest_overlap_first() -> None:
    people = people_of([[0, 0, 10, 10], [4, 0, 14, 10], [0, 0, 10, 10]], [0, 0, 1])
    found = {0: np.array([[3, 0, 13, 10], [100, 0, 110, 10]], np.float32)}
    rows, boxes = matched(people, found)
    assert rows.tolist() == [1]
    np.testing.assert_array_equal(boxes, [[3, 0, 13, 10]])
    found[0] = np.array([[3, 0, 13, 10], [-2, 0, 9, 10]], np.float32)
    found[1] = np.array([[0, 0, 10, 4.9]], np.float32)  # half is the least
    rows, boxes = matched(people, found)
    assert rows.tolist() == [0, 1]
    assert (box_iou(boxes, people.boxes[rows]).diagonal() > 0.5).all()


def test_nobody_is_matched_where_nobody_is() -> None:
    rows, boxes = matched(people_of([], []), {})
    assert rows.shape == (0,)
    assert boxes.shape == (0, 4)
    rows, boxes = matched(people_of([[0, 0, 10, 10]], [0]), {0: np.zeros((0, 4), np.float32)})
    assert boxes.shape == (0, 4)


def test_too_few_people_and_impossible_numbers_are_refused(tmp_path: Path) -> None:
    people, boxes = scene(tmp_path, 6)
    config = ProposalConfig(str(tmp_path / "p.json"), people, boxes)
    with pytest.raises(InputError, match="expected at least 12 people whom the detector finds"):
        fit_proposals(config)
    with pytest.raises(InputError, match="ANNOTATIONS@IMAGES"):
        fit_proposals(replace(config, people=""))
    with pytest.raises(InputError, match="absent"):
        fit_proposals(replace(config, boxes=str(tmp_path / "absent.json")))
    for change in ({"atomic_poses": 0}, {"components": 0}, {"images": -1}, {"score_threshold": 2}):
        with pytest.raises(ConfigError, match=next(iter(change))):
            replace(config, **change)


def test_the_bundled_detector_finds_real_people(shared: Path, tmp_path: Path) -> None:
    folder = shared / "data" / "coco_person"
    if not folder.is_dir():
        pytest.skip(f"NOT TESTED: no data at {folder}")
    images, seen = folder / "images", []
    config = ProposalConfig(
        str(tmp_path / "p.json"), f"{folder / 'val.json'}@{images}", images=16, atomic_poses=2
    )
    model = ProposalModel.load(fit_proposals(config, lambda: seen.append(1)))
    assert len(seen) == 16
    assert model.counts["people"] >= 15
    assert np.abs(model.pooled.mean).max() < 0.1
    assert (model.pooled.deviation < 0.3).all()
    kept = tmp_path / "p.boxes.json"
    again = replace(config, out=str(tmp_path / "q.json"), boxes=str(kept))
    fit_proposals(again)
    cached = ProposalModel.load(tmp_path / "q.json")
    assert cached.counts == model.counts
    np.testing.assert_allclose(cached.pooled.mean, model.pooled.mean, atol=1e-4)
    assert len(read_people(folder / "val.json", images)) == 744
