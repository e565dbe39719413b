# SPDX-License-Identifier: Apache-2.0
import contextlib
import io
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.records import Detections
from alphapose_ros.data.coco import read_image
from alphapose_ros.data.detection import BoxSample, read_coco_boxes
from alphapose_ros.detection.config import DetectorConfig
from alphapose_ros.detection.factory import create_detector
from alphapose_ros.detection.replay import ReplayDetector
from alphapose_ros.eval.detection import (
    FoundPeople,
    evaluate_detector,
    evaluation_config,
    format_measures,
    match_people,
    measure_detections,
    recall_at_precision,
    share_inside,
)
from alphapose_ros.imaging import ImageBatch

BUNDLED = Path(__file__).parents[1] / "alphapose_ros" / "bundled" / "detector_nano.safetensors"
COCO = Path(__file__).parents[2] / "shared" / "data" / "coco_person"
NONE = np.zeros((0, 4), np.float32)


def people(boxes, ignore=NONE):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    return BoxSample(
        1, Path("x.png"), (400, 400), boxes, np.array(ignore, np.float32).reshape(-1, 4)
    )


def image(boxes, found, scores, ignore=NONE):
    found = np.array(found, np.float32).reshape(-1, 4)
    return FoundPeople(people(boxes, ignore), Detections(found, np.array(scores, np.float32)))


def random_images(count, seed):
    rng = np.random.default_rng(seed)
    images = []
    for _ in range(count):
        corner = rng.uniform(0, 250, (rng.integers(0, 6), 2))
        boxes = np.concatenate([corner, corner + rng.uniform(10, 150, corner.shape)], 1)
        crowd = rng.random(len(boxes)) < 0.2
        found = np.concatenate([boxes, boxes[:2], rng.uniform(0, 120, (3, 4))])
        found += rng.normal(0, 8, found.shape)
        found = np.concatenate([found[:, :2], np.maximum(found[:, 2:], found[:, :2] + 3)], 1)
        scores = np.round(rng.random(len(found)), 2)  # with ties
        images.append(image(boxes[~crowd], found, scores, boxes[crowd]))
    return images


def reference(images, **settings):
    """AP per threshold by pycocotools, of the same images."""
    coco_api = pytest.importorskip("pycocotools.coco")
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    truth = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "person"}]}
    rows = []
    for number, item in enumerate(images, 1):
        truth["images"].append({"id": number, "width": 400, "height": 400})
        for boxes, crowd in ((item.truth.boxes, 0), (item.truth.ignore, 1)):
            for x1, y1, x2, y2 in boxes.tolist():
                box = [x1, y1, x2 - x1, y2 - y1]
                truth["annotations"].append(
                    {
                        "id": len(truth["annotations"]) + 1, "image_id": number, "bbox": box,
                        "category_id": 1, "area": box[2] * box[3], "iscrowd": crowd,
                    }
                )  # fmt: skip
        for (x1, y1, x2, y2), score in zip(
            item.found.boxes.tolist(), item.found.scores.tolist(), strict=True
        ):
            rows.append(
                {
                    "image_id": number, "category_id": 1, "score": score,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                }
            )  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()):
        coco = coco_api.COCO()
        coco.dataset = truth
        coco.createIndex()
        run = cocoeval.COCOeval(coco, coco.loadRes(rows), "bbox")
        run.params.maxDets = [1, 10, 1000]
        run.evaluate()
        run.accumulate()
    precision = run.eval["precision"][:, :, 0, 0, -1]  # threshold, recall; all areas
    return precision.mean(1)


@pytest.mark.parametrize("seed", range(4))
def test_average_precision_equals_pycocotools(seed):
    images = random_images(25, seed)
    got = measure_detections(images, repeats=2)
    expected = reference(images)
    assert got["ap"] == pytest.approx(expected.mean(), abs=1e-6)
    assert got["ap50"] == pytest.approx(expected[0], abs=1e-6)
    assert got["ap75"] == pytest.approx(expected[5], abs=1e-6)


@pytest.mark.skipif(not COCO.is_dir(), reason=f"NO DATA: {COCO} is absent")
@pytest.mark.skipif(not BUNDLED.is_file(), reason=f"NO WEIGHTS: {BUNDLED} is absent")
def test_average_precision_equals_pycocotools_on_real_people():
    detector = create_detector(evaluation_config(DetectorConfig()))
    dataset = read_coco_boxes(COCO / "val.json", COCO / "images")
    # Images with crowds first: they are the difficult part of the rules.
    chosen = sorted(dataset.samples, key=lambda sample: len(sample.ignore) == 0)[:45]
    assert sum(len(sample.ignore) for sample in chosen) > 10
    images = [
        FoundPeople(sample, detector(ImageBatch.upload([read_image(sample.path)]))[0])
        for sample in chosen
    ]
    got, expected = measure_detections(images, repeats=2), reference(images)
    assert got["ap"] == pytest.approx(expected.mean(), abs=1e-6)
    assert got["ap50"] == pytest.approx(expected[0], abs=1e-6)
    assert got["ap50"] > 0.4


def test_a_detection_in_a_crowd_counts_neither_way():
    person, in_crowd = [10, 10, 60, 120], [205, 20, 240, 90]
    found = image([person], [person, in_crowd], [0.5, 0.9], ignore=[[200, 0, 400, 200]])
    measures = measure_detections([found], repeats=2)
    assert measures["ap"] == pytest.approx(1)
    assert measures["recall"] == measures["precision"] == 1
    outside = image([person], [person, in_crowd], [0.5, 0.9])
    assert measure_detections([outside], repeats=2)["ap50"] == pytest.approx(0.5)


