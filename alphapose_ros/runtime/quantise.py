# SPDX-License-Identifier: Apache-2.0
"""int8 by static quantisation: ranges measured on real inputs, weights per channel."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from alphapose_ros.base.errors import InputError, require

_INSTALL = "pip install onnxruntime onnx"
# The networks' own layers. Decoding (what comes behind the last convolutions) stays in float32.
_LAYERS = ["Conv", "Add", "MaxPool", "Concat"]


def quantise(graph: bytes, inputs: Iterable[Tensor]) -> bytes:
    """An ONNX graph with int8 convolutions, in the QDQ form that every runtime reads.

    Args:
        graph: float32, with one input.
        inputs: what it will see; some hundred images or crops.

    Raises:
        InputError: no input was given, or a layer answers the same to all of them.
        MissingDependencyError: onnx or onnxruntime is not installed.
    """
    onnx = require("onnx", needed_for="quantisation", install=_INSTALL)
    quantization = require("onnxruntime.quantization", needed_for="quantisation", install=_INSTALL)
    name = onnx.load_from_string(graph).graph.input[0].name
    given = list(inputs)
    if not given:
        raise InputError("quantisation: expected at least one input to measure, got none")
    with tempfile.TemporaryDirectory() as folder:
        source, prepared, made = (Path(folder) / f"{n}.onnx" for n in ("a", "b", "c"))
        source.write_bytes(graph)
        quantization.quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        try:
            quantization.quantize_static(
                str(prepared),
                str(made),
                _reader(quantization, name, given),
                quant_format=quantization.QuantFormat.QDQ,
                op_types_to_quantize=_LAYERS,
                nodes_to_exclude=_floats(list(onnx.load(str(prepared)).graph.node)),
                calibrate_method=quantization.CalibrationMethod.Percentile,
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                # Products of 8-bit numbers overflow 16 bits on CPUs without VNNI.
                reduce_range=True,
                # The layers' outputs of one input at a time: of all at once they fill the memory.
                extra_options={"CalibStridedMinMax": 1},
            )
        except ValueError as error:  # a histogram of values that do not vary, or are not finite
            raise InputError(
                f"quantisation: a layer's values have no usable range: {error}"
            ) from error
        return made.read_bytes()


def _floats(nodes: Sequence[Any]) -> list[str]:
    """Names of the nodes that stay in float32.

    They are convolutions of single channels, which take little time and make most of the error of
    8 bits, and whatever no convolution comes behind: the decoding, whose steps would be pixels.
    """
    read: set[str] = set()  # by some convolution, at once or later
    out = []
    for node in reversed(nodes):
        is_convolution = node.op_type == "Conv"
        if is_convolution or read.intersection(node.output):
            read.update(node.input)
        else:
            out.append(node.name)
        if is_convolution and any(e.name == "group" and e.i > 1 for e in node.attribute):
            out.append(node.name)
    return out


def _reader(quantization: Any, name: str, inputs: Sequence[Tensor]) -> Any:
    """The library's reader over ``inputs``, a range of them at a time."""

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._waiting = iter(inputs)

        def __len__(self) -> int:
            return len(inputs)

        def set_range(self, start_index: int, end_index: int) -> None:
            self._waiting = iter(inputs[start_index:end_index])

        def get_next(self) -> dict[str, Any] | None:
            given = next(self._waiting, None)
            return None if given is None else {name: given.cpu().numpy()}

    return Reader()
