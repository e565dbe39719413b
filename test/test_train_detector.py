# SPDX-License-Identifier: Apache-2.0
import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from alphapose_ros.base.errors import ConfigError, InputError, WeightsError
from alphapose_ros.data.box_augment import BoxAugmentConfig
from alphapose_ros.models.yolox import YOLOX, anchor_grid, decode_boxes
from alphapose_ros.models.yolox_weights import load_yolox
from alphapose_ros.train.detector import train_detector
from alphapose_ros.train.detector_config import DetectorTrainConfig
from alphapose_ros.train.loop import Run
from alphapose_ros.train.norms import restore_norms
from alphapose_ros.train.simota import assign, detection_loss
from alphapose_ros.train.yolox_init import folded_state_from_onnx, load_start
from alphapose_ros.weights import load_tensors, save_tensors

TEACHER = Path(__file__).parents[2] / "shared" / "data" / "teachers" / "yolox_nano.onnx"
needs_teacher = pytest.mark.skipif(
    not TEACHER.is_file(), reason=f"NO TEACHER: {TEACHER} is absent, starting from it is unchecked"
)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def slow_iou(a, b):
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return width * height / max(union, 1e-9)


def slow_assign(boxes, scores, people, points, strides):
    """SimOTA written down literally: {cell: person}."""
    centers = [(p[0] + s[0] / 2, p[1] + s[0] / 2) for p, s in zip(points, strides, strict=True)]

    def inside(cell, person):
        (x, y), (x1, y1, x2, y2) = centers[cell], people[person]
        return x1 < x < x2 and y1 < y < y2

    def near(cell, person):
        (x, y), (x1, y1, x2, y2) = centers[cell], people[person]
        reach = 2.5 * strides[cell][0]
        return abs(x - (x1 + x2) / 2) < reach and abs(y - (y1 + y2) / 2) < reach

    everyone = range(len(people))
    cells = [c for c in range(len(points)) if any(inside(c, g) or near(c, g) for g in everyone)]
    cost, wanted = {}, {}
    for g in everyone:
        overlap = {c: slow_iou(people[g], boxes[c]) for c in cells}
        for c in cells:
            cost[c, g] = -math.log(math.sqrt(scores[c])) - 3 * math.log(overlap[c] + 1e-8)
            if not (inside(c, g) and near(c, g)):
                cost[c, g] += 1e5
        count = max(1, int(sum(sorted(overlap.values(), reverse=True)[:10])))
        for c in sorted(cells, key=lambda c: cost[c, g])[:count]:
            wanted.setdefault(c, []).append(g)
    # A cell wanted by several answers for whoever it suits best.
    return {
        c: owners[0] if len(owners) == 1 else min(everyone, key=lambda g: cost[c, g])
        for c, owners in wanted.items()
    }


@pytest.mark.parametrize("seed", range(12))
def test_assignment_equals_the_slow_one(seed):
    rng = np.random.default_rng(seed)
    points, strides = anchor_grid((64, 96))
    count = seed % 4
    corner = rng.uniform(-5, 50, (count, 2))
    people = np.concatenate([corner, corner + rng.uniform(8, 50, (count, 2))], 1)
    # Predictions near the people, so that overlaps and contests occur.
    raw = torch.from_numpy(rng.normal(0, 0.6, (len(points), 4)).astype(np.float32))
    raw[:, 2:] += torch.log(24 / strides)
    boxes = decode_boxes(raw, points, strides)
    scores = rng.uniform(0.01, 0.99, len(points))
    expected = slow_assign(
        boxes.double().tolist(),
        scores.tolist(),
        people.tolist(),
        points.tolist(),
        strides.tolist(),
    )
    found = assign(
        boxes.double(), torch.from_numpy(scores), torch.from_numpy(people), points, strides
    )
    assert dict(zip(found.cells.tolist(), found.people.tolist(), strict=True)) == expected
    for cell, person, iou in zip(found.cells, found.people, found.ious, strict=True):
        assert iou.item() == pytest.approx(slow_iou(people[person], boxes[cell].tolist()))


