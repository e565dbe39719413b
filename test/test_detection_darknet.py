# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from darknet_minis import MINIS
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from alphapose_ros.base.boxes import box_iou
from alphapose_ros.detection.config import DetectorConfig
from alphapose_ros.detection.darknet import DarknetDetector
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.imaging.atlas import ImageAtlas
from alphapose_ros.models.darknet_files import load_darknet

pytestmark = pytest.mark.usefixtures("one_thread")

CONFIG = DetectorConfig(
    input_height=96, input_width=96, score_threshold=0.05, nms_iou=0.6, min_box_px=0, max_people=99
)


@pytest.fixture
def network(tmp_path):
    """Small, with random weights; it sees people in many places."""
    (tmp_path / "mini.cfg").write_text(MINIS["spp"].cfg)
    (tmp_path / "mini.weights").write_bytes(MINIS["spp"].weights())
    return load_darknet(tmp_path / "mini.weights")


class Recorder(nn.Module):
    """Claims a person, and half of one, in a fixed part of its input, and keeps the input."""

    def __init__(self, content_hw):
        super().__init__()
        self.content_hw = content_hw

    def forward(self, images):
        self.seen = images
        h, w = self.content_hw
        box = torch.tensor([[0.1 * w, 0.2 * h, 0.6 * w, 0.9 * h], [0, 0, 0.5 * w, 0.3 * h]])
        scores = torch.tensor([[0.9, 0.1], [0.5, 0.9]])  # person, another class
        return box.expand(len(images), 2, 4), scores.expand(len(images), 2, 2)


@settings(max_examples=30)
@given(st.integers(20, 300), st.integers(20, 300))
def test_boxes_come_back_in_image_pixels_with_the_score_of_a_person(height, width):
    scale = min(96 / height, 96 / width)
    detector = DarknetDetector(Recorder((height * scale, width * scale)), CONFIG)
    found = detector(ImageBatch.upload([np.zeros((height, width, 3), np.uint8)]))[0]
    expected = [
        [0.1 * width, 0.2 * height, 0.6 * width, 0.9 * height],
        [0, 0, 0.5 * width, 0.3 * height],
    ]
    np.testing.assert_allclose(found.boxes, expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(found.scores, [0.9, 0.5])


def test_the_network_sees_red_first_from_0_to_1_and_grey_beside_the_image():
    image = np.zeros((48, 96, 3), np.uint8)
    image[:] = 255, 51, 0
    recorder = Recorder((48, 96))
    DarknetDetector(recorder, replace(CONFIG, input_height=64, input_width=64))(
        ImageBatch.upload([image])
    )
    assert recorder.seen.shape == (1, 3, 32, 64)  # the smallest rectangle of stride 32
    inside = recorder.seen[0, :, :32].flatten(1)
    torch.testing.assert_close(inside, torch.tensor([[1.0], [0.2], [0.0]]).expand_as(inside))
    recorder = Recorder((64, 43))
    DarknetDetector(recorder, replace(CONFIG, input_height=64, input_width=64))(
        ImageBatch.upload([np.zeros((96, 64, 3), np.uint8)])
    )
    assert (recorder.seen[..., 43:] == 0.5).all()
    assert (recorder.seen[..., :43] == 0).all()


def test_a_photograph_is_answered_as_by_the_slow_obvious_way(network):
    image = pytest.importorskip("skimage.data").astronaut()[:400]
    config = replace(CONFIG, score_threshold=0.15)
    # Random weights take offence at pixels rounded to whole levels, as OpenCV's way has them.
    found = DarknetDetector(network, config)(ImageAtlas.of([image], "cpu"))[0]
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    small = functional.interpolate(pixels, (75, 96), mode="bilinear", align_corners=False)
    padded = functional.pad(small, (0, 0, 0, 21), value=127.5)
    with torch.inference_mode():
        boxes, scores = (x[0].numpy() for x in network(padded / 255))
    boxes = np.clip(boxes * 512 / 96, 0, [512, 400, 512, 400])
    kept: list[int] = []
    for k in np.argsort(-scores[:, 0], kind="stable"):
        flat = (boxes[k, 2:] <= boxes[k, :2]).any()
        if scores[k, 0] < 0.15 or flat:
            continue
        if not kept or box_iou(boxes[[k]], boxes[kept]).max() <= 0.6:
            kept.append(k)
    assert 5 < len(kept) < 99
    np.testing.assert_allclose(found.boxes, boxes[kept], atol=0.05)
    np.testing.assert_allclose(found.scores, scores[kept, 0], atol=1e-5)


def test_an_image_is_answered_the_same_in_any_company(network):
    detector = DarknetDetector(network, CONFIG)
    rng = np.random.default_rng(0)
    sizes = [(60, 80), (200, 50), (60, 80), (97, 131)]
    images = [rng.integers(0, 255, (*size, 3), dtype=np.uint8) for size in sizes]
    together = detector(ImageBatch.upload(images))
    assert all(len(found) > 0 for found in together)
    for image, found in zip(images, together, strict=True):
        alone = detector(ImageBatch.upload([image]))[0]
        np.testing.assert_allclose(found.scores, alone.scores, atol=1e-5)
        np.testing.assert_allclose(found.boxes, alone.boxes, atol=0.01)
        assert (found.boxes >= 0).all()
        assert (found.boxes <= [*image.shape[1::-1]] * 2).all()
        assert (np.diff(found.scores) <= 0).all()


def test_no_image_and_nobody_and_other_thresholds(network):
    detector = DarknetDetector(network, CONFIG)
    assert detector(ImageBatch.upload([])) == []
    batch = ImageBatch.upload([np.full((50, 50, 3), 90, np.uint8)])
    assert len(detector(batch)[0]) > 3
    detector.reconfigure(replace(CONFIG, max_people=3))
    assert len(detector(batch)[0]) == 3
    detector.reconfigure(replace(CONFIG, score_threshold=0.99))
    assert len(detector(batch)[0]) == 0
