# SPDX-License-Identifier: Apache-2.0
"""YOLOX from a dictionary of tensors: public checkpoints, and files with the norms folded in."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from alphapose_ros.base.errors import WeightsError
from alphapose_ros.models.state import load_into
from alphapose_ros.models.yolox import SIZES, YOLOX, ConvNormAct

_STEM = "backbone.backbone.stem.conv.conv.weight"
_CLASSES = "head.cls_preds.0.weight"


def yolox_size(state: Mapping[str, Tensor]) -> str:
    """Which of ``SIZES`` a state dict belongs to, by the width of its stem.

    Raises:
        WeightsError: these are not the tensors of a YOLOX.
    """
    if _STEM not in state or _CLASSES not in state:
        raise WeightsError(f"expected the tensors of a YOLOX with {_STEM!r} and {_CLASSES!r}")
    width = len(state[_STEM])
    for name, size in SIZES.items():
        if int(size.width * 64) == width:
            return name
    raise WeightsError(f"expected a YOLOX stem of a known width, got {width} channels")


def is_folded(state: Mapping[str, Tensor]) -> bool:
    """Whether the batch norms are already part of the convolutions."""
    return _STEM.replace("weight", "bias") in state


def load_yolox(state: Mapping[str, Tensor]) -> YOLOX:
    """The network of a state dict (size and classes follow from it), in evaluation mode, folded.

    Raises:
        WeightsError: the tensors do not fit any YOLOX.
    """
    size = yolox_size(state)
    model = YOLOX(size, num_classes=len(state[_CLASSES])).eval()
    folded = is_folded(state)
    if folded:
        fold_norms(model)
    values = {name: value.float() for name, value in state.items()}
    load_into(model, values, f"YOLOX-{size}")
    if not folded:
        fold_norms(model)
    return model


def fold_norms(model: nn.Module) -> None:
    """Merge every batch norm into its convolution, in place; the evaluated function stays.

    The result has fewer layers to run, and weights of a sane range that survive half precision.
    """
    for module in model.modules():
        if isinstance(module, ConvNormAct) and isinstance(module.bn, nn.BatchNorm2d):
            was_training = module.training
            module.eval()
            module.conv = fuse_conv_bn_eval(module.conv, module.bn)
            module.register_module("bn", nn.Identity())
            module.train(was_training)
