# SPDX-License-Identifier: Apache-2.0
"""What is known of a pose network beside its weights, and a few lines about it for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from alphapose_ros.base.affine import INPUT_HW
from alphapose_ros.base.skeletons import SKELETONS
from alphapose_ros.models.family import (
    FASTPOSE,
    FASTPOSE_DUC,
    HRNET,
    LIGHT,
    SIMPLEPOSE,
    Architecture,
)

HEATMAP, SIKR, COMBINED = DECODES = ("heatmap", "sikr", "combined")
NORMS = ("sigmoid", "softmax", "divide_sum")  # of a map whose coordinates are regressed
# Of a combined network's joints the last ones (face and hands, hands alone) are regressed.
COMBINED_TAILS = {68: 42, 133: 110, 136: 110}
_NAMED = (("regression", SIKR), ("combined", COMBINED), ("heatmap", HEATMAP))

Triple = tuple[float, float, float]
# Means in the order B, G, R on channels R, G, B: the released networks were trained so.
ALPHAPOSE_MEAN: Triple = (0.406, 0.457, 0.480)
ALPHAPOSE_STD: Triple = (1.0, 1.0, 1.0)
LIGHT_MEAN = LIGHT_STD = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class CheckpointInfo:
    """What a pose network is and how it is used.

    Attributes:
        family: "fastpose", "fastpose_duc", "simplepose", "hrnet" or "light".
        num_joints: K.
        skeleton: name of the keypoint set of K joints, "" where none is known.
        decode: "heatmap", "sikr", or "" where nobody can tell; "combined": the last 110 joints
            (of 133 or 136: face and hands) or 42 (of 68: hands) by SIKR, all before by heatmap.
        mean, std: a pixel p of 0..255 enters, as RGB, as (p / 255 - mean) / std.
        input_hw: of the crops that it was trained on.
        details: what else the family's builder takes: depth, conv_dim, dcn, se, unshuffle, width.
        parameters: how many numbers training may change.
        untaught: joints that no training supervised, their score is always 0; None where the file
            does not say.
        tail_cut: share of a map's peak below which the training's coordinates took no part of it;
            None where the file does not say.
        norm: how the training made a probability of a map, one of ``NORMS``.
    """

    family: str
    num_joints: int
    skeleton: str
    decode: str
    mean: Triple
    std: Triple
    input_hw: tuple[int, int] = INPUT_HW
    details: Mapping[str, int] = field(default_factory=dict)
    parameters: int = 0
    untaught: tuple[str, ...] | None = None
    tail_cut: float | None = None
    norm: str = NORMS[0]

    def text(self) -> str:
        """Two lines for a person to read: the network, and what goes into it."""
        height, width = self.input_hw
        mean, std = (" ".join(f"{value:g}" for value in part) for part in (self.mean, self.std))
        what = (
            _network_text(self.family, self.details),
            f"{self.num_joints} joints ({self.skeleton or 'no known skeleton'})",
            *([f"CONV_DIM {self.details['conv_dim']}"] if "conv_dim" in self.details else []),
            f"{self.parameters / 1e6:.1f} M parameters",
            _decode_text(self.decode, self.num_joints),
        )
        return f"{', '.join(what)}\ninput {height}x{width} (h x w) RGB, mean {mean}, std {std}"


def default_info(architecture: Architecture, file_name: str) -> CheckpointInfo:
    """All that follows from the network and the name of its file, ``parameters`` aside."""
    light = architecture.family == LIGHT
    count = architecture.num_joints
    return CheckpointInfo(
        family=architecture.family,
        num_joints=count,
        skeleton=next((name for name, known in SKELETONS.items() if len(known) == count), ""),
        decode=_decode_of(architecture, file_name),
        mean=LIGHT_MEAN if light else ALPHAPOSE_MEAN,
        std=LIGHT_STD if light else ALPHAPOSE_STD,
        details=architecture.options,
    )


def _decode_of(architecture: Architecture, file_name: str) -> str:
    """By the name of the file, else by what is known of published networks, else ""."""
    count = architecture.num_joints
    for word, decode in _NAMED:
        if word in file_name.lower() and (decode != COMBINED or count in COMBINED_TAILS):
            return decode
    if architecture.family == LIGHT or count == 21:
        return SIKR
    if count in (17, 26):
        return HEATMAP
    narrow = architecture.options.get("conv_dim") == 128
    return SIKR if narrow and count in (133, 136) else ""


def no_split(name: str, num_joints: int) -> str:
    """The message that ``name`` asks for "combined" where nothing can be combined."""
    known = ", ".join(map(str, COMBINED_TAILS))
    return f"{name}: {COMBINED} is for {known} joints, the network has {num_joints}"


def _network_text(family: str, details: Mapping[str, int]) -> str:
    names = {
        FASTPOSE: "FastPose, ResNet-{depth}",
        FASTPOSE_DUC: "FastPose-DUC, ResNet-{depth}",
        SIMPLEPOSE: "SimplePose, ResNet-{depth}",
        HRNET: "HRNet-W{width}",
        LIGHT: "light network on MobileNetV2",
    }
    additions = (
        " with deformable convolutions" if details.get("dcn") else "",
        " with pixel unshuffle" if details.get("unshuffle") else "",
        " without squeeze and excitation" if not details.get("se", True) else "",
    )
    return names[family].format(**details) + "".join(additions)


def _decode_text(decode: str, num_joints: int) -> str:
    if decode == COMBINED:
        tail = COMBINED_TAILS[num_joints]
        return f"decoded by heatmap maxima, the last {tail} joints by SIKR"
    known = {HEATMAP: "decoded by heatmap maxima", SIKR: "decoded by SIKR"}
    return known.get(decode, f"decoding unknown (one of {', '.join(DECODES)})")
