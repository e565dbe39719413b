# SPDX-License-Identifier: Apache-2.0
"""Which pose network a table of tensors belongs to, by its keys and shapes alone."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import nn

from alphapose_ros.base.errors import WeightsError
from alphapose_ros.models.fastpose import fastpose_duc_resnet, fastpose_resnet
from alphapose_ros.models.hrnet import HRNet
from alphapose_ros.models.resnet import BLOCKS
from alphapose_ros.models.simplepose import SimplePose
from alphapose_ros.models.state import State

FASTPOSE, FASTPOSE_DUC, SIMPLEPOSE, HRNET, LIGHT = (
    "fastpose", "fastpose_duc", "simplepose", "hrnet", "light",
)  # fmt: skip
EXPECTED = (
    "expected AlphaPose's FastPose, FastPose-DUC, SimplePose or HRNet, or this project's light "
    "network"
)

# Beginnings of keys that a file of this kind has, all of them.
_FOREIGN: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("AlphaPose's HarDNet, for which no weights were published", ("base.", "conv1x1_up.")),
    ("a YOLOX detector", ("backbone.backbone.stem.", "head.")),
    ("a torchvision detector", ("backbone.body.", "rpn.")),
    ("a torchvision detector", ("backbone.", "head.classification_head.")),
    ("a YOLOv3 of Darknet or JDE", ("module_list.",)),
    ("a re-identification network (OSNet)", ("conv1.conv.", "conv2.0.gate.")),
    ("a re-identification network", ("backbone.layer4.", "head.bnneck.")),
    ("a re-identification network", ("layer4.", "fc.1.running_mean", "classifier.")),
    ("a ResNet classifier, the trunk without a pose head", ("layer4.", "fc.weight")),
    ("a ResNet trunk without a pose head", ("layer1.0.", "layer4.0.conv1.")),
    ("an HRNet without a pose head", ("stage4.", "transition3.")),
    ("a network of OpenMMLab", ("backbone.", "head.")),
    ("a network of OpenMMLab", ("backbone.", "keypoint_head.")),
    ("a trunk of AlphaPose without a pose head", ("preact.layer4.",)),
    ("a FastPose on a trunk that is no ResNet", ("preact.", "duc1.")),
    ("a classifier", ("features.", "classifier.")),
)


@dataclass(frozen=True)
class Architecture:
    """A pose network without its weights.

    Attributes:
        family: one of ``FAMILIES``.
        num_joints: K.
        options: what else the family's builder takes, with every value stated.
    """

    family: str
    num_joints: int
    options: Mapping[str, int]

    def build(self) -> nn.Module:
        """The network with random weights, on torch's default device."""
        return _builder(self.family)(num_joints=self.num_joints, **self.options)


def architecture_of(state: State) -> Architecture:
    """The pose network that these tensors belong to; whether all of them fit is not looked at.

    Raises:
        WeightsError: of another kind, which is named where it is recognised.
    """
    for family, marks, read in _READERS:
        if all(_has(state, mark) for mark in marks):
            return read(family, state)
    raise WeightsError(f"{_looks_like(state)}; {EXPECTED}")


def _builder(family: str) -> Callable[..., nn.Module]:
    if family == LIGHT:
        from alphapose_ros.models.light import LightPose

        return LightPose
    builders: dict[str, Callable[..., nn.Module]] = {
        FASTPOSE: fastpose_resnet,
        FASTPOSE_DUC: fastpose_duc_resnet,
        SIMPLEPOSE: SimplePose,
        HRNET: HRNet,
    }
    return builders[family]


def _fastpose(family: str, state: State) -> Architecture:
    num_joints, conv_dim = _head(state, "conv_out.weight")
    options = {
        "depth": _depth(state),
        "conv_dim": conv_dim,
        "se": _any_matches(state, r"preact\..*\.se\."),
        "dcn": _any_matches(state, r"preact\..*\.conv2_offset\."),
    }
    return Architecture(family, num_joints, options)


def _fastpose_duc(family: str, state: State) -> Architecture:
    num_joints, _ = _head(state, "conv_out.weight")
    options = {
        "depth": _depth(state),
        "se": _any_matches(state, r"preact\..*\.se\."),
        "unshuffle": _any_matches(state, r"preact\..*\.conv2\.1\."),
    }
    return Architecture(family, num_joints, options)


def _simplepose(family: str, state: State) -> Architecture:
    num_joints, _ = _head(state, "final_layer.weight")
    return Architecture(family, num_joints, {"depth": _depth(state)})


def _hrnet(family: str, state: State) -> Architecture:
    num_joints, width = _head(state, "final_layer.weight")
    return Architecture(family, num_joints, {"width": width})


def _light(family: str, state: State) -> Architecture:
    num_joints, head_channels = _head(state, "heatmaps.weight")
    return Architecture(family, num_joints, {"head_channels": head_channels})


# The first whose marks, beginnings of keys, are all there.
_READERS: tuple[tuple[str, tuple[str, ...], Callable[[str, State], Architecture]], ...] = (
    (FASTPOSE_DUC, ("preact.layer1.", "duc1.", "duc3."), _fastpose_duc),
    (FASTPOSE, ("preact.layer1.", "duc1.", "duc2."), _fastpose),
    (SIMPLEPOSE, ("preact.layer1.", "deconv_layers."), _simplepose),
    (HRNET, ("transition1.", "stage4.", "final_layer."), _hrnet),
    (LIGHT, ("features.", "lateral.", "heatmaps."), _light),
)


def _head(state: State, key: str) -> tuple[int, int]:
    """(K, C) of the convolution that makes the maps."""
    if key not in state:
        raise WeightsError(f"missing {key!r}, which tells the number of joints")
    shape = tuple(state[key].shape)
    if len(shape) != 4 or 0 in shape:
        raise WeightsError(f"{key!r}: expected the shape (joints, channels, k, k), got {shape}")
    return shape[0], shape[1]


def _depth(state: State) -> int:
    """50, 101 or 152, by the blocks of the trunk's layers."""
    blocks = {m.groups() for m in map(re.compile(r"preact\.layer(\d)\.(\d+)\.").match, state) if m}
    counts = tuple(sum(layer == str(n) for layer, _ in blocks) for n in range(1, 5))
    for depth, expected in BLOCKS.items():
        if counts == expected:
            return depth
    known = ", ".join(f"{expected} ({depth})" for depth, expected in BLOCKS.items())
    raise WeightsError(f"expected a ResNet with blocks {known}, got {counts}")


def _has(state: State, beginning: str) -> bool:
    return any(key.startswith(beginning) for key in state)


def _any_matches(state: State, pattern: str) -> bool:
    return any(re.match(pattern, key) for key in state)


def _looks_like(state: State) -> str:
    for kind, marks in _FOREIGN:
        if all(_has(state, mark) for mark in marks):
            return f"looks like {kind}"
    if not state:
        return "has no tensors"
    return f"has {len(state)} tensors of no known network, the first of them {next(iter(state))!r}"
