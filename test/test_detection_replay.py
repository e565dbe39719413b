# SPDX-License-Identifier: Apache-2.0
import json

import numpy as np
import pytest

from alphapose_ros.base.errors import ConfigError, InputError
from alphapose_ros.detection.config import DetectorConfig
from alphapose_ros.detection.factory import create_detector
from alphapose_ros.detection.replay import ReplayDetector, read_boxes
from alphapose_ros.imaging import ImageBatch

ROWS = [
    {"image_id": 7, "category_id": 1, "bbox": [10, 5, 20, 30], "score": 0.5},
    {"image_id": 3, "category_id": 1, "bbox": [-5, 0, 20, 90], "score": 0.9},
    {"image_id": 7, "bbox": [0, 0, 4, 4]},
    {"image_id": 7, "category_id": 18, "bbox": [0, 0, 9, 9], "score": 0.9},
]


def batch(count):
    return ImageBatch.upload([np.zeros((50, 60, 3), np.uint8)] * count)


def file(tmp_path, content):
    path = tmp_path / "boxes.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_rows_become_people_in_the_files_order(tmp_path):
    boxes = read_boxes(file(tmp_path, ROWS))
    assert list(boxes) == [7, 3]
    np.testing.assert_allclose(boxes[7].boxes, [[10, 5, 30, 35], [0, 0, 4, 4]])
    np.testing.assert_allclose(boxes[7].scores, [0.5, 1])


def test_images_are_answered_in_the_given_order_over_several_calls(tmp_path):
    boxes = read_boxes(file(tmp_path, ROWS))
    detector = ReplayDetector(boxes, order=[3, 4, 7])
    first, second = detector(batch(2))
    np.testing.assert_allclose(first.boxes, [[0, 0, 15, 50]])  # clipped to the image
    assert len(second) == 0
    assert detector(batch(0)) == []
    assert len(detector(batch(1))[0]) == 2
    with pytest.raises(InputError, match="more images"):
        detector(batch(1))


@pytest.mark.parametrize("first", [0, 1])
def test_from_the_configuration_images_without_a_row_have_nobody(tmp_path, first):
    rows = [row | {"image_id": row["image_id"] + first} for row in ROWS]
    rows.append({"image_id": first, "bbox": [0, 0, 4, 4]})
    path = file(tmp_path, rows)
    detector = create_detector(DetectorConfig(name="replay", weights=str(path)))
    assert [len(found) for found in detector(batch(10))] == [1, 0, 0, 1, 0, 0, 0, 2, 0, 0]


def test_without_rows_nobody_is_anywhere(tmp_path):
    detector = ReplayDetector(read_boxes(file(tmp_path, [])))
    assert [len(found) for found in detector(batch(3))] == [0, 0, 0]


@pytest.mark.parametrize("image", ["a.png", -1, 1.5])
def test_images_that_are_not_numbered_have_no_order(tmp_path, image):
    path = file(tmp_path, [{"image_id": image, "bbox": [0, 0, 4, 4]}])
    with pytest.raises(InputError, match=f"numbered from 0 or 1, got {image!r}"):
        create_detector(DetectorConfig(name="replay", weights=str(path)))


def test_replayed_boxes_are_of_every_image():
    with pytest.raises(ConfigError, match=r"detector\.interval_s: expected 0"):
        DetectorConfig(name="replay", weights="boxes.json", interval_s=0.5)


@pytest.mark.parametrize(
    "content",
    [
        "{",
        {"boxes": []},
        [5],
        [{"bbox": [0, 0, 1, 1]}],
        [{"image_id": 1, "bbox": [0, 0, 1]}],
        [{"image_id": 1, "bbox": [0, 0, -1, 5]}],
        '[{"image_id": 1, "bbox": [0, 0, NaN, 5]}]',
        [{"image_id": 1, "bbox": [0, 0, "a", 5]}],
    ],
)
def test_bad_files_are_refused_by_name(tmp_path, content):
    with pytest.raises(InputError, match=r"boxes\.json"):
        read_boxes(file(tmp_path, content))
    with pytest.raises(InputError, match="absent"):
        read_boxes(tmp_path / "absent.json")
