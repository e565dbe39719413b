# SPDX-License-Identifier: Apache-2.0
"""Start values for training a YOLOX: public checkpoints, folded files, or an ONNX export.

Where the batch norms were folded into the convolutions, they are put back such that the function
stays the same; :func:`restore_norms` then gives them the real moments of some images, which is
what lets training work at ordinary learning rates.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor, nn

from alphapose_ros.base.errors import WeightsError, require
from alphapose_ros.models.yolox import YOLOX, ConvNormAct
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


@torch.no_grad()
def restore_norms(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """Give every batch norm of ``model`` the moments of ``batches``; the function stays the same.

    One pass in evaluation mode collects mean and variance of each norm's input. With scale s and
    shift t of the norm as it stands, gamma = s sqrt(var + eps) and beta = t + s mean.
    """
    layers = [m for m in model.modules() if isinstance(m, ConvNormAct)]
    sums: dict[nn.Module, list[Tensor]] = {layer.conv: [] for layer in layers}

    def collect(module: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        flat = output.double().transpose(0, 1).flatten(1)
        count = torch.full_like(flat[:, 0], flat.shape[1])
        sums[module].append(torch.stack([count, flat.sum(1), flat.square().sum(1)]))

    hooks = [layer.conv.register_forward_hook(collect) for layer in layers]
    was_training = model.training
    model.eval()
    for batch in batches:
        model(batch)
    for hook in hooks:
        hook.remove()
    model.train(was_training)
    for layer in layers:
        if sums[layer.conv]:
            _set_moments(layer.bn, torch.stack(sums[layer.conv]).sum(0))


def _set_moments(norm: nn.BatchNorm2d, sums: Tensor) -> None:
    count, total, squares = sums
    mean = total / count
    variance = (squares / count - mean.square()).clamp_min(0)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    shift = norm.bias.double() - scale * norm.running_mean.double()
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
    norm.weight.copy_(scale * (variance + norm.eps).sqrt())
    norm.bias.copy_(shift + scale * mean)
