# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from alphapose_ros.base.errors import ConfigError, WeightsError
from alphapose_ros.detection.config import DetectorConfig
from alphapose_ros.detection.dense import input_rectangle
from alphapose_ros.detection.factory import create_detector
from alphapose_ros.detection.yolox import YOLOXDetector
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.models.yolox import YOLOX
from alphapose_ros.weights import save_tensors

BUNDLED = Path(__file__).parents[1] / "alphapose_ros" / "bundled" / "detector_nano.safetensors"
sides = st.integers(8, 2000)


@given(sides, sides)
def test_input_is_the_smallest_rectangle_that_holds_the_fitted_image(height, width):
    limit = (416, 512)
    rectangle = input_rectangle((height, width), limit)
    scale = min(limit[0] / height, limit[1] / width)
    for side, taken, most in zip((height, width), rectangle, limit, strict=True):
        assert taken % 32 == 0
        assert taken <= most
        assert taken >= side * scale - 1e-2
        assert taken - 32 < side * scale or taken == 32
    # The letterbox into the rectangle must not shrink the image further.
    assert min(rectangle[0] / height, rectangle[1] / width) >= scale * (1 - 1e-4)


def test_vga_leaves_out_a_quarter():
    assert input_rectangle((480, 640), (416, 416)) == (320, 416)
    assert input_rectangle((640, 480), (416, 416)) == (416, 320)
    assert input_rectangle((100, 100), (416, 416)) == (416, 416)


class OneBox(nn.Module):
    """Claims a person in a fixed part of its input: a tenth from the left."""

    def __init__(self, content_hw):
        super().__init__()
        self.content_hw = content_hw

    def forward(self, images):
        h, w = self.content_hw
        box = torch.tensor([0.1 * w, 0.2 * h, 0.6 * w, 0.9 * h])
        boxes = box.expand(len(images), 3, 4)
        scores = torch.tensor([0.9, 0.8, 0.01])[None, :, None].expand(len(images), 3, 1)
        return boxes, scores


@settings(max_examples=30, deadline=None)
@given(st.integers(20, 300), st.integers(20, 300))
def test_boxes_come_back_in_image_pixels(height, width):
    scale = min(416 / height, 416 / width)
    detector = YOLOXDetector(OneBox((height * scale, width * scale)), DetectorConfig())
    batch = ImageBatch.upload([np.zeros((height, width, 3), np.uint8)])
    found = detector(batch)[0]
    assert len(found) == 1
    expected = [0.1 * width, 0.2 * height, 0.6 * width, 0.9 * height]
    np.testing.assert_allclose(found.boxes[0], expected, rtol=1e-3)


@pytest.fixture(scope="module")
def talkative():
    """A random network that claims many people."""
    torch.manual_seed(0)
    model = YOLOX("nano", 1).eval()
    for layer in (*model.head.obj_preds, *model.head.cls_preds):
        nn.init.normal_(layer.weight, std=3)
        nn.init.zeros_(layer.bias)
    return YOLOXDetector(model, DetectorConfig(score_threshold=0.1, nms_iou=0.9))


def test_an_image_is_answered_the_same_in_any_company(talkative):
    rng = np.random.default_rng(0)
    sizes = [(60, 80), (200, 50), (60, 80), (97, 131)]
    images = [rng.integers(0, 255, (*size, 3), dtype=np.uint8) for size in sizes]
    together = talkative(ImageBatch.upload(images))
    assert sum(len(found) for found in together) > 0
    for image, found in zip(images, together, strict=True):
        alone = talkative(ImageBatch.upload([image]))[0]
        np.testing.assert_allclose(found.scores, alone.scores, atol=1e-4)
        np.testing.assert_allclose(found.boxes, alone.boxes, atol=0.05)
        assert (found.boxes >= 0).all()
        assert (found.boxes <= [*image.shape[1::-1]] * 2).all()


def test_out_of_memory_halves_the_cameras_at_once_and_each_keeps_its_answer(talkative):
    calls = []

    def small(images):
        calls.append(len(images))
        if len(images) > 1:
            raise torch.cuda.OutOfMemoryError("full")
        return talkative.model(images)

    rng = np.random.default_rng(0)
    sizes = [(60, 80), (200, 50), (60, 80), (60, 80)]
    images = [rng.integers(0, 255, (*size, 3), dtype=np.uint8) for size in sizes]
    detector = YOLOXDetector(small, talkative.config)
    for turn in ([3, 1, 1, 1, 1], [1, 1, 1, 1]):  # one call each from the second turn on
        calls.clear()
        found = detector(ImageBatch.upload(images))
        assert calls == turn
        for image, people in zip(images, found, strict=True):
            alone = talkative(ImageBatch.upload([image]))[0]
            np.testing.assert_allclose(people.scores, alone.scores, atol=1e-4)
            np.testing.assert_allclose(people.boxes, alone.boxes, atol=0.05)