def test_crowds_get_no_objectness_loss():
    points, strides = anchor_grid((64, 64))
    raw = torch.zeros(1, len(points), 6)
    nobody, crowd = torch.zeros(0, 4), torch.tensor([[0.0, 0, 32, 64]])
    everywhere = detection_loss(raw, [nobody], [nobody], points, strides)
    half = detection_loss(raw, [nobody], [crowd], points, strides)
    assert everywhere["objectness"].item() == pytest.approx(len(points) * math.log(2), rel=1e-5)
    assert half["objectness"].item() == pytest.approx(len(points) / 2 * math.log(2), rel=1e-5)
    assert half["box"] == half["class"] == half["positives"] == 0
    person = torch.tensor([[4.0, 4, 28, 60]])
    both = detection_loss(raw, [person], [crowd], points, strides)
    assert both["positives"] > 0
    assert both["objectness"] * both["positives"] == pytest.approx(
        (len(points) / 2 + both["positives"].item()) * math.log(2), rel=1e-4
    )


def test_a_perfect_prediction_costs_next_to_nothing():
    points, strides = anchor_grid((64, 64))
    people = torch.tensor([[8.0, 8, 40, 56]])
    raw = torch.zeros(1, len(points), 6)
    half = (people[0, 2:] - people[0, :2]) / 2
    raw[0, :, :2] = (people[0, :2] + half - points) / strides
    raw[0, :, 2:4] = torch.log(2 * half / strides)
    raw[..., 4:] = 9
    found = assign(
        decode_boxes(raw[0, :, :4], points, strides), torch.ones(84), people, points, strides
    )
    raw[0, :, 4] = -9
    raw[0, found.cells, 4] = 9
    losses = detection_loss(raw, [people], [torch.zeros(0, 4)], points, strides)
    assert losses["positives"] == 10
    assert losses["total"] < 0.02


@pytest.fixture
def pictures(tmp_path):
    """Two images of bright figures on noise, one of them with a crowd."""
    rng = np.random.default_rng(0)
    people = {1: [[10, 12, 20, 40], [50, 20, 24, 36]], 2: [[30, 8, 28, 50]]}
    rows, images = [], []
    for image, boxes in people.items():
        pixels = rng.integers(0, 80, (72, 96, 3), dtype=np.uint8)
        for x, y, w, h in boxes:
            pixels[y : y + h, x : x + w] = [40, 200, 240]
            rows.append({"image_id": image, "category_id": 1, "bbox": [x, y, w, h], "iscrowd": 0})
        cv2.imwrite(str(tmp_path / f"{image}.png"), pixels)
        images.append({"id": image, "file_name": f"{image}.png", "width": 96, "height": 72})
    rows.append({"image_id": 2, "category_id": 1, "bbox": [70, 0, 20, 20], "iscrowd": 1})
    content = {
        "images": images,
        "annotations": rows,
        "categories": [{"id": 1, "name": "person"}],
    }
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    return DetectorTrainConfig(
        annotations=str(tmp_path / "boxes.json"),
        images_dir=str(tmp_path),
        output_dir=str(tmp_path / "run"),
        steps=30,
        batch=2,
        learning_rate=0.01,
        warmup=5,
        sides=(96,),
        log_every=1,
        save_every=4,
        augment=BoxAugmentConfig(mosaic=0, rescale=0, flip=0, colour=0),
    )


