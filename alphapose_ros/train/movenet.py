# SPDX-License-Identifier: Apache-2.0
"""Start from Google's MoveNet: its int8 file read into the light network's layers.

MoveNet Lightning (Apache-2.0) is a MobileNetV2 with a small pyramid decoder, which is the light
network's own layout. Its convolutions are stored in order of execution, quantised per channel and
with their norms folded in; dequantised they run at any input size. Only the file's tables are
read (package ``tflite``, the schema's bindings); no interpreter is needed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from alphapose_ros.base.errors import WeightsError, require
from alphapose_ros.base.skeletons import COCO17
from alphapose_ros.models.light import LightPose

_LATERAL_AFTER = {3: 0, 6: 1, 10: 2}  # trunk block -> the lateral that the file stores behind it
_CENTER_HEAD = 3  # convolutions of the person-centre head, between the decoder and the joints
_UNTAUGHT_BIAS = -4.0  # a joint that MoveNet does not know begins as "nowhere"


@torch.no_grad()
def load_movenet(network: LightPose, path: Path) -> None:
    """Fill ``network`` from a MoveNet single-pose .tflite file, in place.

    Norms become the identity plus the file's bias; the 17 COCO joints get MoveNet's head.

    Raises:
        WeightsError: the file is missing or its convolutions are not MoveNet's.
    """
    stored = list(_convolutions(path))
    layers = list(_layers(network))
    if len(stored) < len(layers) + _CENTER_HEAD:
        raise WeightsError(
            f"{path}: expected at least {len(layers) + _CENTER_HEAD} convolutions, "
            f"got {len(stored)}"
        )
    decoder_end = len(layers) - 3  # the joints' head has three: depthwise, 1x1, 17 maps
    chosen = stored[:decoder_end] + stored[decoder_end + _CENTER_HEAD :][:3]
    for (conv, norm), (weight, bias) in zip(layers, chosen, strict=True):
        if norm is None:
            _fill_joints(conv, weight, bias)
            continue
        if conv.weight.shape != weight.shape:
            raise WeightsError(
                f"{path}: expected a convolution {tuple(conv.weight.shape)}, "
                f"got {tuple(weight.shape)}; this is not MoveNet's layout"
            )
        conv.weight.copy_(weight)
        norm.running_mean.zero_()  # type: ignore[union-attr]
        norm.running_var.fill_(1 - norm.eps)  # type: ignore[union-attr]
        norm.weight.fill_(1)
        norm.bias.copy_(bias)


def _fill_joints(conv: nn.Conv2d, weight: Tensor, bias: Tensor) -> None:
    """The 17 joints' maps; the others of a larger skeleton start empty."""
    conv.weight.zero_()
    assert conv.bias is not None
    conv.bias.fill_(_UNTAUGHT_BIAS)
    joints = len(COCO17)
    conv.weight[:joints], conv.bias[:joints] = weight, bias


def _layers(network: LightPose) -> Iterator[tuple[nn.Conv2d, nn.BatchNorm2d | None]]:
    """Convolutions with their norms in MoveNet's order of execution."""
    for index, block in enumerate(network.features):
        yield from _pairs(block)
        if index in _LATERAL_AFTER:
            yield from _pairs(network.lateral[_LATERAL_AFTER[index]])
    yield from _pairs(network.top)
    for step in network.decoder:
        yield from _pairs(step)
    yield from _pairs(network.head)
    yield network.heatmaps, None


def _pairs(module: nn.Module) -> Iterator[tuple[nn.Conv2d, nn.BatchNorm2d]]:
    conv: nn.Conv2d | None = None
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            conv = layer
        elif isinstance(layer, nn.BatchNorm2d) and conv is not None:
            yield conv, layer


def _convolutions(path: Path) -> Iterator[tuple[Tensor, Tensor]]:
    """(weight, bias) of each convolution in order, float32, PyTorch's axes."""
    tflite = require("tflite", needed_for="reading a .tflite file", install="pip install tflite")
    if not path.is_file():
        raise WeightsError(f"{path}: expected MoveNet's .tflite file, there is none")
    content = path.read_bytes()
    if content[4:8] != b"TFL3":
        raise WeightsError(f"{path}: expected a .tflite file, got another format")
    model = tflite.Model.GetRootAsModel(content, 0)
    graph = model.Subgraphs(0)
    kinds = (tflite.BuiltinOperator.CONV_2D, tflite.BuiltinOperator.DEPTHWISE_CONV_2D)
    for number in range(graph.OperatorsLength()):
        operator = graph.Operators(number)
        kind = model.OperatorCodes(operator.OpcodeIndex()).BuiltinCode()
        if kind not in kinds:
            continue
        weight = _values(model, graph.Tensors(operator.Inputs(1)))
        bias = _values(model, graph.Tensors(operator.Inputs(2)))
        axes = (0, 3, 1, 2) if kind == kinds[0] else (3, 0, 1, 2)
        yield torch.from_numpy(weight.transpose(axes).copy()), torch.from_numpy(bias)


def _values(model: Any, tensor: Any) -> NDArray[np.float32]:
    """A stored tensor, dequantised: (q - zero point) times scale, per channel or for all."""
    raw = model.Buffers(tensor.Buffer()).DataAsNumpy()
    dtype = {0: np.float32, 2: np.int32, 9: np.int8}[tensor.Type()]
    values = np.frombuffer(raw.tobytes(), dtype).reshape(tensor.ShapeAsNumpy())
    if dtype is np.float32:
        return values.copy()
    quantisation = tensor.Quantization()
    shape = [1] * values.ndim
    scales = quantisation.ScaleAsNumpy()
    if len(scales) > 1:
        shape[quantisation.QuantizedDimension()] = -1
    zero = quantisation.ZeroPointAsNumpy().reshape(shape)
    return ((values - zero) * scales.reshape(shape)).astype(np.float32)
