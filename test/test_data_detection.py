# SPDX-License-Identifier: Apache-2.0
import json
import logging

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alphapose_ros.base.errors import ConfigError, InputError
from alphapose_ros.data.box_augment import BoxAugmentConfig, BoxImage, compose, mirror_boxes
from alphapose_ros.data.coco import read_image
from alphapose_ros.data.detection import read_coco_boxes, readable

NONE = np.zeros((0, 4), np.float32)


def write(tmp_path, annotations, images=("a.png",)):
    content = {
        "images": [
            {"id": i, "file_name": name, "width": 40, "height": 30}
            for i, name in enumerate(images)
        ],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "dog"}],
    }
    path = tmp_path / "boxes.json"
    path.write_text(json.dumps(content))
    return path


def picture(path):
    cv2.imwrite(str(path), np.full((30, 40, 3), [255, 0, 0], np.uint8))  # blue for OpenCV


def test_crowds_other_classes_and_empty_boxes_are_kept_apart(tmp_path):
    picture(tmp_path / "a.png")
    rows = [
        {"image_id": 0, "category_id": 1, "bbox": [5, 5, 10, 50], "iscrowd": 0},
        {"image_id": 0, "category_id": 1, "bbox": [0, 0, 8, 9], "iscrowd": 1},
        {"image_id": 0, "category_id": 2, "bbox": [0, 0, 9, 9], "iscrowd": 0},
        {"image_id": 0, "category_id": 1, "bbox": [3, 3, 0, 9]},
    ]
    dataset = read_coco_boxes(write(tmp_path, rows), tmp_path)
    (sample,) = dataset.samples
    np.testing.assert_allclose(sample.boxes, [[5, 5, 15, 30]])  # clipped to the image
    np.testing.assert_allclose(sample.ignore, [[0, 0, 8, 9]])
    assert (read_image(sample.path)[0, 0] == [0, 0, 255]).all()


def test_missing_and_broken_images_are_counted_and_reported(tmp_path, caplog):
    picture(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"not an image")
    path = write(tmp_path, [], images=("a.png", "b.png", "c.png"))
    with caplog.at_level(logging.WARNING):
        dataset = read_coco_boxes(path, tmp_path)
        good, broken = readable(dataset.samples)
    assert [p.name for p in dataset.missing] == ["c.png"]
    assert [s.path.name for s in good] == ["a.png"]
    assert [p.name for p in broken] == ["b.png"]
    assert "1 of 3 images are missing" in caplog.text
    assert "1 broken" in caplog.text


def test_other_files_are_refused_by_name(tmp_path):
    for text in ("{", "[]", "{}", '{"images": [], "annotations": [], "categories": []}'):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(InputError, match=r"x\.json"):
            read_coco_boxes(tmp_path / "x.json", tmp_path)
    with pytest.raises(InputError, match=r"y\.json"):
        read_coco_boxes(tmp_path / "y.json", tmp_path)


def marked(boxes, size_hw=(80, 120)):
    """People are white on black, so that the picture itself tells where they are."""
    image = np.zeros((*size_hw, 3), np.uint8)
    for x1, y1, x2, y2 in boxes:
        image[y1:y2, x1:x2] = 255
    return BoxImage(image, np.array(boxes, np.float32).reshape(-1, 4), NONE)


@given(st.integers(0, 10_000))
def test_boxes_move_with_the_pixels(seed):
    source = marked([[20, 10, 50, 60], [70, 30, 110, 75]])
    config = BoxAugmentConfig(mosaic=0.5, rescale=0.8, colour=0, min_visible=0.9, min_side_px=6)
    made = compose(lambda: source, (96, 128), config, np.random.default_rng(seed))
    assert made.image.shape == (96, 128, 3)
    everyone = np.concatenate([made.boxes, made.ignore])
    assert (everyone >= 0).all()
    assert (everyone <= [128, 96, 128, 96]).all()
    seen = np.zeros((96, 128), bool)
    for x1, y1, x2, y2 in everyone:
        x1, y1, x2, y2 = (round(float(v)) for v in (x1, y1, x2, y2))
        inner = made.image[y1 + 2 : y2 - 2, x1 + 2 : x2 - 2]
        assert (inner > 200).mean() > 0.95 if inner.size else True
        seen[max(0, y1 - 2) : y2 + 2, max(0, x1 - 2) : x2 + 2] = True
    assert not (made.image[..., 0] > 200)[~seen].any()  # no person without a box


def test_people_cut_to_a_remnant_are_ignored():
    source = marked([[0, 0, 120, 80]])
    config = BoxAugmentConfig(mosaic=0, rescale=1, scale_low=4, scale_high=4, flip=0, colour=0)
    made = compose(lambda: source, (64, 96), config, np.random.default_rng(0))
    assert len(made.boxes) == 0  # a sixteenth of the person is left
    np.testing.assert_allclose(made.ignore, [[0, 0, 96, 64]])


def test_the_same_generator_gives_the_same_sample():
    source = marked([[20, 10, 50, 60]])
    first, second = (
        compose(lambda: source, (64, 64), BoxAugmentConfig(), np.random.default_rng(5))
        for _ in range(2)
    )
    assert (first.image == second.image).all()
    assert (first.boxes == second.boxes).all()


def test_mirroring_twice_is_nothing():
    boxes = np.array([[1, 2, 30, 40]], np.float32)
    np.testing.assert_allclose(mirror_boxes(boxes, 100), [[70, 2, 99, 40]])
    np.testing.assert_allclose(mirror_boxes(mirror_boxes(boxes, 100), 100), boxes)


def test_bad_settings_are_refused():
    with pytest.raises(ConfigError, match="mosaic"):
        BoxAugmentConfig(mosaic=2)
    with pytest.raises(ConfigError, match="scale_low"):
        BoxAugmentConfig(scale_low=2, scale_high=1)
