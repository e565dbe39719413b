# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from alphapose_ros.base.errors import WeightsError
from alphapose_ros.models.yolox import SIZES, YOLOX, anchor_grid, decode_boxes
from alphapose_ros.models.yolox_weights import fold_norms, is_folded, load_yolox, yolox_size
from alphapose_ros.train.yolox_init import folded_state_from_onnx, unfold_state

TEACHER = Path(__file__).parents[2] / "shared" / "data" / "teachers" / "yolox_nano.onnx"
PUBLISHED_MILLIONS = {"nano": 0.91, "tiny": 5.06, "s": 9.0, "m": 25.3, "l": 54.2, "x": 99.1}

needs_teacher = pytest.mark.skipif(
    not TEACHER.is_file(), reason=f"NO TEACHER: {TEACHER} is absent, parity with it is unchecked"
)


@pytest.fixture(scope="module")
def small() -> YOLOX:
    torch.manual_seed(0)
    model = YOLOX("nano", num_classes=2)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.1)
            nn.init.normal_(module.running_mean, std=0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model.eval()


@pytest.mark.parametrize("size", SIZES)
def test_sizes_have_the_published_number_of_parameters(size):
    with torch.device("meta"):
        model = YOLOX(size, num_classes=80)
    millions = sum(p.numel() for p in model.parameters()) / 1e6
    assert millions == pytest.approx(PUBLISHED_MILLIONS[size], rel=0.01)


def test_names_are_those_of_the_public_checkpoints():
    names = set(YOLOX("nano", 80).state_dict())
    assert {
        "backbone.backbone.stem.conv.conv.weight",
        "backbone.backbone.dark2.0.dconv.conv.weight",
        "backbone.backbone.dark3.1.m.2.conv2.pconv.bn.running_var",
        "backbone.backbone.dark5.1.conv2.conv.weight",
        "backbone.lateral_conv0.conv.weight",
        "backbone.C3_n4.conv3.bn.weight",
        "backbone.bu_conv2.dconv.conv.weight",
        "head.stems.0.conv.weight",
        "head.cls_convs.2.1.pconv.conv.weight",
        "head.obj_preds.1.bias",
    } <= names
    assert "backbone.backbone.dark2.0.conv.weight" in set(YOLOX("s", 1).state_dict())


@needs_teacher
def test_raw_outputs_equal_the_teachers():
    runtime = pytest.importorskip("onnxruntime")
    state = unfold_state(folded_state_from_onnx(TEACHER))
    model = YOLOX("nano", num_classes=80).eval()
    missing, extra = model.load_state_dict(state, strict=False)
    assert extra == []
    assert all(name.endswith("num_batches_tracked") for name in missing)
    rng = np.random.default_rng(0)
    coarse = rng.uniform(0, 255, (1, 3, 26, 26)).astype(np.float32)
    image = np.kron(coarse, np.ones((1, 1, 16, 16), np.float32))
    image += rng.normal(0, 5, image.shape).astype(np.float32)
    expected = runtime.InferenceSession(str(TEACHER)).run(None, {"images": image})[0]
    with torch.no_grad():
        got = model.raw(torch.from_numpy(image))
        got[..., 4:] = got[..., 4:].sigmoid()
        boxes, scores = load_yolox(state)(torch.from_numpy(image))
    error = np.abs(got.numpy() - expected) / np.maximum(1, np.abs(expected))
    assert error.max() < 1e-4
    np.testing.assert_allclose(scores.numpy(), expected[..., 4:5] * expected[..., 5:], atol=1e-5)
    points, strides = anchor_grid((416, 416))
    decoded = decode_boxes(torch.from_numpy(expected[..., :4]), points, strides)
    np.testing.assert_allclose(boxes.numpy(), decoded.numpy(), atol=0.02)


def test_one_decoded_cell_by_hand():
    points, strides = anchor_grid((64, 96))
    assert points.shape == (96 + 24 + 6, 2)
    cell = 96 + 1 * 6 + 4  # stride 16, row 1, column 4
    assert points[cell].tolist() == [64, 16]
    assert strides[cell].item() == 16
    raw = torch.tensor([0.5, 0.25, np.log(2), np.log(3)])
    box = decode_boxes(raw[None].float(), points[cell : cell + 1], strides[cell : cell + 1])[0]
    np.testing.assert_allclose(box, [72 - 16, 20 - 24, 72 + 16, 20 + 24], rtol=1e-6)


def test_forward_is_raw_decoded(small):
    images = torch.rand(2, 3, 64, 96) * 255
    with torch.no_grad():
        raw, (boxes, scores) = small.raw(images), small(images)
    assert raw.shape == (2, 126, 7)
    assert boxes.shape == (2, 126, 4)
    assert scores.shape == (2, 126, 2)
    np.testing.assert_allclose(
        scores[0, 7, 1], raw[0, 7, 4].sigmoid() * raw[0, 7, 6].sigmoid(), rtol=1e-5
    )


def test_nobody_to_ask(small):
    with torch.no_grad():
        boxes, scores = small(torch.zeros(0, 3, 64, 64))
    assert boxes.shape == (0, 84, 4)
    assert scores.shape == (0, 84, 2)


def test_folding_keeps_the_function(small):
    images = torch.rand(1, 3, 64, 64) * 255
    state = {name: value.clone() for name, value in small.state_dict().items()}
    folded = load_yolox(state)
    with torch.no_grad():
        expected = small.raw(images)
        torch.testing.assert_close(folded.raw(images), expected, rtol=1e-3, atol=1e-3)
        again = load_yolox(folded.state_dict())  # a file that is folded already
        torch.testing.assert_close(again.raw(images), folded.raw(images))
    assert is_folded(folded.state_dict())
    assert not is_folded(state)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    fold_norms(folded)  # twice is once
    assert is_folded(folded.state_dict())


def test_unfolding_keeps_the_function(small):
    folded = load_yolox(small.state_dict())
    model = YOLOX("nano", 2).eval()
    model.load_state_dict(unfold_state(folded.state_dict()), strict=False)
    images = torch.rand(1, 3, 64, 64) * 255
    with torch.no_grad():
        torch.testing.assert_close(model.raw(images), folded.raw(images), rtol=1e-3, atol=1e-3)


def test_foreign_tensors_are_refused(small):
    with pytest.raises(WeightsError, match="tensors of a YOLOX"):
        load_yolox({"conv1.weight": torch.zeros(1)})
    state = dict(small.state_dict())
    state.pop("head.stems.1.bn.weight")
    with pytest.raises(WeightsError, match=r"head\.stems\.1\.bn\.weight"):
        load_yolox(state)
    assert yolox_size(YOLOX("tiny", 1).state_dict()) == "tiny"
