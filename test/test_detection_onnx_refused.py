# SPDX-License-Identifier: Apache-2.0
"""ONNX files that are no detectors are refused with one line; no form is taken for another."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from onnx_detecting import (
    CONFIG,
    PEOPLE,
    assert_people,
    found_in,
)
from onnx_heads import (
    HEADS,
    HW,
    Written,
    end2end_head,
    mmdeploy_head,
    write,
    yolov8_head,
)

from alphapose_ros.base.errors import ConfigError, MissingDependencyError, WeightsError
from alphapose_ros.detection.config import DetectorConfig
from alphapose_ros.detection.onnx import OnnxDetector
from alphapose_ros.detection.onnx_formats import recognise
from alphapose_ros.detection.onnx_graph import GraphInfo, Output
from alphapose_ros.models.export import METADATA
from alphapose_ros.runtime.config import RuntimeOptions

pytestmark = pytest.mark.usefixtures("one_thread")


def test_names_without_a_person_or_damaged(onnx: Any, tmp_path: Path) -> None:
    def opened(names: str) -> OnnxDetector:
        how = Written(metadata={"names": names})
        return OnnxDetector(write(onnx, tmp_path / "a.onnx", yolov8_head(), how), CONFIG)

    with pytest.raises(WeightsError, match=r"a\.onnx: .* class 'person', .* dog, cat$"):
        opened("{0: 'dog', 1: 'cat'}")
    with pytest.raises(WeightsError, match=r"a\.onnx: its entry 'names': .* 'person, cat'"):
        opened("person, cat")
    with pytest.raises(WeightsError, match=r"a\.onnx: its entry 'names'"):
        opened("7")
    with pytest.raises(WeightsError, match="class 5, a person, got 3 classes"):
        opened("{0: 'dog', 5: 'person'}")
    assert_people(found_in(opened("{0: 'pedestrian'}"))[0], PEOPLE)  # the only class there is


@example("yolov5", 1, 1, 16, 1, False)
@example("yolox", 1, 1, 16, 1, False)
@example("yolox", 1, 1, 80, 1, False)
@given(
    st.sampled_from(sorted(HEADS)),
    st.integers(1, 24), st.integers(1, 24), st.integers(1, 100), st.integers(1, 20), st.booleans(),
)  # fmt: skip
def test_no_shape_of_one_form_is_taken_for_another(
    form: str, rows: int, columns: int, classes: int, number: int, finer: bool
) -> None:
    height, width = 32 * rows, 32 * columns
    strides = (4, 8, 16, 32) if finer and form == "yolov8" else (8, 16, 32)
    cells = sum((height // s) * (width // s) for s in strides)
    shapes = {
        "yolox": [(1, cells, 5 + classes)],
        "yolov5": [(1, 3 * cells, 5 + classes)],
        "yolov8": [(1, 4 + classes, cells)],
        "end2end": [(1, number, 6)],
        "mmdeploy": [(1, number, 5), (1, number)],
        "boxes_scores": [(1, number, 4), (1, number, classes)],
    }
    outputs = tuple(
        Output(n, shape) for n, shape in zip(("boxes", "b"), shapes[form], strict=False)
    )
    graph = GraphInfo("a", (height, width), outputs)
    if form == "yolov8" and 4 + classes in (cells, 3 * cells) and cells >= 6:
        return  # a square table of numbers is both a row and a column per cell
    if form in ("yolox", "yolov5") and 5 + classes in (cells, cells + height * width // 16):
        with pytest.raises(WeightsError, match=f"it could be .*{form}|it could be {form} or "):
            recognise(graph)  # as many numbers of a cell as cells: it may lie on its side
        return
    assert recognise(graph)[0] == form


@pytest.mark.parametrize(
    ("shapes", "got"),
    [
        ({"logits": (1, 1000)}, r"logits \(1, 1000\)"),
        ({"pred_logits": (1, 100, 92), "pred_boxes": (1, 100, 4)}, r"pred_boxes \(1, 100, 4\)"),
        ({"a": (1, 100, 4), "b": (1, 100, 4)}, r"b \(1, 100, 4\)"),
        ({"boxes": (1, 100, 4), "x": (1, 100), "y": (1, 100)}, r"y \(1, 100\)"),
        ({"a": (1, 2100, 8), "b": (1, 2100, 8)}, r"a \(1, 2100, 8\)"),
        ({"a": (1, 2000, 85)}, "A = 2100 cells for 320x320 px"),
        ({"square": (1, 2100, 2100)}, "it could be yolox or yolov8"),
    ],
)
def test_other_outputs_are_refused_with_all_known_forms(shapes: dict[str, Any], got: str) -> None:
    graph = GraphInfo("a.onnx", HW, tuple(Output(*item) for item in shapes.items()))
    with pytest.raises(WeightsError, match=rf"a\.onnx: .*yolox .*boxes_scores .*{got}"):
        recognise(graph)


def test_a_named_form_must_fit(onnx: Any, tmp_path: Path) -> None:
    path = write(onnx, tmp_path / "a.onnx", mmdeploy_head())
    with pytest.raises(WeightsError, match=r"detector: end2end \(1, N, 6\); .* got dets \(1, 100"):
        OnnxDetector(path, CONFIG, form="end2end")
    with pytest.raises(ConfigError, match=r"detector\.format: expected auto, yolox.*got 'yolo'"):
        OnnxDetector(path, CONFIG, form="yolo")


@pytest.mark.parametrize("shape", [(1, 1, *HW), (2, 3, *HW), (1, 3), (1, 64, 64, 4)])
def test_inputs_that_are_no_image_are_refused(
    onnx: Any, tmp_path: Path, shape: tuple[int, ...]
) -> None:
    make, types = onnx.helper, onnx.TensorProto
    infos = [make.make_tensor_value_info(name, types.FLOAT, shape) for name in ("x", "y")]
    graph = make.make_graph([make.make_node("Abs", ["x"], ["y"])], "g", infos[:1], infos[1:])
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(tmp_path / "a.onnx"))
    with pytest.raises(WeightsError, match=r"a\.onnx: expected one input .* got x"):
        OnnxDetector(tmp_path / "a.onnx", CONFIG)


def test_a_size_that_the_graph_cannot_take_is_told(onnx: Any, tmp_path: Path) -> None:
    how = Written((1, 3, "H", "W"), open_outputs=True)  # it reads the pixel 315, 315
    path = write(onnx, tmp_path / "a.onnx", end2end_head(), how)
    config = DetectorConfig(name="onnx", weights="-", input_height=64, input_width=64)
    with pytest.raises(WeightsError, match=r"a\.onnx: cannot run on"):
        OnnxDetector(path, config)


def test_unusable_files_and_runtimes(onnx: Any, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"nowhere\.onnx: expected an ONNX file"):
        OnnxDetector(tmp_path / "nowhere.onnx", CONFIG)
    (tmp_path / "text.onnx").write_text("no graph", encoding="utf-8")
    with pytest.raises(WeightsError, match=r"text\.onnx: not a usable ONNX file"):
        OnnxDetector(tmp_path / "text.onnx", CONFIG)
    path = write(onnx, tmp_path / "a.onnx", end2end_head())
    with pytest.raises(ConfigError, match="torch cannot run an ONNX file"):
        OnnxDetector(path, CONFIG, options=RuntimeOptions("torch"))
    for text in ("no json", json.dumps({"task": "pose"})):
        how = Written(metadata={METADATA: text})
        with pytest.raises(WeightsError, match=r"b\.onnx: .*(damaged|of a detector)"):
            OnnxDetector(write(onnx, tmp_path / "b.onnx", end2end_head(), how), CONFIG)


def test_without_onnxruntime_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(MissingDependencyError, match=r"'onnxruntime'.*pip install"):
        OnnxDetector(tmp_path / "a.onnx", CONFIG)