def test_short_people_and_short_strays_do_not_count_among_the_tall():
    tall, short, stray = [0, 0, 60, 200], [100, 0, 130, 60], [300, 300, 320, 340]
    found = image([tall, short], [tall, short, stray], [0.3, 0.5, 0.9])
    measures = measure_detections([found], repeats=2)
    assert measures["tall_people"] == 1
    assert measures["tall_recall"] == measures["tall_precision"] == 1
    assert measures["recall"] == 0  # the stray comes first and spoils every precision
    tall_stray = image([tall], [tall, [200, 100, 300, 300]], [0.3, 0.9])
    assert measure_detections([tall_stray], repeats=2)["tall_recall"] == 0


def test_recall_of_the_tall_is_unknown_where_nobody_is_tall():
    short, tall = [100, 0, 130, 60], [0, 0, 60, 200]
    nobody = measure_detections([image([short], [short], [0.9])] * 2, repeats=20)
    for name in ("tall_recall", "tall_precision", "tall_threshold"):
        assert np.isnan(nobody[name]), name
    assert np.isnan(nobody["tall_recall_95"]).all()
    text = format_measures(nobody)
    assert "nan" not in text
    assert ["tall_recall", "unknown"] in [line.split() for line in text.splitlines()]
    # One of ten images has somebody tall, who is found: draws without it say nothing.
    images = [image([short], [short], [0.9])] * 9 + [image([tall], [tall], [0.9])]
    one = measure_detections(images, repeats=200)
    assert (one["tall_recall"], one["tall_recall_95"]) == (1, (1, 1))


@given(st.lists(st.tuples(st.integers(1, 9), st.booleans()), max_size=12), st.integers(1, 9))
def test_recall_at_precision_equals_trying_every_threshold(rows, extra):
    boxes = [[i * 20, 0, i * 20 + 10, 20] for i in range(len(rows))]
    truth = [box for box, (_, real) in zip(boxes, rows, strict=True) if real]
    missed = [[0, 100 + i * 20, 10, 110 + i * 20] for i in range(extra)]
    scores = [score / 10 + i * 1e-4 for i, (score, _) in enumerate(rows)]  # no ties
    found = image(truth + missed, boxes, scores)
    best = 0.0
    for threshold in scores:
        kept = [real for s, (_, real) in zip(scores, rows, strict=True) if s >= threshold]
        if sum(kept) / len(kept) >= 0.8:
            best = max(best, sum(kept) / (len(truth) + extra))
    assert recall_at_precision([match_people(found)], 0.8)[0] == pytest.approx(best)


def test_share_inside_by_hand():
    boxes = np.array([[0, 0, 10, 10], [5, 5, 5, 9]], np.float32)
    regions = np.array([[5, 0, 100, 10], [50, 50, 60, 60]], np.float32)
    np.testing.assert_allclose(share_inside(boxes, regions), [[0.5, 0], [0, 0]])
    assert share_inside(boxes[:0], regions).shape == (0, 2)


@pytest.fixture
def annotated(tmp_path):
    rows, images = [], []
    for number in range(6):
        name = f"{number}.png"
        if number < 4:
            cv2.imwrite(str(tmp_path / name), np.zeros((100, 100, 3), np.uint8))
        images.append({"id": number, "file_name": name, "width": 100, "height": 100})
        rows.append({"image_id": number, "category_id": 1, "bbox": [number, 10, 30, 50]})
    (tmp_path / "4.png").write_bytes(b"broken")
    content = {"images": images, "annotations": rows, "categories": [{"id": 1, "name": "person"}]}
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    return tmp_path


def found_in(numbers):
    return ReplayDetector(
        {
            n: Detections(np.array([[n, 10, n + 30, 60]], np.float32), np.array([0.9], np.float32))
            for n in numbers
        },
        order=range(4),
    )


def test_a_detector_beside_its_teacher(annotated):
    seen = []
    measures = evaluate_detector(
        found_in([0, 1, 2]), annotated / "boxes.json", annotated,
        teacher=found_in([0, 1]), on_image=lambda: seen.append(1), repeats=20,
    )  # fmt: skip
    assert len(seen) == measures["images"] == 4
    assert measures["skipped"] == 2  # one broken, one missing
    assert measures["recall"] == 0.75
    assert measures["teacher_recall"] == 0.5
    assert measures["ap50_ratio"] == pytest.approx(76 / 51)  # of 101 recalls
    low, high = measures["ap50_95"]
    assert 0 <= low <= measures["ap50"] <= high <= 1
    again = evaluate_detector(found_in([0, 1, 2]), annotated / "boxes.json", annotated, repeats=20)
    assert again["ap50_95"] == (low, high)
    assert "ap50_ratio" in format_measures(measures)


def test_nobody_to_find_is_an_error():
    with pytest.raises(InputError, match="found none"):
        measure_detections([image([], [[0, 0, 9, 9]], [0.5])])


def test_a_detector_that_finds_nobody():
    measures = measure_detections([image([[0, 0, 9, 9]], [], [])], repeats=2)
    assert measures["ap"] == measures["recall"] == 0
