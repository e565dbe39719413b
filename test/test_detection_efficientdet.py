# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from alphapose_ros.base.errors import MissingDependencyError, WeightsError
from alphapose_ros.detection.config import DetectorConfig
from alphapose_ros.detection.efficientdet import (
    MEAN,
    STD,
    EfficientDetDetector,
    EfficientDetNetwork,
    build_efficientdet,
    decode_boxes,
    prepared,
)
from alphapose_ros.imaging import ImageBatch

pytestmark = pytest.mark.usefixtures("one_thread")

CONFIG = DetectorConfig(
    name="efficientdet_d0", score_threshold=0.5, nms_iou=0.5, max_people=1000, min_box_px=0
)


@pytest.fixture(scope="module")
def effdet():
    pytest.importorskip(
        "torchvision", reason="PARITY WITH EFFDET NOT CHECKED: torchvision is not installed"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about the way that effdet compiles a function
        return pytest.importorskip(
            "effdet", reason="PARITY WITH EFFDET NOT CHECKED: it is not installed"
        )


class Levels(nn.Module):
    """Two levels (a 2x2 and a 1x1 map) with two anchors each; logits count up, offsets are 0."""

    def forward(self, images):
        count = len(images)
        logits = [
            torch.arange(24.0).view(1, 6, 2, 2).expand(count, 6, 2, 2)
            - 12,  # 2 anchors, 3 classes
            torch.tensor([5.0, 0, 0, -5, 0, 0]).view(1, 6, 1, 1).expand(count, 6, 1, 1),
        ]
        return logits, [torch.zeros(count, 8, 2, 2), torch.zeros(count, 8, 1, 1)]


def stand_in(anchors=None) -> EfficientDetNetwork:
    corners = torch.arange(10.0)[:, None] * torch.ones(4)
    sizes = torch.tensor([0.0, 0, 20, 10])  # y1, x1, y2, x2
    return EfficientDetNetwork(Levels(), corners + sizes if anchors is None else anchors, 32)


def test_anchors_go_cell_by_cell_and_only_people_count():
    boxes, scores = stand_in()(torch.zeros(3, 3, 32, 32))
    # Channel a * 3 + class, cells row by row: a person's logits are channels 0 and 3.
    logits = [0, 12, 1, 13, 2, 14, 3, 15]
    expected = torch.tensor([*(value - 12.0 for value in logits), 5, -5]).sigmoid()
    torch.testing.assert_close(scores, expected.expand(3, 10))
    k = torch.arange(10.0)
    torch.testing.assert_close(boxes[1], torch.stack([k, k, k + 10, k + 20], 1))


def test_offsets_move_and_stretch_the_anchor():
    anchor = torch.tensor([[10.0, 20, 30, 60]])  # 20 high, 40 wide, centre (40, 20)
    codes = torch.tensor([[[0.5, -0.25, 0.0, 0.6931472]]])  # 10 down, 10 left, twice as wide
    box = decode_boxes(codes, anchor)[0, 0]
    torch.testing.assert_close(box, torch.tensor([30.0 - 40, 30 - 10, 30 + 40, 30 + 10]))


@given(st.integers(2, 60), st.integers(2, 60))
def test_boxes_come_back_in_image_pixels_clipped_best_first(height, width):
    scale = 32 / max(height, width)
    detector = EfficientDetDetector(stand_in(), replace(CONFIG, score_threshold=0.9, nms_iou=0.99))
    found = detector(ImageBatch.upload([np.zeros((height, width, 3), np.uint8)]))[0]
    assert (np.diff(found.scores) <= 0).all()
    assert (found.scores >= 0.9).all()
    limits = [width, height, width, height]
    best = np.clip(np.array([8, 8, 18, 28]) / scale, 0, limits)  # logit 5, the ninth anchor
    if (best[2:] > best[:2]).all():
        np.testing.assert_allclose(found.boxes[0], best, rtol=1e-5)
    assert (found.boxes >= 0).all()
    assert (found.boxes <= limits).all()


def test_no_image_nobody_and_other_thresholds():
    detector = EfficientDetDetector(stand_in(), CONFIG)
    assert detector(ImageBatch.upload([])) == []
    batch = ImageBatch.upload([np.zeros((32, 32, 3), np.uint8)])
    many = len(detector(batch)[0])
    detector.reconfigure(replace(CONFIG, max_people=1))
    assert len(detector(batch)[0]) == 1 < many
    detector.reconfigure(replace(CONFIG, score_threshold=0.999))
    assert len(detector(batch)[0]) == 0


def test_out_of_memory_halves_the_cameras_at_once():
    calls = []

    class Small(EfficientDetNetwork):
        def forward(self, images):
            calls.append(len(images))
            if len(images) > 2:
                raise torch.cuda.OutOfMemoryError("full")
            return super().forward(images)

    network = stand_in()
    detector = EfficientDetDetector(Small(network.levels, network.anchors, 32), CONFIG)
    batch = ImageBatch.upload([np.zeros((32, 16 * n, 3), np.uint8) for n in (1, 2, 3, 4)])
    expected = EfficientDetDetector(network, CONFIG)(batch)
    for turn in ([4, 2, 2], [2, 2]):
        calls.clear()
        for found, people in zip(detector(batch), expected, strict=True):
            np.testing.assert_array_equal(found.boxes, people.boxes)
        assert calls == turn


def test_the_input_is_normalised_and_the_rest_is_the_mean_colour():
    image = torch.full((3, 10, 40), 255.0)
    pixels, scale = prepared(image, 20)
    assert (pixels.shape, scale) == ((3, 20, 20), 0.5)
    white = (1 - torch.tensor(MEAN)) / torch.tensor(STD)
    torch.testing.assert_close(pixels[:, :5], white[:, None, None].expand(3, 5, 20))
    assert pixels[:, 5:].abs().max() < 0.01


@pytest.mark.parametrize("size_hw", [(300, 200), (40, 64), (1, 700)])
def test_the_input_equals_effdets_within_a_grey_level(effdet, size_hw, rng):
    from effdet.data.transforms import ResizePad, resolve_fill_color
    from PIL import Image

    noise = rng.integers(0, 256, (*size_hw, 3), dtype=np.uint8)
    resize = ResizePad(96, fill_color=resolve_fill_color("mean"))
    if size_hw[0] == 1:  # Pillow makes no image of no height: one row is kept here
        noise, resize = np.repeat(noise, 8, 0), ResizePad(96, fill_color=(124, 116, 104))
    theirs, about = resize(Image.fromarray(noise), {})
    ours, scale = prepared(torch.from_numpy(noise).permute(2, 0, 1).float(), 96)
    assert about["img_scale"] == pytest.approx(1 / scale)
    grey = ours.permute(1, 2, 0).numpy() * (np.array(STD) * 255) + np.array(MEAN) * 255
    np.testing.assert_allclose(grey, np.asarray(theirs), atol=1.01)


@pytest.fixture(scope="module")
def photograph():
    return np.ascontiguousarray(pytest.importorskip("skimage.data").astronaut()[:384])


@pytest.fixture(scope="module")
def talkative(effdet, photograph):
    """A random D0 that claims people in many places, other things nowhere."""
    torch.manual_seed(0)
    network = build_efficientdet(CONFIG, None)
    image = prepared(torch.from_numpy(photograph).permute(2, 0, 1).float(), 512)[0][None]
    heads = network.levels.class_net.predict.conv_pw, network.levels.box_net.predict.conv_pw
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.momentum = 1.0  # the moments of one image, so that no map dies or explodes
        network.train()
        network.levels(image)
        network.eval()
        for head, maps, spread in zip(heads, network.levels(image), (1.5, 0.2), strict=True):
            head.weight *= spread / torch.cat([level.flatten() for level in maps]).std()
        heads[0].bias.fill_(-20)
        heads[0].bias[::90] = -6
    return network


def test_a_photograph_is_answered_as_by_effdets_own_bench(effdet, talkative, photograph):
    from effdet.data.transforms import ResizePad, resolve_fill_color
    from PIL import Image

    # At the network's own size: how Pillow rounds a resized pixel is not the question here.
    pixels, about = ResizePad(512, fill_color=resolve_fill_color("mean"))(
        Image.fromarray(photograph), {}
    )
    mean, std = np.array(MEAN, np.float32) * 255, np.array(STD, np.float32) * 255
    images = torch.from_numpy((np.asarray(pixels, np.float32) - mean) / std).permute(2, 0, 1)
    bench = effdet.DetBenchPredict(talkative.levels).eval()
    bench.max_det_per_image = 1000
    info = {
        "img_scale": torch.tensor([about["img_scale"]]),
        "img_size": torch.tensor([[512.0, 384.0]]),
    }
    with torch.inference_mode():
        theirs = bench(images[None], info)[0].numpy()
    theirs = theirs[(theirs[:, 5] == 1) & (theirs[:, 4] >= CONFIG.score_threshold)]
    theirs = theirs[(theirs[:, 2:4] > theirs[:, :2]).all(1)]
    found = EfficientDetDetector(talkative, CONFIG)(ImageBatch.upload([photograph]))[0]
    assert 10 < len(found) < 400  # and fewer than a thousand candidates
    np.testing.assert_allclose(found.scores, theirs[:, 4], atol=1e-5)
    np.testing.assert_allclose(found.boxes, theirs[:, :4], atol=0.01)


def test_an_image_is_answered_the_same_in_any_company(talkative, photograph):
    detector = EfficientDetDetector(talkative, CONFIG)
    images = [photograph[:200, :300].copy(), photograph[50:, 100:240].copy()]
    together = detector(ImageBatch.upload(images))
    assert sum(len(found) for found in together) > 5
    for image, found in zip(images, together, strict=True):
        alone = detector(ImageBatch.upload([image]))[0]
        np.testing.assert_allclose(found.scores, alone.scores, atol=1e-4)
        np.testing.assert_allclose(found.boxes, alone.boxes, atol=0.05)


def test_weights_load_with_any_number_of_classes_and_others_are_refused(effdet):
    own = effdet.create_model("tf_efficientdet_d0", pretrained_backbone=False, num_classes=1)
    state = own.state_dict()
    network = build_efficientdet(CONFIG, state)
    name = "class_net.predict.conv_pw.weight"
    torch.testing.assert_close(network.levels.state_dict()[name], state[name])
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 512, 512))[1].shape == (1, 49104)
    with pytest.raises(WeightsError, match="expected the tensors of efficientdet_d1"):
        build_efficientdet(replace(CONFIG, name="efficientdet_d1"), state)


@pytest.mark.parametrize("size", range(8))
def test_every_size_is_known_to_effdet(effdet, size):
    from effdet.config import get_efficientdet_config

    config = get_efficientdet_config(f"tf_efficientdet_d{size}")
    assert config.num_classes == 90
    assert config.image_size[0] == config.image_size[1]
    assert tuple(config.get("mean", MEAN)) == MEAN
    assert config.num_scales * len(config.aspect_ratios) == 9


def test_without_effdet_the_error_says_what_to_install(monkeypatch):
    pytest.importorskip("torchvision")
    monkeypatch.setitem(sys.modules, "effdet", None)
    with pytest.raises(MissingDependencyError, match=r"efficientdet_d0 needs .*'effdet'.*pip"):
        build_efficientdet(CONFIG, None)
