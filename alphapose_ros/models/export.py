# SPDX-License-Identifier: Apache-2.0
"""Networks for other runtimes: crops in, keypoints out, everything between them in one graph."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn

from alphapose_ros.base.errors import require
from alphapose_ros.models.onnx_folding import fold_padding

OPSET = 17
INPUT_NAME = "crops"
OUTPUT_NAMES = ("keypoints", "scores")
SPREAD_NAME = "keypoint_std"  # a third output, of decoders that give one
METADATA = "alphapose_ros"  # key of what this project says about a graph of its own


class DecodedPose(nn.Module):
    """RGB crops (N, 3, H, W), uint8 or float, 0..255 -> keypoints (N, K, 2) and scores (N, K).

    Keypoints are in map units (:func:`alphapose_ros.base.affine.map_to_image` takes them to the
    image). A pixel p enters the network as (p / 255 - mean) / std.

    Args:
        network: normalised crops -> maps (N, K, h, w).
        decode: maps -> (keypoints, scores), and the joints' spreads (N, K) in map units where it
            gives them.
        mean: of R, G and B, in 0..1.
        std: of R, G and B, in 0..1.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        decode: nn.Module,
        *,
        mean: Sequence[float] = (0.0, 0.0, 0.0),
        std: Sequence[float] = (1.0, 1.0, 1.0),
    ) -> None:
        super().__init__()
        self.network, self.decode = network, decode
        for name, values in (("mean", mean), ("std", std)):
            constants = torch.tensor(values, dtype=torch.float32).view(3, 1, 1)
            self.register_buffer(name, constants, persistent=False)

    def maps(self, crops: Tensor) -> Tensor:
        """The network's raw maps (N, K, h, w), for a flip test or a training loss."""
        return self.network((crops.to(self.mean.dtype) / 255 - self.mean) / self.std)

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        """What ``decode`` gives of the network's maps."""
        maps = self.maps(crops)
        with torch.autocast(maps.device.type, enabled=False):  # sums over maps need all bits
            return self.decode(maps.float())


@dataclass(frozen=True)
class GraphNames:
    """Names of a graph's inputs and outputs, and their open dimensions.

    Attributes:
        inputs, outputs: in the order of the module's arguments and results.
        open_dims: per name, dimension -> its name; others are fixed.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    open_dims: Mapping[str, Mapping[int, str]]


def pose_names(*, spread: bool = False) -> GraphNames:
    """Those of a :class:`DecodedPose`, whose decoder gives the joints' spreads or not."""
    outputs = (*OUTPUT_NAMES, SPREAD_NAME) if spread else OUTPUT_NAMES
    return GraphNames((INPUT_NAME,), outputs, {name: {0: "N"} for name in (INPUT_NAME, *outputs)})


POSE_NAMES = pose_names()


def onnx_bytes(
    module: nn.Module, example: Tensor, names: GraphNames = POSE_NAMES, *, opset: int = OPSET
) -> bytes:
    """``module`` as a serialised ONNX graph.

    Args:
        module: put into eval mode for the export.
        example: input of a size and type that the graph will take.
        names: see :class:`GraphNames`.
        opset: version of the ONNX operators.

    Raises:
        MissingDependencyError: the package onnx is not installed.
    """
    require("onnx", needed_for="ONNX export", install="pip install onnx")
    was_training = module.training
    module.eval()
    try:
        with warnings.catch_warnings():
            # Of the tracing exporter about itself, and about sizes that are the same on purpose.
            warnings.simplefilter("ignore")
            written: Any = io.BytesIO()  # a file would be left behind by a signal meanwhile
            torch.onnx.export(
                module,
                (example,),
                written,
                input_names=list(names.inputs),
                output_names=list(names.outputs),
                dynamic_axes={name: dict(dims) for name, dims in names.open_dims.items()},
                opset_version=opset,
                **_tracing(),
            )
            return fold_padding(written.getvalue())
    finally:
        module.train(was_training)


def with_metadata(graph: bytes, values: Mapping[str, Any]) -> bytes:
    """The graph with ``values`` as JSON under :data:`METADATA`, for whoever opens it later."""
    onnx = require("onnx", needed_for="ONNX export", install="pip install onnx")
    model = onnx.load_from_string(graph)
    onnx.helper.set_model_props(model, {METADATA: json.dumps(values)})
    content: bytes = model.SerializeToString()
    return content


def _tracing() -> dict[str, Any]:
    """The tracing exporter needs no package beyond onnx; these graphs have no branches.

    Before torch 2.5 it was the only one and had no name.
    """
    named = "dynamo" in signature(torch.onnx.export).parameters
    return {"dynamo": False} if named else {}
