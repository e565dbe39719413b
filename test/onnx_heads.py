# SPDX-License-Identifier: Apache-2.0
"""ONNX graphs with the outputs of others' detectors, around boxes that are known."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from alphapose_ros.models.yolox import anchor_grid

HW = 320, 320
COUNT = 6
CORNERS = np.array([[10 + 45 * k, 20 + 30 * k, 45 + 45 * k, 90 + 30 * k] for k in range(COUNT)])
SCORES = np.array([0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
CLASSES = np.array([0, 2, 0, 1, 0, 0])  # the second and the fourth are no people


@dataclass
class Head:
    """Outputs by name, and where in the flat array of one of them the boxes' scores lie."""

    outputs: dict[str, np.ndarray]
    score_of: str
    places: list[int]


def column(array: np.ndarray, rows: list[int], columns: list[int]) -> list[int]:
    return [
        int(np.ravel_multi_index((0, r, c), array.shape))
        for r, c in zip(rows, columns, strict=True)
    ]


def centred(boxes: np.ndarray) -> np.ndarray:
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], 1)


def yolox_head(classes: np.ndarray = CLASSES) -> Head:
    points, strides = (array.numpy() for array in anchor_grid(HW))
    rows = [100 + 300 * k for k in range(COUNT)]  # of all three strides
    raw = np.zeros((1, len(points), 8), np.float32)
    boxes = centred(CORNERS)
    raw[0, rows, :2] = (boxes[:, :2] - points[rows]) / strides[rows]
    raw[0, rows, 2:4] = np.log(boxes[:, 2:] / strides[rows])
    raw[0, rows, 4] = 1
    raw[0, rows, 5 + classes] = SCORES
    return Head({"output": raw}, "output", column(raw, rows, list(5 + classes)))


def yolov5_head(classes: np.ndarray = CLASSES) -> Head:
    out = np.zeros((1, 6300, 8), np.float32)
    rows = list(range(5, 5 + COUNT))
    out[0, rows, :4], out[0, rows, 4], out[0, rows, 5 + classes] = centred(CORNERS), 1, SCORES
    return Head({"output0": out}, "output0", column(out, rows, list(5 + classes)))


def yolov8_head(classes: np.ndarray = CLASSES) -> Head:
    out = np.zeros((1, 7, 2100), np.float32)
    columns = list(range(5, 5 + COUNT))
    out[0, :4, columns], out[0, 4 + classes, columns] = centred(CORNERS), SCORES
    return Head({"output0": out}, "output0", column(out, list(4 + classes), columns))


def end2end_head(classes: np.ndarray = CLASSES) -> Head:
    out = np.zeros((1, 300, 6), np.float32)
    out[0, :COUNT] = np.concatenate([CORNERS, SCORES[:, None], classes[:, None]], 1)
    return Head({"output0": out}, "output0", column(out, list(range(COUNT)), [4] * COUNT))


def mmdeploy_head(classes: np.ndarray = CLASSES) -> Head:
    dets = np.zeros((1, 100, 5), np.float32)
    dets[0, :COUNT] = np.concatenate([CORNERS, SCORES[:, None]], 1)
    labels = np.full((1, 100), -1, np.int64)
    labels[0, :COUNT] = classes
    places = column(dets, list(range(COUNT)), [4] * COUNT)
    return Head({"dets": dets, "labels": labels}, "dets", places)


def boxes_head(classes: np.ndarray = CLASSES) -> Head:
    boxes = CORNERS[None].astype(np.float32)
    return Head(
        {
            "labels": classes[None].astype(np.int64),
            "boxes": boxes,
            "scores": SCORES[None].astype(np.float32),
        },
        "scores",
        list(range(COUNT)),
    )


HEADS = {
    "yolox": yolox_head,
    "yolov5": yolov5_head,
    "yolov8": yolov8_head,
    "end2end": end2end_head,
    "mmdeploy": mmdeploy_head,
    "boxes_scores": boxes_head,
}


