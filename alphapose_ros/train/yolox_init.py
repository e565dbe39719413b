# SPDX-License-Identifier: Apache-2.0
"""Start values for training a YOLOX: public checkpoints, folded files, or an ONNX export.

Where the batch norms were folded into the convolutions, they are put back such that the function
stays the same; :func:`train.norms.restore_norms` then gives them the real moments of some images.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from alphapose_ros.base.errors import WeightsError, require
from alphapose_ros.models.yolox import YOLOX
from alphapose_ros.models.yolox_weights import is_folded, yolox_size
from alphapose_ros.weights import load_tensors

PERSON = 0  # row of the person among the 80 COCO classes


def load_start(model: YOLOX, path: str | Path) -> None:
    """Fill ``model`` from a file; of an 80-class head a 1-class model takes the person's row.

    Raises:
        WeightsError: the file cannot be read or belongs to another network.
    """
    is_onnx = Path(path).suffix == ".onnx"
    state = folded_state_from_onnx(path) if is_onnx else dict(load_tensors(Path(path)))
    if yolox_size(state) != model.size:
        raise WeightsError(f"{path}: expected YOLOX-{model.size}, got YOLOX-{yolox_size(state)}")
    if is_folded(state):
        state = unfold_state(state)
    if model.num_classes == 1:
        state = select_class(state)
    counters = {k: v for k, v in model.state_dict().items() if k.endswith("num_batches_tracked")}
    try:
        model.load_state_dict({**counters, **state})
    except RuntimeError as error:
        raise WeightsError(f"{path}: not a YOLOX-{model.size}: {error}") from error


def folded_state_from_onnx(path: str | Path) -> dict[str, Tensor]:
    """Weight and bias of every convolution of an ONNX export, named after their modules.

    Exporters name a node ``/a/b/b.0/conv/Conv``: the path of modules, prefixes repeated.

    Raises:
        WeightsError: the file is no ONNX graph, or a convolution lacks constant weights.
    """
    onnx = require("onnx", needed_for="reading an ONNX file", install="pip install onnx")
    message = require("google.protobuf.message", needed_for="onnx", install="pip install protobuf")
    try:
        graph = onnx.load(str(path)).graph
    except (OSError, message.DecodeError) as error:
        raise WeightsError(f"{path}: expected an ONNX file, cannot read it ({error})") from error
    values = {
        item.name: torch.from_numpy(onnx.numpy_helper.to_array(item).copy())
        for item in graph.initializer
    }
    state: dict[str, Tensor] = {}
    for node in graph.node:
        if node.op_type == "Conv":
            if len(node.input) != 3 or not set(node.input[1:]) <= set(values):
                raise WeightsError(f"{path}: expected constant weight and bias in {node.name!r}")
            module = _module_path(node.name)
            state[f"{module}.weight"], state[f"{module}.bias"] = (
                values[name] for name in node.input[1:]
            )
    return state


def _module_path(node_name: str) -> str:
    parts: list[str] = []
    for part in node_name.strip("/").split("/")[:-1]:
        if parts and part.startswith(parts[-1] + "."):
            parts[-1] = part
        else:
            parts.append(part)
    return ".".join(parts)


def unfold_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Folded convolutions -> convolution and a norm that only adds the bias."""
    out: dict[str, Tensor] = {}
    for name, value in state.items():
        value = value.float()
        if name.endswith(".conv.bias"):
            norm = name.removesuffix("conv.bias") + "bn."
            out[norm + "bias"], out[norm + "weight"] = value, torch.ones_like(value)
            out[norm + "running_mean"] = torch.zeros_like(value)
            out[norm + "running_var"] = torch.full_like(value, 1 - 1e-3)  # plus eps it is 1
        else:
            out[name] = value
    return out


def select_class(state: dict[str, Tensor], row: int = PERSON) -> dict[str, Tensor]:
    """The same state with one row of the class head; a file of one class passes unchanged."""
    return {
        name: value[row : row + 1].clone() if ".cls_preds." in name and len(value) > 1 else value
        for name, value in state.items()
    }
