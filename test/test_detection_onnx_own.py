# SPDX-License-Identifier: Apache-2.0
"""ONNX detectors that this project knows by name, exports itself, or has in PyTorch too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx_detecting import (
    PEOPLE,
    RAW_BGR,
    UNIT_RGB,
    assert_equal,
    assert_people,
    assert_pixels,
    found_in,
    picture,
)
from onnx_heads import (
    HW,
    Written,
    end2end_head,
    mmdeploy_head,
    write,
)

from alphapose_ros.base.errors import WeightsError
from alphapose_ros.detection import onnx as detector_onnx
from alphapose_ros.detection.config import DetectorConfig
from alphapose_ros.detection.factory import DETECTOR_GRAPH, create_detector
from alphapose_ros.detection.onnx import OnnxDetector
from alphapose_ros.detection.yolox import YOLOXDetector
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.models.export import METADATA, onnx_bytes, with_metadata
from alphapose_ros.models.yolox import YOLOX
from alphapose_ros.models.yolox_weights import load_yolox
from alphapose_ros.registry.spec import ModelSpec
from alphapose_ros.weights import load_tensors

pytestmark = pytest.mark.usefixtures("one_thread")

BUNDLED = Path(__file__).parents[1] / "alphapose_ros" / "bundled" / "detector_nano.safetensors"

SHARED = Path(__file__).parents[2] / "shared" / "data"

TEACHER = SHARED / "teachers" / "yolox_nano.onnx"

PICTURES = SHARED / "coco_person" / "images"


def test_the_configuration_names_file_and_form(onnx: Any, tmp_path: Path) -> None:
    path = write(onnx, tmp_path / "a.onnx", mmdeploy_head())
    detector = create_detector(DetectorConfig(name="onnx", weights=str(path)))
    assert_people(detector(ImageBatch.upload([picture(320, 320)]))[0], PEOPLE)
    other = DetectorConfig(name="onnx", weights=str(path), format="boxes_scores")
    with pytest.raises(WeightsError, match="expected the outputs of a detector: boxes_scores"):
        create_detector(other)


def test_a_known_model_overrides_what_the_form_says(
    onnx: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = ModelSpec(
        name="m", task="detection", format="onnx", file="m.onnx", input_hw=HW, licence="-",
        channels="BGR", mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 0.2),
    )  # fmt: skip
    monkeypatch.setattr(detector_onnx, "spec_of", lambda path: spec)
    given = zip((120, 80, 40, 114, 114, 114), spec.mean * 2, spec.std * 2, strict=True)
    expected = [(value / 255 - mean) / std for value, mean, std in given]
    detector = assert_pixels(onnx, tmp_path / "a.onnx", "yolov8", Written(), expected)
    config = DetectorConfig(name="onnx", weights="-", input_height=64, input_width=64)
    assert detector.pixels.channels == "BGR"
    open_input = Written((1, 3, "H", "W"))
    path = write(onnx, tmp_path / "b.onnx", end2end_head(), open_input)
    assert_people(found_in(OnnxDetector(path, config))[0], PEOPLE)  # in 320x320, not in 64x64


def exported(path: Path, network: YOLOX, name: str) -> Path:
    """The network as ``models export`` writes it."""
    content = onnx_bytes(network, torch.zeros(1, 3, 96, 128), DETECTOR_GRAPH)
    path.write_bytes(with_metadata(content, {"task": "detection", "network": name}))
    return path


@pytest.mark.skipif(not BUNDLED.is_file(), reason=f"NO WEIGHTS: {BUNDLED} is absent")
def test_our_own_export_answers_as_its_network(onnx: Any, tmp_path: Path) -> None:
    astronaut = pytest.importorskip("skimage.data").astronaut()
    config = DetectorConfig(name="onnx", weights="-", score_threshold=0.02, max_people=1000)
    network = load_yolox(load_tensors(BUNDLED)).eval()
    images = [astronaut, astronaut[:, ::-1].copy(), astronaut[:256, 100:356].copy()]
    expected = YOLOXDetector(network, config)(ImageBatch.upload(images))
    assert sum(len(people) for people in expected) > 5
    detector = OnnxDetector(exported(tmp_path / "ours.onnx", network, "yolox"), config)
    assert detector.form == "boxes_scores"
    assert_equal(found_in(detector, *images), expected)


@pytest.mark.parametrize(
    ("network", "expected"), [("yolox", RAW_BGR), ("yolov3", [*UNIT_RGB[:3], 0.5, 0.5, 0.5])]
)
def test_our_own_file_says_how_pixels_enter(
    onnx: Any, tmp_path: Path, network: str, expected: list[float]
) -> None:
    about = json.dumps({"task": "detection", "network": network})
    how = Written(metadata={METADATA: about})
    assert_pixels(onnx, tmp_path / "a.onnx", "boxes_scores", how, expected)


@pytest.mark.skipif(
    not (TEACHER.is_file() and PICTURES.is_dir()),
    reason=f"A REAL YOLOX AS ONNX NOT CHECKED: {TEACHER} or {PICTURES} is absent",
)
def test_a_real_yolox_equals_the_same_weights_in_pytorch(onnx: Any) -> None:
    from alphapose_ros.io.sources import read_image
    from alphapose_ros.train.yolox_init import folded_state_from_onnx, unfold_state

    config = DetectorConfig(name="onnx", weights="-", score_threshold=0.1)
    images = []
    for path in sorted(PICTURES.glob("*.jpg"))[:4]:
        image = read_image(path)
        side = min(image.shape[:2])  # square, so that both take all of 416x416
        images.append(np.ascontiguousarray(image[:side, :side]))
    twin = load_yolox(unfold_state(folded_state_from_onnx(TEACHER))).eval()
    expected = YOLOXDetector(twin, config)(ImageBatch.upload(images))
    assert sum(len(people) for people in expected) >= 4
    detector = OnnxDetector(TEACHER, config)
    assert detector.form == "yolox"
    assert_equal(found_in(detector, *images), expected)
