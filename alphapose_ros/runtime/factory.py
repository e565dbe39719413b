# SPDX-License-Identifier: Apache-2.0
"""From a network and the runtime's name to something that runs it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.models.export import GraphNames, onnx_bytes
from alphapose_ros.runtime.config import RuntimeOptions
from alphapose_ros.runtime.onnx_model import OnnxModel, SizeRange
from alphapose_ros.runtime.openvino_model import OpenVinoModel
from alphapose_ros.runtime.torch_runner import TorchRunner

IN_TORCH = ("torch", "compile")
_STRIDE = 32  # of the smallest side that a network takes
Runner = Callable[[Tensor], tuple[Tensor, ...]]


def choose_runtime(options: RuntimeOptions, *, graph: bool = False) -> RuntimeOptions:
    """``auto`` decided from what is installed; another name is checked against the device.

    On a CPU ``auto`` is ONNX Runtime, else OpenVINO, where they are installed (with the package
    onnx, to write the graph); on a GPU it is PyTorch, because TensorRT plans for minutes and
    compiling takes one: both are asked for by name.

    Args:
        options: what was asked for.
        graph: whether the model is an ONNX graph already, which PyTorch cannot run.

    Raises:
        ConfigError: the runtime does not go with the device, the precision or the model.
    """
    on_gpu = torch.device(options.device).type == "cuda"
    name = options.name
    if name == "auto":
        name = _automatic(options, on_gpu, graph)
    if name == "tensorrt" and not on_gpu:
        raise ConfigError(f"runtime: tensorrt needs a CUDA device, got {options.device!r}")
    if name == "openvino" and on_gpu:
        raise ConfigError(f"runtime: openvino runs on the CPU, got device {options.device!r}")
    if graph and name in IN_TORCH:
        raise ConfigError(f"runtime: {name} cannot run an ONNX file; expected auto or onnxruntime")
    if name == "onnxruntime" and options.precision != "float32":
        raise ConfigError(
            f"precision: onnxruntime runs a graph as it is, in float32, got {options.precision}; "
            "tensorrt, openvino and torch take it"
        )
    return replace(options, name=name)


def accelerate(
    module: nn.Module,
    example: Tensor,
    options: RuntimeOptions,
    names: GraphNames,
    *,
    max_batch: int = 1,
) -> Runner:
    """What runs ``module``: itself under PyTorch, or its ONNX graph under another runtime.

    Args:
        module: images (N, C, H, W) -> tensors; decoding included.
        example: images of the largest size that will come.
        options: decided by :func:`choose_runtime`.
        names: of the graph's inputs and outputs, and which of their dimensions are open.
        max_batch: most images at once; TensorRT plans for it.

    Raises:
        MissingDependencyError: the runtime, or onnx to export for it, is not installed.
    """
    if options.name in IN_TORCH:
        return TorchRunner(module, options)
    graph = onnx_bytes(module.eval().cpu(), example.cpu(), names)
    most = max_batch, *example.shape[1:]
    sizes = SizeRange.batches(most)
    fluid = {axis for axis in names.open_dims.get(names.inputs[0], ()) if axis > 0}
    if fluid:  # images of any form: one at a time is the rule
        least = tuple(_STRIDE if axis in fluid else sizes.least[axis] for axis in range(len(most)))
        sizes = SizeRange(least, (1, *most[1:]), most)
    return open_graph(graph, options, limits={names.inputs[0]: sizes})


def open_graph(
    graph: str | Path | bytes,
    options: RuntimeOptions,
    *,
    limits: Mapping[str, SizeRange] | None = None,
) -> OnnxModel | OpenVinoModel:
    """An ONNX graph on the runtime of ``options`` (decided by :func:`choose_runtime`)."""
    if options.name == "openvino":
        return OpenVinoModel(graph, options)
    return OnnxModel(graph, options, limits=limits)


def _automatic(options: RuntimeOptions, on_gpu: bool, graph: bool) -> str:
    if on_gpu:
        return "onnxruntime" if graph else "torch"
    if graph or _installed("onnx"):
        if _installed("onnxruntime") and options.precision == "float32":
            return "onnxruntime"
        if _installed("openvino"):
            return "openvino"
    return "onnxruntime" if graph else "torch"


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None
