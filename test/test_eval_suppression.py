# SPDX-License-Identifier: Apache-2.0
"""Pose NMS judged and fitted on candidates that are known."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from alphapose_ros.base.boxes import box_iou, non_maximum_suppression
from alphapose_ros.base.errors import InputError
from alphapose_ros.base.records import Detections, Poses
from alphapose_ros.base.skeletons import COCO17, HALPE136
from alphapose_ros.cli import train_nms as command
from alphapose_ros.config import PipelineConfig
from alphapose_ros.data.people import People
from alphapose_ros.detection.config import DetectorConfig
from alphapose_ros.eval import suppression
from alphapose_ros.eval.suppression import Candidates, collect_candidates, paired_gain
from alphapose_ros.pose.config import PoseConfig
from alphapose_ros.pose.nms_config import PoseNmsConfig

BODY = slice(0, 17)


def standing(x: float, rng: np.random.Generator, noise: float = 0.0) -> np.ndarray:
    """Joints (136, 2) of somebody 100 px tall whose body is spread over the box."""
    shape = np.random.default_rng(5).uniform(0, 1, (136, 2)) * (40, 100)
    return shape + np.array([x, 20]) + rng.normal(0, noise, (136, 2))


def scene(rng: np.random.Generator, images: int = 6) -> Candidates:
    """Two people in each image; each is answered twice, the second time less exactly."""
    truth, rows, poses = [], [], []
    for row in range(images):
        places = (10.0, 200.0)
        truth += [standing(x, rng) for x in places]
        rows += [row, row]
        answers = [standing(x, rng, noise) for x in places for noise in (0.5, 2.0)]
        boxes = np.array([[x, 20, x + 40, 120] for x in places for _ in range(2)], np.float32)
        scores = np.tile([0.9, 0.8], 2)[:, None] * np.ones((4, 136))
        poses.append(Poses(np.array(answers), scores, boxes, np.ones(4), np.arange(4), HALPE136))
    count = len(truth)
    boxes = np.array([[k[:, 0].min(), 20, k[:, 0].max(), 120] for k in truth], np.float32)
    labels = np.zeros((count, 136), np.uint8)
    labels[:, BODY] = 2
    people = People(
        np.array(rows), np.array(rows), boxes, np.full(count, 2120.0), np.array(truth), labels,
        tuple(Path(f"{row}.png") for row in range(images)), HALPE136,
    )  # fmt: skip
    return Candidates(poses, people, [[] for _ in range(images)])


def test_without_suppression_every_person_is_answered_twice(rng: np.random.Generator) -> None:
    candidates = scene(rng)
    off, on = PoseNmsConfig(enabled=False), PoseNmsConfig()
    assert [len(m.scores) for m in candidates.matches(off)] == [4] * 6
    assert [len(m.scores) for m in candidates.matches(on)] == [2] * 6
    gain, (low, high) = paired_gain(candidates.matches(on), candidates.matches(off))
    assert gain == pytest.approx(candidates.ap(on) - candidates.ap(off))
    assert low <= gain <= high


def test_a_threshold_that_suppresses_nothing_is_mended(rng: np.random.Generator) -> None:
    candidates = scene(rng)
    for poses in candidates.poses:  # the inexact answers come first where nobody removes them
        poses.scores[:] = np.tile([0.6, 0.9], 2)[:, None]
    start = PoseNmsConfig(threshold=1.0, merge_radius=0.0)
    found = command.fit_nms(candidates, start, rounds=1)
    assert found.start == candidates.ap(start)
    assert found.score >= found.start
    assert found.score == candidates.ap(command.with_values(start, found.values))
    assert set(found.values) == {n for pair in command.WHOLEBODY_PAIRS for n in pair}


def test_box_suppression_leaves_what_a_detector_would(rng: np.random.Generator) -> None:
    candidates = scene(rng)
    assert [len(poses) for poses in candidates.with_box_nms(0.5).poses] == [2] * 6
    assert [len(poses) for poses in candidates.with_box_nms(1.0).poses] == [4] * 6
    for _ in range(20):  # against the slow obvious version
        corner = rng.uniform(0, 60, (7, 2))
        boxes = np.concatenate([corner, corner + rng.uniform(10, 60, (7, 2))], 1)
        scores = rng.random(7)
        left, kept = list(np.argsort(-scores)), []
        while left:
            best = left.pop(0)
            kept.append(best)
            left = [k for k in left if box_iou(boxes[[best]], boxes[[k]])[0, 0] <= 0.4]
        assert non_maximum_suppression(boxes, scores, 0.4).tolist() == kept


def test_images_without_candidates_or_people_count(rng: np.random.Generator) -> None:
    candidates = scene(rng, images=2)
    nobody = replace(candidates, poses=[Poses.empty(HALPE136)] * 2)
    assert nobody.ap(PoseNmsConfig()) == 0
    empty = replace(candidates, people=candidates.people[[]])
    assert np.isnan(empty.ap(PoseNmsConfig()))


@pytest.fixture
def annotated(tmp_path: Path) -> Path:
    keypoints = np.zeros((17, 3))
    keypoints[:, :2], keypoints[:, 2] = np.random.default_rng(1).uniform(5, 40, (17, 2)), 2
    entries, items = [], []
    for k in range(5):
        cv2.imwrite(str(tmp_path / f"{k}.png"), np.full((50, 60, 3), 40 * k, np.uint8))
        entries.append({"id": k, "file_name": f"{k}.png", "height": 50, "width": 60})
        if k != 3:
            items.append(
                {"id": k, "image_id": k, "category_id": 1, "bbox": [5, 5, 40, 40], "area": 800,
                 "iscrowd": 0, "keypoints": keypoints.ravel().tolist()}
            )  # fmt: skip
    category = {"id": 1, "name": "person", "keypoints": list(COCO17.keypoint_names)}
    content = {"images": entries, "annotations": items, "categories": [category]}
    path = tmp_path / "people.json"
    path.write_text(json.dumps(content))
    return path


class StandIn:
    """A pipeline that finds as many people as the image is grey, in tens."""

    device = "cpu"
    runs = 0

    def __init__(self, config: PipelineConfig) -> None:
        type(self).iou = config.detector.nms_iou
        type(self).runs += 1

    def detector(self, batch: object) -> list[Detections]:
        count = round(float(batch.images[0].float().mean())) // 10  # type: ignore[attr-defined]
        return [Detections(np.tile([5.0, 5, 45, 45], (count, 1)), np.ones(count))]

    def estimator(self, batch: object, found: list[Detections]) -> list[Poses]:
        count = len(found[0])
        points = np.zeros((count, 136, 2)) + 20
        return [
            Poses(points, np.ones((count, 136)), found[0].boxes, found[0].scores,
                  np.arange(count), HALPE136)
        ]  # fmt: skip


def test_candidates_are_collected_once(
    annotated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suppression, "PosePipeline", StandIn)
    cache, ticks = tmp_path / "run" / "c.npz", []

    def collect(most: int = 0, where: Path | None = cache) -> Candidates:
        return collect_candidates(
            PipelineConfig(), annotated, tmp_path, nms_iou=0.85, cache=where, most=most,
            on_image=lambda: ticks.append(1),
        )  # fmt: skip

    first = collect()
    assert StandIn.iou == 0.85
    assert [path.name for path in first.people.images] == ["0.png", "1.png", "2.png", "4.png"]
    assert [len(poses) for poses in first.poses] == [0, 4, 8, 16]
    assert len(ticks) == 4
    runs = StandIn.runs
    again = collect()
    assert (StandIn.runs, len(ticks)) == (runs, 4)
    for one, other in zip(first.poses, again.poses, strict=True):
        np.testing.assert_array_equal(one.keypoints, other.keypoints)
        np.testing.assert_array_equal(one.boxes, other.boxes)
    assert first.ap(PoseNmsConfig()) == again.ap(PoseNmsConfig())
    few = collect(2, None)
    assert [path.name for path in few.people.images] == ["0.png", "4.png"]
    assert few.people.image_rows.tolist() == [0, 1]
    with pytest.raises(InputError, match="are of other images"):
        collect(2)
    with pytest.raises(InputError, match="made with other settings"):
        collect_candidates(PipelineConfig(), annotated, tmp_path, nms_iou=0.5, cache=cache)
    cache.write_bytes(cache.read_bytes()[:100])
    with pytest.raises(InputError, match=r"c\.npz: expected candidates of pose NMS"):
        collect()


def test_candidates_of_other_pixels_or_weights_are_refused(
    annotated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suppression, "PosePipeline", StandIn)
    cache = tmp_path / "run" / "c.npz"
    names = ("detector.pth", "pose.pth", "hand.pth")
    for name in names:
        (tmp_path / name).write_bytes(b"before")
    detector, pose, hand = (str(tmp_path / name) for name in names)
    config = PipelineConfig(
        detector=DetectorConfig(weights=detector),
        pose=PoseConfig(weights=pose, hand_weights=hand),
    )

    def collect(config: PipelineConfig = config) -> Candidates:
        return collect_candidates(config, annotated, tmp_path, nms_iou=0.85, cache=cache)

    collect()
    for name in names:
        (tmp_path / name).write_bytes(b"behind")
        with pytest.raises(InputError, match=r"c\.npz: made with other weights; remove it"):
            collect()
        (tmp_path / name).write_bytes(b"before")
    collect()
    kept = (tmp_path / "2.png").read_bytes()
    cv2.imwrite(str(tmp_path / "2.png"), np.zeros((50, 60, 3), np.uint8))
    with pytest.raises(InputError, match=r"c\.npz: made with other pixels; remove it"):
        collect()
    (tmp_path / "2.png").write_bytes(kept)
    collect()
    with pytest.raises(InputError, match="made with other settings"):
        collect(replace(config, preset="fast"))


def test_the_command_writes_what_it_found(
    annotated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(suppression, "PosePipeline", StandIn)
    monkeypatch.setattr(command, "FACTORS", (0.5,))
    text = f"{annotated}@{tmp_path}"
    config = command.NmsTrainConfig(
        out=str(tmp_path / "out"), people=text, held_out=text, rounds=1
    )
    report = json.loads(command.train_nms(config).read_text())
    ap = report["held_out"]["ap"]
    assert len(ap) == 9
    assert {name.split()[0] for name in ap} == {"none", "given", "learned"}
    assert set(report["held_out"]["gains"]) == {"learned - given", "given - none"}
    assert report["fitted_with"]["rounds"] == 1
    assert command.with_values(PoseNmsConfig(), report["parameters"])
    assert "learned - given" in capsys.readouterr().out
    with pytest.raises(InputError, match="ANNOTATIONS@IMAGES"):
        command.train_nms(command.NmsTrainConfig(out=str(tmp_path / "none")))


def test_a_full_disk_leaves_the_parameters_of_before(
    annotated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, data: bytes, offset: int) -> int:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(suppression, "PosePipeline", StandIn)
    monkeypatch.setattr(command, "FACTORS", (0.5,))
    config = command.NmsTrainConfig(
        out=str(tmp_path / "out"), people=f"{annotated}@{tmp_path}", rounds=1
    )
    written = command.train_nms(config)
    before = written.read_text()
    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="full"):
        command.train_nms(config)
    assert written.read_text() == before