@dataclass
class Written:
    """How a graph is written; the values read are two pixels: in the image, and beside it."""

    shape: tuple[int | str, ...] = (1, 3, *HW)
    kind: str = "FLOAT"
    metadata: dict[str, str] = field(default_factory=dict)
    factor: float = 0.0  # of the six values in the six scores
    open_outputs: bool = False
    asks_size: bool = False  # the boxes are fractions, scaled in the graph by a second input


def write(onnx: Any, path: Path, head: Head, how: Written | None = None) -> Path:
    """A graph with the outputs of ``head``, the scores moved by what the pixels are."""
    how = how or Written()
    make, constant = onnx.helper, onnx.numpy_helper.from_array
    types = onnx.TensorProto
    nodes, constants = pixel_nodes(make, constant, types, how)
    results = []
    for name, array in head.outputs.items():
        step = np.zeros((COUNT, array.size), np.float32)
        if name == head.score_of:
            step[range(COUNT), head.places] = how.factor
        plain = "plain_" + name
        constants += [
            constant(array, plain),
            constant(step, "step_" + name),
            constant(np.array(array.shape, np.int64), "shape_" + name),
        ]
        if name == head.score_of:
            nodes += [
                make.make_node("MatMul", ["values", "step_" + name], ["flat_" + name]),
                make.make_node("Reshape", ["flat_" + name, "shape_" + name], ["move_" + name]),
                make.make_node("Add", [plain, "move_" + name], [name]),
            ]
        elif name == "boxes" and how.asks_size:
            nodes += [
                make.make_node("Cast", ["size"], ["size_f"], to=types.FLOAT),
                make.make_node("Concat", ["size_f", "size_f"], ["sizes"], axis=1),
                make.make_node("Mul", [plain, "sizes"], [name]),
            ]
        else:
            nodes.append(make.make_node("Identity", [plain], [name]))
        if how.open_outputs:  # a shape that only a run tells, or the runtime would infer it
            nodes[-1].output[0] = "closed_" + name
            nodes += [
                make.make_node("Add", ["shape_" + name, "zero"], ["run_" + name]),
                make.make_node("Reshape", ["closed_" + name, "run_" + name], [name], allowzero=1),
            ]
        kind = types.INT64 if array.dtype == np.int64 else types.FLOAT
        shape = [f"{name}{k}" for k in range(array.ndim)] if how.open_outputs else array.shape
        results.append(make.make_tensor_value_info(name, kind, shape))
    inputs = [make.make_tensor_value_info("images", getattr(types, how.kind), how.shape)]
    if how.asks_size:
        inputs.append(make.make_tensor_value_info("size", types.INT64, (how.shape[0], 2)))
    graph = make.make_graph(nodes, "detector", inputs, results, constants)
    model = make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=8)
    make.set_model_props(model, how.metadata)
    onnx.save(model, str(path))
    return path


def pixel_nodes(make: Any, constant: Any, types: Any, how: Written) -> tuple[list, list]:
    """``values`` (1, 6): the channels of a pixel of the image, and of one beside it."""
    across = {4: [2, 3] if how.shape[1] == 3 else [1, 2], 3: [1, 2]}[len(how.shape)]
    nodes = [make.make_node("Cast", ["images"], ["pixels"], to=types.FLOAT)]
    constants = [
        constant(np.array(across, np.int64), "axes"),
        constant(np.array([1, 3], np.int64), "row"),
    ]
    for name, (y, x) in (("inside", (10, 10)), ("beside", (315, 315))):
        constants += [
            constant(np.array([y, x], np.int64), name + "_from"),
            constant(np.array([y + 1, x + 1], np.int64), name + "_to"),
        ]
        nodes += [
            make.make_node(
                "Slice", ["pixels", name + "_from", name + "_to", "axes"], [name + "_"]
            ),
            make.make_node("Reshape", [name + "_", "row"], [name]),
        ]
    constants.append(constant(np.array([0], np.float32), "none"))
    nodes += [
        make.make_node("Concat", ["inside", "beside"], ["values"], axis=1),
        make.make_node("ReduceMax", ["values"], ["most"], keepdims=0),
        make.make_node("Mul", ["most", "none"], ["zero_f"]),
        make.make_node("Cast", ["zero_f"], ["zero"], to=types.INT64),
    ]
    return nodes, constants