def test_no_image_and_nobody(talkative):
    assert talkative(ImageBatch.upload([])) == []
    quiet = YOLOXDetector(YOLOX("nano", 1).eval(), DetectorConfig(score_threshold=0.9))
    found = quiet(ImageBatch.upload([np.zeros((50, 50, 3), np.uint8)]))
    assert [len(f) for f in found] == [0]


def test_factory_reads_plain_and_folded_files(tmp_path, talkative):
    path = tmp_path / "w.safetensors"
    save_tensors(talkative.model.state_dict(), path)
    detector = create_detector(DetectorConfig(weights=str(path), score_threshold=0.1, nms_iou=0.9))
    batch = ImageBatch.upload([np.full((64, 64, 3), 90, np.uint8)])
    np.testing.assert_allclose(
        detector(batch)[0].scores, talkative(batch)[0].scores, rtol=1e-3, atol=1e-4
    )


def test_missing_files_are_named(tmp_path):
    with pytest.raises(WeightsError, match=r"nowhere\.safetensors"):
        create_detector(DetectorConfig(weights=str(tmp_path / "nowhere.safetensors")))
    with pytest.raises(ConfigError, match=r"detector\.weights"):
        create_detector(DetectorConfig(name="onnx"))
    pytest.importorskip("onnxruntime", reason="ONNX DETECTOR NOT CHECKED: no onnxruntime")
    with pytest.raises(WeightsError, match=r"nowhere\.onnx"):
        create_detector(DetectorConfig(name="onnx", weights=str(tmp_path / "nowhere.onnx")))


@pytest.mark.skipif(not BUNDLED.is_file(), reason=f"NO WEIGHTS: {BUNDLED} is absent")
def test_the_astronaut_is_one_person():
    data = pytest.importorskip("skimage.data")
    image = data.astronaut()
    detector = create_detector(DetectorConfig())
    upright, mirrored = detector(ImageBatch.upload([image, image[:, ::-1].copy()]))
    assert len(upright) == 1
    x1, y1, x2, y2 = upright.boxes[0]
    assert x1 < 80
    assert y1 < 60
    assert 340 < x2 < 460
    assert y2 > 460
    assert upright.scores[0] > 0.7
    assert len(mirrored) == 1
    np.testing.assert_allclose(mirrored.boxes[0, [0, 2]], [512 - x2, 512 - x1], atol=25)


@pytest.mark.skipif(not BUNDLED.is_file(), reason=f"NO WEIGHTS: {BUNDLED} is absent")
@pytest.mark.parametrize("name", ["coffee", "chelsea", "page", "grass", "rocket"])
def test_nobody_where_nobody_is(name):
    data = pytest.importorskip("skimage.data")
    try:
        image = getattr(data, name)()
    except Exception as error:  # noqa: BLE001 - some pictures are fetched when asked for
        pytest.skip(f"picture {name!r} is not at hand: {error}")
    image = (
        np.ascontiguousarray(np.broadcast_to(image[..., None], (*image.shape[:2], 3)))
        if (image.ndim == 2)
        else image
    )
    found = create_detector(DetectorConfig(score_threshold=0.3))(ImageBatch.upload([image]))
    assert len(found[0]) == 0


def test_people_are_coco_s_first_class_and_thresholds_change_live():
    def network(images):
        boxes = torch.tensor([[10.0, 10, 60, 90], [100, 10, 160, 90]]).expand(len(images), 2, 4)
        scores = torch.zeros(len(images), 2, 80)
        scores[:, 0, 0], scores[:, 1, 79] = 0.7, 0.95  # a person, a toothbrush
        return boxes, scores

    detector = YOLOXDetector(network, DetectorConfig(score_threshold=0.5))
    batch = ImageBatch.upload([np.zeros((416, 416, 3), np.uint8)])
    np.testing.assert_allclose(detector(batch)[0].boxes, [[10, 10, 60, 90]], atol=1e-3)
    detector.reconfigure(DetectorConfig(score_threshold=0.8))
    assert len(detector(batch)[0]) == 0
