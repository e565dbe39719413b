# SPDX-License-Identifier: Apache-2.0
"""The pose networks that can be trained: by name, from a file, and back into a file."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from alphapose_ros.base.errors import ConfigError, WeightsError
from alphapose_ros.base.skeletons import COCO17, HALPE136, SKELETONS, Skeleton
from alphapose_ros.models.checkpoint import load_checkpoint, save_checkpoint
from alphapose_ros.models.family import (
    FASTPOSE,
    FASTPOSE_DUC,
    HRNET,
    LIGHT,
    SIMPLEPOSE,
    Architecture,
    architecture_of,
)
from alphapose_ros.models.info import SIKR, CheckpointInfo, default_info
from alphapose_ros.models.state import without_prefix
from alphapose_ros.models.stored_skeleton import add_skeleton, stored_skeleton
from alphapose_ros.pose.factory import untaught_joints
from alphapose_ros.registry.store import resolve
from alphapose_ros.train.transfer import joint_starts, with_starts
from alphapose_ros.weights import load_tensors

log = logging.getLogger(__name__)

_NAMES = (
    "light, fastpose{50,101,152}[_dcn], fastpose{50,101,152}_duc, simplepose{50,101,152}, "
    "hrnet_w{32,48}"
)
_HRNET_HEAD = ("stage4", "final_layer")


@dataclass(frozen=True)
class Student:
    """A network in training.

    Attributes:
        network: as it is trained, its norms in place.
        info: what the finished file will say of it; what it was not taught, only training knows.
        skeleton: of its maps.
        folded: whether its norms are still the identity and want the moments of real samples.
        untaught: joints of which the start knows nothing; None: a random start, all of them.
    """

    network: nn.Module
    info: CheckpointInfo
    skeleton: Skeleton
    folded: bool = False
    untaught: tuple[str, ...] | None = None

    def normalised(self, images: Tensor, device: torch.device) -> Tensor:
        """(B, h, w, 3) uint8 RGB -> (B, 3, h, w) float32 as the network takes it."""
        mean, std = (
            torch.tensor(values, device=device).view(3, 1, 1)
            for values in (self.info.mean, self.info.std)
        )
        pixels = images.to(device).permute(0, 3, 1, 2).float()
        return pixels.div_(255).sub_(mean).div_(std)

    def trunk_blocks(self) -> list[nn.Module]:
        """The blocks that see the picture first, from the input on; not the head."""
        if self.info.family == LIGHT:
            return list(self.network.get_submodule("features").children())
        if self.info.family == HRNET:
            children = self.network.named_children()
            return [module for name, module in children if name not in _HRNET_HEAD]
        return list(self.network.get_submodule("preact").children())


def architecture_named(name: str, num_joints: int) -> Architecture:
    """The network of a name such as "fastpose50_dcn".

    Raises:
        ConfigError: no such network.
    """
    if name == LIGHT:
        return Architecture(LIGHT, num_joints, {"head_channels": 96})
    if match := re.fullmatch(r"hrnet_w(32|48)", name):
        return Architecture(HRNET, num_joints, {"width": int(match[1])})
    if match := re.fullmatch(r"simplepose(50|101|152)", name):
        return Architecture(SIMPLEPOSE, num_joints, {"depth": int(match[1])})
    if match := re.fullmatch(r"fastpose(50|101|152)(_dcn|_duc|)", name):
        depth = int(match[1])
        if match[2] == "_duc":
            options = {"depth": depth, "se": True, "unshuffle": depth == 50}
            return Architecture(FASTPOSE_DUC, num_joints, options)
        wide = 128 if num_joints in (17, 26, 133, 136) else 256
        options = {"depth": depth, "conv_dim": wide, "se": True, "dcn": match[2] == "_dcn"}
        return Architecture(FASTPOSE, num_joints, options)
    raise ConfigError(f"network: expected one of {_NAMES}, got {name!r}")


def make_student(
    init: str,
    skeleton: Skeleton,
    network: str = "",
    given: Mapping[str, str] | None = None,
) -> Student:
    """A network for ``skeleton`` with the weights of ``init``, random ones where that is empty.

    Args:
        init: a file of any network that can be run, a known model's name, MoveNet's .tflite.
        skeleton: of the maps to train; another than the file's is mapped by names.
        network: a name as in :func:`architecture_named`; empty: the file's, or light.
        given: joint of ``skeleton`` -> joint of the file, where names say too little.

    Raises:
        ConfigError: no such network, or a joint in ``given`` is not there.
        WeightsError: the file is missing, damaged or of another network.
    """
    if not init or init.endswith(".tflite"):
        architecture = architecture_named(network or LIGHT, len(skeleton))
        made = _described(architecture.build(), architecture, skeleton)
        return _from_movenet(made, init) if init else made
    path = resolve(init)
    _, info = load_checkpoint(path)  # says what is wrong with the file, and what it is
    state = without_prefix(load_tensors(path))
    state = {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
    found = architecture_of(state)
    wanted = architecture_named(network, found.num_joints) if network else found
    if (wanted.family, dict(wanted.options)) != (found.family, dict(found.options)):
        raise WeightsError(f"{path}: expected {network}, got {found.family} {dict(found.options)}")
    source = stored_skeleton(path) or SKELETONS.get(info.skeleton)
    starts = joint_starts(skeleton, source, found.num_joints, given)
    known = set(source.keypoint_names) - set(untaught_joints(info, source)) if source else set()
    for start in starts:
        if start.why != "equal name":
            log.info("%s starts from %s", start.joint, start.why)
    architecture = Architecture(found.family, len(skeleton), found.options)
    student = architecture.build()
    folded = found.family == LIGHT and not any(key.endswith("running_mean") for key in state)
    state = with_starts(unfolded(state, student) if folded else state, starts)
    counters = {k: v for k, v in student.state_dict().items() if k.endswith("batches_tracked")}
    try:
        student.load_state_dict(counters | state)
    except RuntimeError as error:
        raise WeightsError(f"{path}: does not fit its network: {error}") from error
    described = _described(student, architecture, skeleton)
    kept = ("mean", "std", "input_hw", "decode", "tail_cut", "norm")
    as_taught = replace(described.info, **{name: getattr(info, name) for name in kept})
    untaught = tuple(name for name in skeleton.keypoint_names if name not in known)
    return Student(student, as_taught, skeleton, folded, untaught)


def skeleton_of(init: str) -> Skeleton:
    """The joints of a network as :func:`make_student` takes it; Halpe's 136 where it is MoveNet.

    Raises:
        ConfigError: nobody knows.
        WeightsError: the file is missing or damaged.
    """
    if init.endswith(".tflite"):
        return HALPE136
    path = resolve(init)
    _, info = load_checkpoint(path)
    found = stored_skeleton(path) or SKELETONS.get(info.skeleton)
    if found is None:
        raise ConfigError(
            f"{path}: no known skeleton has {info.num_joints} joints; name one with skeleton"
        )
    return found


def write_student(student: Student, state: Mapping[str, Tensor], path: Path) -> Path:
    """Write ``state`` as the finished file of a student, with all that running it needs.

    The light network is folded and in float16: folding comes first, because running variances
    span more than half precision holds. The others keep norms and float32.
    """
    if student.info.family == LIGHT:
        from alphapose_ros.models.light import LightPose, fold_batch_norm

        light = LightPose(len(student.skeleton), **student.info.details)  # type: ignore[arg-type]
        light.load_state_dict(dict(state))
        network: nn.Module = fold_batch_norm(light.eval()).half()
    else:
        network = Architecture(
            student.info.family, len(student.skeleton), student.info.details
        ).build()
        network.load_state_dict(dict(state))
    save_checkpoint(network, student.info, path)
    if not student.info.skeleton:
        add_skeleton(path, student.skeleton)
    log.info("wrote %s", path)
    return path


def _described(network: nn.Module, architecture: Architecture, skeleton: Skeleton) -> Student:
    known = SKELETONS.get(skeleton.name) is skeleton
    info = replace(
        default_info(architecture, ""),
        decode=SIKR,
        skeleton=skeleton.name if known else "",
        parameters=sum(parameter.numel() for parameter in network.parameters()),
    )
    return Student(network, info, skeleton)


def _from_movenet(student: Student, init: str) -> Student:
    from alphapose_ros.train.movenet import load_movenet

    if student.info.family != LIGHT or student.skeleton is not HALPE136:
        raise ConfigError(f"{init}: MoveNet starts the light network for halpe136 alone")
    load_movenet(student.network, Path(init))  # type: ignore[arg-type]
    known = COCO17.keypoint_names
    untaught = tuple(name for name in student.skeleton.keypoint_names if name not in known)
    return Student(student.network, student.info, student.skeleton, True, untaught)


def unfolded(state: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Folded convolutions -> convolutions and norms that only add their bias."""
    out = dict(state)
    conv = ""
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            conv = name
        elif isinstance(module, nn.BatchNorm2d) and f"{conv}.bias" in out:
            bias = out.pop(f"{conv}.bias")
            out[f"{name}.weight"], out[f"{name}.bias"] = torch.ones_like(bias), bias
            out[f"{name}.running_mean"] = torch.zeros_like(bias)
            out[f"{name}.running_var"] = torch.full_like(bias, 1 - module.eps)
    return out
