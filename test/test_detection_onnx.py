# SPDX-License-Identifier: Apache-2.0
"""ONNX detectors: graphs of every form, made here around boxes that are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx_detecting import (
    CONFIG,
    MMDET,
    PEOPLE,
    RAW_BGR,
    UNIT_RGB,
    assert_people,
    assert_pixels,
    found_in,
    picture,
)
from onnx_heads import (
    CLASSES,
    CORNERS,
    COUNT,
    HEADS,
    HW,
    SCORES,
    Head,
    Written,
    boxes_head,
    column,
    end2end_head,
    write,
    yolov5_head,
)

from alphapose_ros.base.errors import InputError
from alphapose_ros.detection.config import ONNX_FORMATS, DetectorConfig
from alphapose_ros.detection.onnx import OnnxDetector
from alphapose_ros.detection.onnx_formats import FORMS
from alphapose_ros.detection.onnx_graph import DetectorGraph
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.runtime.config import RuntimeOptions
from alphapose_ros.runtime.onnx_model import OnnxModel, SizeRange

pytestmark = pytest.mark.usefixtures("one_thread")


def test_every_form_is_offered_and_checked() -> None:
    assert set(ONNX_FORMATS) <= {"auto", *FORMS}  # what a configuration may name
    assert set(HEADS) == set(FORMS)


@pytest.mark.parametrize("form", HEADS)
@pytest.mark.parametrize("open_outputs", [False, True])
def test_every_form_is_seen_and_read(
    onnx: Any, tmp_path: Path, form: str, open_outputs: bool
) -> None:
    how = Written(open_outputs=open_outputs)
    path = write(onnx, tmp_path / "a.onnx", HEADS[form](), how)
    assert (None in OnnxModel(path).outputs[0].shape[1:]) == open_outputs
    detector = OnnxDetector(path, CONFIG)
    assert detector.form == form
    assert_people(found_in(detector)[0], PEOPLE)
    assert_people(
        found_in(OnnxDetector(path, CONFIG, form=form))[0], PEOPLE
    )  # and where it is named


@pytest.mark.parametrize("form", HEADS)
def test_boxes_come_back_in_the_pixels_of_each_image(onnx: Any, tmp_path: Path, form: str) -> None:
    detector = OnnxDetector(write(onnx, tmp_path / "a.onnx", HEADS[form]()), CONFIG)
    large, small = found_in(detector, picture(640, 640), picture(160, 160))
    assert_people(large, PEOPLE, 0.5)
    assert_people(small, PEOPLE, 2.0)
    assert detector(ImageBatch.upload([])) == []
    (wide,) = found_in(detector, picture(32, 320))  # what lies below the image is cut off
    assert (wide.boxes[:, 3] <= 32).all()


def test_other_thresholds_and_nobody(onnx: Any, tmp_path: Path) -> None:
    detector = OnnxDetector(write(onnx, tmp_path / "a.onnx", end2end_head()), CONFIG)
    detector.reconfigure(DetectorConfig(name="onnx", weights="-", score_threshold=0.65))
    assert_people(found_in(detector)[0], [0, 2])
    detector.reconfigure(DetectorConfig(name="onnx", weights="-", score_threshold=0.95))
    assert [len(found) for found in found_in(detector)] == [0]
    detector.reconfigure(DetectorConfig(name="onnx", weights="-", score_threshold=0.0))
    assert_people(found_in(detector)[0], PEOPLE)  # no threshold makes people of other things


@pytest.mark.parametrize("form", ["mmdeploy", "end2end", "boxes_scores"])
def test_a_graph_that_finds_nothing(onnx: Any, tmp_path: Path, form: str) -> None:
    """Its outputs have no row: the form is seen all the same."""
    head = HEADS[form]()
    axes = {name: min(1, array.ndim - 1) for name, array in head.outputs.items()}
    empty = {n: np.take(array, [], axis=axes[n]) for n, array in head.outputs.items()}
    head = Head(empty, "", [])
    detector = OnnxDetector(
        write(onnx, tmp_path / "a.onnx", head, Written(open_outputs=True)), CONFIG
    )
    assert detector.form == form
    assert [len(found) for found in found_in(detector)] == [0]


@pytest.mark.parametrize(
    ("form", "name", "expected"),
    [
        ("yolox", "rtmdet.onnx", RAW_BGR),
        ("yolov5", "yolox.onnx", UNIT_RGB),
        ("yolov8", "a.onnx", UNIT_RGB),
        ("end2end", "a.onnx", UNIT_RGB),
        ("mmdeploy", "a.onnx", MMDET),
        ("mmdeploy", "RTMDet-m.onnx", MMDET),
        ("mmdeploy", "rtmdet_after_yolox.onnx", MMDET),
        ("mmdeploy", "YOLOX_l.onnx", RAW_BGR),
        ("mmdeploy", "yolox_m_human.onnx", RAW_BGR),  # a known model
        ("mmdeploy", "rtmdet_m_person.onnx", MMDET),  # a known model
        ("boxes_scores", "a.onnx", UNIT_RGB),
    ],
)
def test_pixels_enter_as_the_form_or_the_name_says(
    onnx: Any, tmp_path: Path, form: str, name: str, expected: list[float]
) -> None:
    assert_pixels(onnx, tmp_path / name, form, Written(), expected)


@pytest.mark.parametrize(
    ("shape", "kind", "expected"),
    [
        ((1, 3, *HW), "FLOAT16", UNIT_RGB),
        ((1, 3, *HW), "UINT8", [40, 80, 120, 114, 114, 114]),
        ((1, *HW, 3), "UINT8", [40, 80, 120, 114, 114, 114]),
        ((1, *HW, 3), "FLOAT", UNIT_RGB),
        ((3, *HW), "FLOAT", UNIT_RGB),
        (("N", 3, "H", "W"), "FLOAT", UNIT_RGB),
        (("N", "H", "W", 3), "FLOAT", UNIT_RGB),
        ((1, 3, "H", "W"), "FLOAT16", UNIT_RGB),
    ],
)
def test_inputs_of_any_kind(
    onnx: Any, tmp_path: Path, shape: tuple[Any, ...], kind: str, expected: list[float]
) -> None:
    assert_pixels(onnx, tmp_path / "a.onnx", "end2end", Written(shape, kind), expected)


def test_bytes_are_bgr_where_the_form_is(onnx: Any, tmp_path: Path) -> None:
    assert_pixels(onnx, tmp_path / "a.onnx", "mmdeploy", Written(kind="UINT8"), RAW_BGR)


@pytest.mark.parametrize("room", [8, 3])
def test_an_open_batch_takes_many_images(
    onnx: Any, tmp_path: Path, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One score per image: what its own upper left pixel is, so that a mixed-up row is seen."""
    make, constant, types = onnx.helper, onnx.numpy_helper.from_array, onnx.TensorProto
    corner = [("from", [0, 4, 4]), ("to", [1, 5, 5]), ("axes", [1, 2, 3]), ("flat", [-1, 1, 1])]
    constants = [constant(np.array(value, np.int64), name) for name, value in corner]
    constants.append(constant(np.array([[[10, 10, 90, 90]]], np.float32), "box"))
    nodes = [
        make.make_node("Slice", ["images", "from", "to", "axes"], ["red"]),
        make.make_node("Reshape", ["red", "flat"], ["scores"]),
        make.make_node("Sub", ["scores", "scores"], ["nothing"]),
        make.make_node("Add", ["nothing", "box"], ["boxes"]),
    ]
    inputs = [make.make_tensor_value_info("images", types.FLOAT, ("N", 3, *HW))]
    results = [
        make.make_tensor_value_info("boxes", types.FLOAT, ("N", 1, 4)),
        make.make_tensor_value_info("scores", types.FLOAT, ("N", 1, 1)),
    ]
    graph = make.make_graph(nodes, "detector", inputs, results, constants)
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(tmp_path / "a.onnx"))
    detector, calls = OnnxDetector(tmp_path / "a.onnx", CONFIG), list[int]()
    run = OnnxModel.__call__

    def limited(model: OnnxModel, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        calls.append(len(tensors[0]))
        if len(tensors[0]) > room:  # as ONNX Runtime says it
            raise InputError("cannot run: Failed to allocate memory for requested buffer")
        return run(model, *tensors)

    monkeypatch.setattr(OnnxModel, "__call__", limited)
    reds = np.linspace(255, 80, 19).astype(np.uint8)
    images = [np.full((160 + k, 320, 3), (red, 0, 0), np.uint8) for k, red in enumerate(reds)]
    found = found_in(detector, *images)
    np.testing.assert_allclose([f.scores[0] for f in found], reds / 255, rtol=1e-5)
    assert all(len(f) == 1 for f in found)
    assert calls == {8: [7, 6, 6], 3: [7, *[3] * 5, 2, 2]}[room]


NAMES = {0: "dog", 1: "cat", 2: "Person"}


@pytest.mark.parametrize("form", HEADS)
@pytest.mark.parametrize("text", [str(NAMES), str(list(NAMES.values()))])
def test_the_file_says_which_class_is_a_person(
    onnx: Any, tmp_path: Path, form: str, text: str
) -> None:
    how = Written(metadata={"names": text})
    path = write(onnx, tmp_path / "a.onnx", HEADS[form](), how)
    assert_people(found_in(OnnxDetector(path, CONFIG))[0], [1])


def test_yolox_decoded_in_its_graph_must_be_named(onnx: Any, tmp_path: Path) -> None:
    head = yolov5_head()
    head.outputs["output0"] = head.outputs["output0"][:, :2100]
    head.places = [0] * COUNT
    path = write(onnx, tmp_path / "yolov6.onnx", head)
    assert OnnxDetector(path, CONFIG).form == "yolox"
    detector = OnnxDetector(path, CONFIG, form="yolov5")
    assert detector.form == "yolov5"
    assert_people(found_in(detector)[0], PEOPLE)


def test_fractions_of_the_input_and_tensorflows_order(onnx: Any, tmp_path: Path) -> None:
    head = boxes_head()
    head.outputs["boxes"] = head.outputs["boxes"] / 320
    detector = OnnxDetector(write(onnx, tmp_path / "a.onnx", head), CONFIG)
    assert_people(found_in(detector, picture(640, 640))[0], PEOPLE, 0.5)
    tensorflow = Head(
        {
            "detection_boxes": head.outputs["boxes"][..., [1, 0, 3, 2]],
            "detection_classes": head.outputs["labels"].astype(np.float32) + 1,
            "detection_scores": head.outputs["scores"],
            "num_detections": np.array([COUNT], np.float32),
        },
        "detection_scores",
        list(range(COUNT)),
    )
    how = Written((1, "H", "W", 3), "UINT8")
    detector = OnnxDetector(write(onnx, tmp_path / "b.onnx", tensorflow, how), CONFIG)
    assert_people(found_in(detector, picture(640, 640))[0], PEOPLE, 0.5)


def test_torchvisions_outputs_have_no_batch_and_a_background(onnx: Any, tmp_path: Path) -> None:
    head = boxes_head()
    head.outputs = {name: array[0] for name, array in head.outputs.items()}
    head.outputs["labels"] = head.outputs["labels"] + 1
    for shape in ((3, "H", "W"), ("N", 3, "H", "W")):
        path = write(onnx, tmp_path / "a.onnx", head, Written(shape))
        found = found_in(OnnxDetector(path, CONFIG), picture(320, 320), picture(640, 640))
        assert_people(found[0], PEOPLE)
        assert_people(found[1], PEOPLE, 0.5)


def test_scores_of_every_class(onnx: Any, tmp_path: Path) -> None:
    table = np.zeros((1, COUNT, 3), np.float32)
    table[0, range(COUNT), CLASSES] = SCORES
    places = column(table, list(range(COUNT)), list(CLASSES))
    head = Head({"b": CORNERS[None].astype(np.float32), "s": table}, "s", places)
    assert_people(
        found_in(OnnxDetector(write(onnx, tmp_path / "a.onnx", head), CONFIG))[0], PEOPLE
    )


def test_a_graph_that_asks_for_the_images_size(onnx: Any, tmp_path: Path) -> None:
    """As RT-DETR: it scales its boxes itself, and is told the input's size, width first."""
    head = boxes_head()
    size = np.array([480, 320, 480, 320], np.float32)
    head.outputs["boxes"] = head.outputs["boxes"] / size
    how = Written((1, 3, 320, 480), asks_size=True)
    detector = OnnxDetector(write(onnx, tmp_path / "a.onnx", head, how), CONFIG)
    assert_people(found_in(detector, picture(640, 960))[0], PEOPLE, 0.5)


def test_every_open_input_has_sizes_to_plan_for(
    onnx: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorRT wants them of all such inputs or of none; here it is looked at what it gets."""
    path = write(
        onnx, tmp_path / "a.onnx", boxes_head(), Written(("N", 3, "H", "W"), asks_size=True)
    )
    planned: dict[str, SizeRange] = {}

    def opened(path: Path, options: RuntimeOptions, limits: dict[str, SizeRange]) -> OnnxModel:
        planned.update(limits)
        return OnnxModel(path)

    monkeypatch.setattr("alphapose_ros.detection.onnx_graph.open_graph", opened)
    options = RuntimeOptions("tensorrt", device="cuda")
    graph = DetectorGraph(path, options, (320, 480))
    still_open = {value.name for value in OnnxModel(path).inputs if None in value.shape}
    assert planned.keys() == still_open == {"images", "size"}
    most = graph.batch
    assert most > 1
    assert planned["images"] == SizeRange.batches((most, 3, 320, 480))
    assert planned["size"] == SizeRange.batches((most, 2))
    (boxes,) = (found for found in graph(torch.zeros(1, 3, 320, 480)) if found.shape[-1] == 4)
    assert boxes[0].max() > 480  # scaled by the size that was given beside the images


@pytest.mark.parametrize("form", HEADS)
def test_openvino_answers_alike(onnx: Any, tmp_path: Path, form: str) -> None:
    pytest.importorskip("openvino", reason="OPENVINO'S DETECTORS NOT CHECKED: no openvino")
    path = write(onnx, tmp_path / "a.onnx", HEADS[form](), Written(kind="UINT8"))
    detector = OnnxDetector(path, CONFIG, options=RuntimeOptions("openvino"))
    assert_people(found_in(detector)[0], PEOPLE)
