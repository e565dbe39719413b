# SPDX-License-Identifier: Apache-2.0
"""Padding ahead of a convolution, made part of the convolution in an ONNX graph.

A convolution of PyTorch pads both sides alike, so one pixel right and below (``models.light``) is
a layer of its own; ONNX's pads each side as it likes. Runtimes that keep channels in blocks would
bring every padded tensor into plain order and back.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.errors import require


def fold_padding(graph: bytes) -> bytes:
    """The same function with every constant zero padding of height and width in its convolution.

    A padding that something else reads as well, or that is no such padding, stays.

    Raises:
        MissingDependencyError: the package onnx is not installed.
    """
    onnx = _required("onnx")
    model = onnx.load_from_string(graph)
    nodes = model.graph.node
    readers = Counter(name for node in nodes for name in node.input)
    readers.update(value.name for value in model.graph.output)
    makers = {name: node for node in nodes for name in node.output}
    folded = []
    for conv in nodes:
        pad = makers.get(conv.input[0]) if conv.op_type == "Conv" else None
        if pad is None or pad.op_type != "Pad" or readers[pad.output[0]] > 1:
            continue
        amounts = _zero_padding(onnx, model, makers, pad)
        if amounts is not None and _takes(conv, amounts):
            conv.input[0] = pad.input[0]
            folded.append(pad)
    for pad in folded:
        nodes.remove(pad)
    content: bytes = model.SerializeToString()
    return content


def _zero_padding(onnx: Any, model: Any, makers: dict[str, Any], pad: Any) -> list[int] | None:
    """Top, left, bottom, right of a padding with zeros; None for any other."""
    mode = next((a.s for a in pad.attribute if a.name == "mode"), b"constant")
    names = [*pad.input, "", "", ""][1:4]  # pads, value, axes
    if mode != b"constant" or names[2] or not names[0]:
        return None
    found = {name: _constant(onnx, model, makers, name) for name in names[:2] if name}
    if any(value is None for value in found.values()):
        return None
    amounts, value = found[names[0]], found.get(names[1])
    if amounts is None or len(amounts) != 8 or (value is not None and np.any(value)):
        return None
    batch_and_channels, sides = amounts[[0, 1, 4, 5]], amounts[[2, 3, 6, 7]]
    if np.any(batch_and_channels) or np.any(sides < 0):
        return None
    return [int(side) for side in sides]


def _takes(conv: Any, amounts: list[int]) -> bool:
    """Add the amounts to a convolution's own, if it states them as numbers."""
    named = {attribute.name: attribute for attribute in conv.attribute}
    if named.get("auto_pad") is not None and named["auto_pad"].s != b"NOTSET":
        return False
    own = named.get("pads")
    if own is None:
        own = conv.attribute.add()
        own.name, own.type = "pads", own.INTS
        own.ints.extend([0, 0, 0, 0])
    for side, amount in enumerate(amounts):
        own.ints[side] += amount
    return True


def _constant(onnx: Any, model: Any, makers: dict[str, Any], name: str) -> NDArray[Any] | None:
    """The value of a tensor that depends on no input; None where it does.

    The tracing exporter writes amounts of padding as a small calculation with constants.
    """
    initial = {tensor.name: tensor for tensor in model.graph.initializer}
    needed: dict[str, Any] = {}  # by first output, as nodes cannot be hashed
    open_names, seen = [name], set()
    while open_names:
        wanted = open_names.pop()
        if not wanted or wanted in seen or wanted in initial:
            continue
        seen.add(wanted)
        if wanted not in makers:
            return None  # an input of the graph
        needed[makers[wanted].output[0]] = makers[wanted]
        open_names += makers[wanted].input
    nodes = [node for node in model.graph.node if node.output and node.output[0] in needed]
    used = {text for node in nodes for text in node.input} | {name}
    graph = onnx.helper.make_graph(
        nodes,
        "constants",
        [],
        [onnx.helper.make_empty_tensor_value_info(name)],
        [tensor for text, tensor in initial.items() if text in used],
    )
    part = onnx.helper.make_model(graph, opset_imports=model.opset_import)
    part.ir_version = model.ir_version
    evaluator = _required("onnx.reference").ReferenceEvaluator(part)
    value: NDArray[Any] = np.asarray(evaluator.run(None, {})[0])
    return value


def _required(name: str) -> Any:
    return require(name, needed_for="ONNX export", install="pip install onnx")