def rows_of(config):
    with (Path(config.output_dir) / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_thirty_steps_on_two_images_lower_the_loss(pictures):
    train_detector(pictures)
    losses = [float(row["loss"]) for row in rows_of(pictures)]
    assert len(losses) == 30
    assert np.mean(losses[-5:]) < 0.85 * np.mean(losses[:5])
    model = load_yolox(load_tensors(Path(pictures.output_dir) / "detector.safetensors"))
    assert model.num_classes == 1


def test_options_beyond_their_limits_are_named(pictures):
    for name, value in {"workers": -1, "batch": 0, "size": "huge", "milestones": [3]}.items():
        with pytest.raises(ConfigError, match=name):
            replace(pictures, **{name: value})


def test_resuming_gives_the_same_numbers(pictures, tmp_path, monkeypatch):
    config = replace(pictures, steps=8, augment=BoxAugmentConfig(mosaic=0.5), sides=(64, 96))
    train_detector(config)
    broken_off = replace(config, output_dir=str(tmp_path / "second"))
    update = Run.update

    def interrupted(self):
        if self.step == 6:  # two steps after the last checkpoint
            raise KeyboardInterrupt
        update(self)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "update", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train_detector(broken_off)
    train_detector(broken_off)
    assert rows_of(broken_off) == rows_of(config)
    first, second = (
        load_tensors(Path(c.output_dir) / "detector.safetensors") for c in (config, broken_off)
    )
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_cached_images_give_the_same_numbers(pictures, tmp_path):
    config = replace(pictures, steps=2, augment=BoxAugmentConfig(mosaic=0.5))
    train_detector(config)
    cached = replace(config, output_dir=str(tmp_path / "cached"), cache="memory")
    train_detector(cached)
    assert rows_of(cached) == rows_of(config)


def test_starting_from_a_file_keeps_its_function(pictures, tmp_path):
    torch.manual_seed(3)
    source = YOLOX("nano", num_classes=80).eval()
    path = tmp_path / "start.safetensors"
    save_tensors(source.state_dict(), path)
    model = YOLOX("nano", num_classes=1).eval()
    load_start(model, path)
    images = torch.rand(1, 3, 64, 64) * 255
    with torch.no_grad():
        torch.testing.assert_close(model.raw(images), source.raw(images)[..., :6])
        before = model.raw(images)
        restore_norms(model, [images, images.flip(2)])
        torch.testing.assert_close(model.raw(images), before, rtol=1e-3, atol=1e-3)
        stem = model.backbone.backbone.stem.conv
        seen = []
        stem.conv.register_forward_hook(lambda *args: seen.append(args[2]))
        model.raw(torch.cat([images, images.flip(2)]))
    torch.testing.assert_close(stem.bn.running_mean, seen[0].mean((0, 2, 3)), rtol=1e-4, atol=1e-3)
    with pytest.raises(WeightsError, match="YOLOX-tiny"):
        load_start(YOLOX("tiny", 1), path)


def test_a_trunk_of_rate_0_stays_as_it_is(pictures, monkeypatch):
    seen, update = [], Run.update

    def noted(self):
        update(self)
        seen.append({name: value.clone() for name, value in self.model.state_dict().items()})

    monkeypatch.setattr(Run, "update", noted)
    train_detector(replace(pictures, trunk_rate=0.0, steps=3))
    moved = {name for name in seen[0] if not torch.equal(seen[0][name], seen[2][name])}
    assert not any(name.startswith("backbone.backbone.") for name in moved)
    assert {"head.stems.0.bn.running_mean", "backbone.lateral_conv0.bn.running_var"} <= moved


def test_threads_are_what_was_asked_for(pictures, monkeypatch):
    asked = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    train_detector(replace(pictures, steps=1, threads=2))
    train_detector(replace(pictures, steps=2, threads=0, output_dir=pictures.output_dir + "2"))
    assert asked == [2]


@needs_teacher
def test_a_step_of_no_length_exports_the_teacher(pictures):
    pytest.importorskip("onnx")
    config = replace(pictures, init=str(TEACHER), steps=1, learning_rate=1e-12, freeze_norms=True)
    train_detector(config)
    ours = load_yolox(load_tensors(Path(config.output_dir) / "detector.safetensors"))
    teacher = load_yolox(folded_state_from_onnx(TEACHER))
    images = torch.rand(1, 3, 96, 96) * 255
    with torch.no_grad():
        got, expected = ours.raw(images), teacher.raw(images)[..., :6]
    torch.testing.assert_close(got, expected, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("size", "huge"),
        ("steps", 0),
        ("learning_rate", 0.0),
        ("sides", (100,)),
        ("sides", ()),
        ("precision", "half"),
        ("cache", "disk"),
        ("accumulate", 0),
        ("milestones", (3,)),
    ],
)
def test_bad_settings_are_refused_by_name(pictures, field, value):
    with pytest.raises(ConfigError, match=field):
        replace(pictures, **{field: value})


def test_a_folder_without_the_images_is_refused(pictures, tmp_path):
    with pytest.raises(InputError, match="found none"):
        train_detector(replace(pictures, images_dir=str(tmp_path / "elsewhere")))
    pytest.importorskip("onnx", reason="A DETECTOR'S ONNX FILE NOT CHECKED: no onnx")
    (tmp_path / "text.onnx").write_text("hello")
    with pytest.raises(WeightsError, match="expected an ONNX file"):
        train_detector(replace(pictures, init=str(tmp_path / "text.onnx")))
