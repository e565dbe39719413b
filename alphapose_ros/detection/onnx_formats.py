# SPDX-License-Identifier: Apache-2.0
"""Outputs of others' ONNX detectors: which form a graph has, and what its numbers mean.

A is the number of cells of the input at strides 8, 16 and 32 (YOLOv5 and later also 8 to 64, or 4
to 32), C the number of classes, N any number of boxes.

| form | outputs | numbers |
|---|---|---|
| yolox | (1, A, 5 + C) | per cell raw offsets, log sizes, objectness, classes |
| yolov5 | (1, 3 A, 5 + C) | cx, cy, w, h px, objectness, classes |
| yolov8 | (1, 4 + C, A) | cx, cy, w, h px, classes |
| end2end | (1, N, 6) | x1, y1, x2, y2 px, score, class |
| mmdeploy | (1, N, 5) and (1, N) | x1, y1, x2, y2 px, score; labels |
| boxes_scores | (.., N, 4) and (.., N) or (.., N, C), perhaps labels (.., N) | see below |

YOLOv6, or a YOLOX exported with its decoding, has the shape of the first row and the numbers of
the second: only the configuration can say so (``detector.format: yolov5``).

boxes_scores: corners are x1, y1, x2, y2; those of an output called ``detection_boxes``
(TensorFlow's detection models) are y1, x1, y2, x2. An image's boxes are fractions of the input
where none of their coordinates exceeds 2, else px: no person fits into two pixels. Labels count
from 0, or from 1 where 0 is the background: in TensorFlow's detection models, and where boxes come
without a batch (torchvision).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from alphapose_ros.base.errors import ConfigError, WeightsError
from alphapose_ros.detection.onnx_graph import STRIDES, GraphInfo, Output
from alphapose_ros.models.yolox import anchor_grid, decode_boxes

# A graph's outputs -> boxes (B, N, 4) xyxy px of the input, scores (B, N) of people.
Decode = Callable[[Sequence[Tensor]], tuple[Tensor, Tensor]]

NOBODY = -1.0  # score of what is no person, below every threshold
_FRACTION = 2.0  # fractions of the input reach a little over 1
_TENSORFLOW = "detection_boxes"


def decode_yolox(graph: GraphInfo, named: bool) -> Decode | None:
    """Cells of three strides, as Megvii's own export leaves them."""
    k, shape = graph.head()
    if shape[1] != graph.cells() or shape[2] < 6:
        return None
    points, strides = anchor_grid(graph.input_hw)
    person = graph.column(shape[2] - 5)

    def decode(outputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        raw = outputs[k].float()
        boxes = decode_boxes(raw[..., :4], points.to(raw.device), strides.to(raw.device))
        return boxes, raw[..., 4] * raw[..., 5 + person]

    return decode


def decode_yolov5(graph: GraphInfo, named: bool) -> Decode | None:
    """Three anchors per cell, decoded in the graph; where named, any number of rows."""
    k, shape = graph.head()
    counts = [3 * graph.cells(strides) for strides in STRIDES]
    if shape[2] < 6 or not (named or shape[1] in counts):
        return None
    person = graph.column(shape[2] - 5)

    def decode(outputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        rows = outputs[k].float()
        return _corners(rows[..., :4]), rows[..., 4] * rows[..., 5 + person]

    return decode


def decode_yolov8(graph: GraphInfo, named: bool) -> Decode | None:
    """One column per cell, no objectness; where named, any number of columns."""
    k, shape = graph.head()
    counts = [graph.cells(strides) for strides in STRIDES]
    if shape[1] < 5 or not (named or shape[2] in counts):
        return None
    person = graph.column(shape[1] - 4)

    def decode(outputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        rows = outputs[k].float().transpose(1, 2)
        return _corners(rows[..., :4]), rows[..., 4 + person]

    return decode


def decode_end2end(graph: GraphInfo, named: bool) -> Decode | None:
    """Boxes of all classes, suppressed in the graph; where not named, no number of cells."""
    k, shape = graph.head()
    cells = [graph.cells(strides) for strides in STRIDES]
    if shape[2] != 6 or (not named and shape[1] in (*cells, *(3 * count for count in cells))):
        return None
    person = graph.person()

    def decode(outputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        rows = outputs[k].float()
        return rows[..., :4], _of_people(rows[..., 4], rows[..., 5], person)

    return decode


def decode_mmdeploy(graph: GraphInfo, named: bool) -> Decode | None:
    """Boxes with scores, and labels: OpenMMLab's deployment kit. Masks beside them are left."""
    k, shape = graph.head()
    labels = [j for j, out in enumerate(graph.outputs) if out.shape == shape[:2]]
    if shape[2] != 5 or len(labels) != 1:
        return None
    person = graph.person()

    def decode(outputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        rows = outputs[k].float()
        return rows[..., :4], _of_people(rows[..., 4], outputs[labels[0]], person)

    return decode


def decode_boxes_scores(graph: GraphInfo, named: bool) -> Decode | None:
    """Boxes, scores and perhaps labels, each an output of its own."""
    roles = _roles(graph.outputs)
    if roles is None:
        return None
    k, score, label = roles
    tensorflow = graph.outputs[k].name.lower().startswith(_TENSORFLOW)
    alone = len(graph.outputs[k].shape) == 2
    per_class = len(graph.outputs[score].shape) == len(graph.outputs[k].shape)
    background = label is not None and (tensorflow or alone)
    by_label = label is not None and not (per_class and graph.outputs[score].shape[-1] > 1)
    person = graph.person(int(background)) if by_label else 0
    column = graph.column(graph.outputs[score].shape[-1]) if per_class and not by_label else 0
    height, width = graph.input_hw

    def decode(outputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        boxes, scores = outputs[k].float(), outputs[score].float()
        scores = scores[..., column] if per_class else scores
        if by_label and label is not None:
            scores = _of_people(scores, outputs[label], person)
        if alone:
            boxes, scores = boxes[None], scores[None]
        if tensorflow:
            boxes = boxes[..., [1, 0, 3, 2]]
        fractions = (boxes <= _FRACTION).flatten(1).all(1).view(-1, 1, 1)
        size = boxes.new_tensor([width, height, width, height])
        return torch.where(fractions, boxes * size, boxes), scores

    return decode


@dataclass(frozen=True)
class Form:
    """A form of outputs: how it reads, and its decoder for a graph, or None."""

    text: str
    decoder: Callable[[GraphInfo, bool], Decode | None]


FORMS = {
    "yolox": Form("(1, A, 5 + C)", decode_yolox),
    "yolov5": Form("(1, 3 A, 5 + C)", decode_yolov5),
    "yolov8": Form("(1, 4 + C, A)", decode_yolov8),
    "end2end": Form("(1, N, 6)", decode_end2end),
    "mmdeploy": Form("(1, N, 5) and (1, N)", decode_mmdeploy),
    "boxes_scores": Form("(.., N, 4) and (.., N) or (.., N, C)", decode_boxes_scores),
}


def recognise(graph: GraphInfo, form: str = "auto") -> tuple[str, Decode]:
    """The form of a graph's outputs, and what makes boxes and scores of them.

    Args:
        graph: what is known of it.
        form: one of :data:`FORMS`, which then only has to fit, or auto.

    Raises:
        ConfigError: no such form.
        WeightsError: none fits, or more than one; or its classes have no person.
    """
    if form != "auto" and form not in FORMS:
        raise ConfigError(f"detector.format: expected auto, {', '.join(FORMS)}, got {form!r}")
    tried = FORMS if form == "auto" else {form: FORMS[form]}
    decoders = {name: FORMS[name].decoder(graph, form != "auto") for name in tried}
    found = [(name, decode) for name, decode in decoders.items() if decode is not None]
    if len(found) == 1:
        return found[0]
    known = "; ".join(f"{name} {FORMS[name].text}" for name in tried)
    got = ", ".join(f"{out.name} {out.shape}" for out in graph.outputs)
    fitting = f" (it could be {' or '.join(name for name, _ in found)})" if found else ""
    height, width = graph.input_hw
    raise WeightsError(
        f"{graph.name}: expected the outputs of a detector: {known}; with A = {graph.cells()} "
        f"cells for {width}x{height} px, got {got}{fitting}"
    )


def _corners(boxes: Tensor) -> Tensor:
    """(..., 4) centre and size -> corners."""
    center, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([center - half, center + half], -1)


def _of_people(scores: Tensor, labels: Tensor, person: int) -> Tensor:
    return torch.where(labels == person, scores, NOBODY)


def _roles(outputs: tuple[Output, ...]) -> tuple[int, int, int | None] | None:
    """Places of boxes, scores and labels; None where that cannot be told."""
    boxes = _only(outputs, lambda out: out.shape[-1:] == (4,) and len(out.shape) in (2, 3), "box")
    if boxes is None:
        return None
    rows = outputs[boxes].shape[:-1]
    per_box = [
        k
        for k, out in enumerate(outputs)
        if k != boxes
        and rows in (out.shape, out.shape[:-1])
        and not any(part in out.name.lower() for part in ("num", "logit"))
    ]
    labels = [k for k in per_box if _is_label(outputs[k]) and outputs[k].shape == rows]
    others = tuple(k for k in per_box if k not in labels)
    place = _only(tuple(outputs[k] for k in others), lambda out: out.floating, "score")
    if place is None or len(labels) > 1:
        return None
    return boxes, others[place], labels[0] if labels else None


def _is_label(out: Output) -> bool:
    return not out.floating or any(part in out.name.lower() for part in ("label", "class"))


def _only(outputs: tuple[Output, ...], fits: Callable[[Output], bool], part: str) -> int | None:
    """Place of the only output that fits, or of the only one of them with ``part`` in its name."""
    found = [k for k, out in enumerate(outputs) if fits(out)]
    if len(found) > 1:
        found = [k for k in found if part in outputs[k].name.lower()]
    return found[0] if len(found) == 1 else None
