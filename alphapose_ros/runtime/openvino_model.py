# SPDX-License-Identifier: Apache-2.0
"""ONNX graphs on OpenVINO, for CPUs."""

from __future__ import annotations

import functools
import threading
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from alphapose_ros.base.errors import InputError, WeightsError, require
from alphapose_ros.runtime.config import RuntimeOptions

_INSTALL = "pip install openvino onnx"
_HINTS = {"float32": "f32", "float16": "f16", "bfloat16": "bf16"}


class OpenVinoModel:
    """A graph on the CPU; open dimensions of its inputs stay open.

    Args:
        model: path of an .onnx file, or a serialised graph.
        options: threads and precision.
        any_batch: whether the first dimension of its inputs is opened.

    Raises:
        MissingDependencyError: openvino is not installed.
        WeightsError: no file, or no usable graph.
    """

    def __init__(
        self,
        model: str | Path | bytes,
        options: RuntimeOptions | None = None,
        *,
        any_batch: bool = False,
    ) -> None:
        options = options or RuntimeOptions()
        require("openvino", needed_for="the runtime openvino", install=_INSTALL)
        self.name = "an exported graph" if isinstance(model, bytes) else str(model)
        if not isinstance(model, bytes) and not Path(model).is_file():
            raise WeightsError(f"{model}: expected an ONNX file, there is none")
        core = _core()
        try:
            graph = core.read_model(model if isinstance(model, bytes) else str(model))
            if any_batch:
                graph.reshape({each: [-1, *list(each.partial_shape)[1:]] for each in graph.inputs})
            self._compiled: Any = core.compile_model(
                graph,
                "CPU",
                {
                    "PERFORMANCE_HINT": "LATENCY",
                    "INFERENCE_NUM_THREADS": options.threads or torch.get_num_threads(),
                    "INFERENCE_PRECISION_HINT": _HINTS[options.precision],
                },
            )
        except RuntimeError as error:
            raise WeightsError(f"{self.name}: not usable by OpenVINO: {error}") from error
        self._request = self._compiled.create_infer_request()
        self._lock = threading.Lock()  # a request has one memory for its answers

    @property
    def input_shapes(self) -> list[list[int]]:
        """Of every input; -1 for what is open."""
        return _shapes(self._compiled.inputs)

    @property
    def output_shapes(self) -> list[list[int]]:
        """Of every output; -1 for what is open."""
        return _shapes(self._compiled.outputs)

    def __call__(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Run once; the tensors are the graph's inputs in its order.

        Raises:
            InputError: another number of tensors, or shapes that the graph does not take.
        """
        given = [np.ascontiguousarray(tensor.detach().cpu().numpy()) for tensor in tensors]
        with self._lock:
            try:
                found = self._request.infer(given, share_inputs=True)
            except RuntimeError as error:
                shapes = [array.shape for array in given]
                raise InputError(f"{self.name}: cannot run on {shapes}: {error}") from error
            # Copied: the next call writes into the same memory.
            outputs = [np.array(found[port]) for port in self._compiled.outputs]
        return tuple(torch.from_numpy(each) for each in outputs)


def _shapes(ports: Any) -> list[list[int]]:
    return [
        [size.get_length() if size.is_static else -1 for size in port.partial_shape]
        for port in ports
    ]


@functools.cache
def _core() -> Any:
    """One for the whole process, never given back.

    Each core's CPU plugin sets a signal stack for the thread that compiles, and its end puts back
    the stack from before. Where two cores end in the order in which they began, the one that is
    put back is gone, and the next signal that Python handles (Ctrl-C) is a segmentation fault.
    """
    return require("openvino", needed_for="the runtime openvino", install=_INSTALL).Core()
