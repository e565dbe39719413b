# SPDX-License-Identifier: Apache-2.0
"""``alphapose-ros train blend``: between two networks, weight by weight.

A network that was trained on few people moves away from a start that had seen many, and some of
the way it only learns these few by heart. A step back along the straight line often serves unseen
people better (Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from alphapose_ros.base.custom_skeleton import skeleton_named
from alphapose_ros.base.errors import ConfigError, InputError
from alphapose_ros.base.settings import check_settings, setting
from alphapose_ros.models.family import LIGHT
from alphapose_ros.models.info import COMBINED, COMBINED_TAILS, no_split
from alphapose_ros.registry.store import resolve
from alphapose_ros.train.students import (
    Student,
    make_student,
    skeleton_of,
    unfolded,
    write_student,
)


@dataclass(frozen=True)
class BlendConfig:
    """Two weight files and how much of each.

    Attributes:
        weights: the trained network, as ``init`` of ``train pose``.
        other: the network to go back to, of the same layout; usually the start of the training.
        share: of ``other``; 0 leaves ``weights`` as they are.
        layers: beginning of the names of the layers to blend; empty: all. ``features`` is the
            trunk of the light network; its head is no use where ``other`` knows other joints.
        skeleton: joints of the blend, a known set or a YAML file; empty: those of ``weights``.
        out: the file to write.
    """

    weights: str = ""
    other: str = ""
    share: float = setting(0.1, low=0, high=1)
    layers: str = "features"
    skeleton: str = ""
    out: str = "runs/blend/pose.safetensors"

    def __post_init__(self) -> None:
        check_settings(self)
        if not self.weights or not self.other:
            raise ConfigError("expected weights and other, two networks to blend")


def blend(config: BlendConfig) -> Path:
    """Write the blend; returns its file.

    Raises:
        InputError: ``out`` would replace one of the two.
        ConfigError: the networks differ in layout, no layer is called so, nobody knows the
            joints, or they are too few for the way in which the maps are read.
        WeightsError: a file is missing or damaged.
    """
    out = Path(config.out)
    if any(out.resolve() == Path(name).resolve() for name in (config.weights, config.other)):
        raise InputError(f"{out}: expected another file than the ones that are blended")
    named = config.skeleton
    skeleton = skeleton_named(named) if named else skeleton_of(config.weights)
    student, other = (make_student(name, skeleton) for name in (config.weights, config.other))
    own, theirs = _plain(student), _plain(other)
    if {k: v.shape for k, v in own.items()} != {k: v.shape for k, v in theirs.items()}:
        raise ConfigError(
            f"expected two networks of one layout, got {student.info.text()} and "
            f"{other.info.text()}"
        )
    chosen = [name for name in own if name.startswith(config.layers)]
    if not chosen:
        raise ConfigError(f"layers: expected the beginning of a layer's name, got {config.layers}")
    mixed = own | {name: _between(own[name], theirs[name], config.share) for name in chosen}
    if student.info.family == LIGHT:
        counters = {k: v for k, v in student.network.state_dict().items() if k not in mixed}
        mixed = counters | unfolded(mixed, student.network)
    info = student.info
    if info.decode == COMBINED and info.num_joints not in COMBINED_TAILS:
        raise ConfigError(no_split(f"{resolve(config.weights)}: decode", info.num_joints))
    out.parent.mkdir(parents=True, exist_ok=True)
    student = replace(student, info=replace(info, untaught=student.untaught))
    return write_student(student, mixed, out)


def _plain(student: Student) -> dict[str, Tensor]:
    """Weights between which a straight line makes sense: norms folded into the light network."""
    if student.info.family != LIGHT:
        return student.network.state_dict()
    from alphapose_ros.models.light import fold_batch_norm

    return fold_batch_norm(student.network.eval()).state_dict()  # type: ignore[arg-type]


def _between(own: Tensor, theirs: Tensor, share: float) -> Tensor:
    return own.lerp(theirs, share) if own.is_floating_point() else own
