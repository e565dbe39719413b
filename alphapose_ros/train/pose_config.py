# SPDX-License-Identifier: Apache-2.0
"""Configuration of ``alphapose-ros train pose``."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from alphapose_ros.base.affine import INPUT_HW, SIDE_STEP, parse_input_hw
from alphapose_ros.base.errors import ConfigError
from alphapose_ros.base.settings import check_settings, setting
from alphapose_ros.data.feet import FeetSpec
from alphapose_ros.pose.ablation import LOSSES
from alphapose_ros.pose.loss_config import PoseLossConfig
from alphapose_ros.train.run_config import RunConfig


@dataclass(frozen=True)
class PoseTrainConfig(RunConfig):
    """A training run of a pose network.

    Attributes:
        out: folder for checkpoint, log and the finished weights.
        sets: data sets as ANNOTATIONS@IMAGES=RATIO.
        faces: a face-only set to paste onto heads, as ANNOTATIONS@IMAGES; empty for none.
        hands: a hand-only set to paste onto wrists, as ANNOTATIONS@IMAGES; empty for none.
        feet: doubtful foot labels (``data.feet``) for one of ``sets``, as FEET@ANNOTATIONS, the
            annotations named as there; empty for none.
        feet_weight: weight of the doubtful feet in the loss, beside the body's 1; their distance
            is a robust one.
        proposals: file of ``train proposals`` that boxes are drawn from, in place of scale and
            shift; empty for none.
        dpg: probability that a box's sides move by AlphaPose's constants first.
        pseudo: a set whose people without a pose are labelled by ``teacher``, as
            ANNOTATIONS@IMAGES=RATIO; empty for none. Done once, kept in ``out``.
        teacher: ONNX network that labels them.
        init: weights to start from: a file of any pose network that can be run, the name of a
            known model, or MoveNet's .tflite; empty: random ones.
        network: light, fastpose50, fastpose50_dcn, fastpose50_duc, simplepose50, hrnet_w32 or
            their larger ones; empty: that of ``init``, else light.
        skeleton: the joints to learn: a known set's name, or a YAML file of a custom one. Joints
            that ``init`` knows keep their maps. A new one starts from the joint of the same side
            whose name shares most words (a hand is a wrist, a foot an ankle), else from its
            mirror partner's start, else from the mean of all maps; the log says which.
        joint_starts: JOINT=JOINT of ``init``, where names say too little.
        input_hw: height and width of a crop, multiples of 32.
        other_sizes: crops of these sizes take turns with those of ``input_hw``, piece by piece,
            each as 192x128: one network for several (``pose.input_size``).
        freeze: number of trunk blocks, from the input, that keep their weights and moments.
        batch_size: crops per step, of all pieces and processes together.
        accumulate: pieces in which a step's crops pass the network, for little memory; the loss
            of a step is the mean of theirs.
        heatmap_steps: steps at the start with the heatmap term alone.
        freeze_norm: keep the batch norms' running moments (small batches would spoil them).
            Without ``init`` there are none to keep, and they are learned in any case.
        loss: symmetric, or another of ``pose.ablation.LOSSES``, for comparison.
        sikr_weight: weight of the SIKR term beside the heatmap term's 1.
        tail_cut: share of a map's peak below which the SIKR term takes no part of it; the
            finished file says so, and decoding does the same. 0 is AlphaPose's own.
        distill: weights of a teacher that sees each crop before it is spoilt, the student after;
            of the same joints. Empty for none.
        distill_weight: of its terms beside those of the labels.
        distill_score: joints of which it is less sure teach nothing.
        augment: strength of the augmentation, 1 as configured, 0 none.
    """

    out: str = "runs/pose"
    sets: list[str] = field(default_factory=list)
    faces: str = ""
    hands: str = ""
    feet: str = ""
    feet_weight: float = setting(0.1, low=0)
    proposals: str = ""
    dpg: float = setting(0.0, low=0, high=1)
    pseudo: str = ""
    teacher: str = ""
    init: str = ""
    network: str = ""
    skeleton: str = "halpe136"
    joint_starts: list[str] = field(default_factory=list)
    input_hw: tuple[int, ...] = INPUT_HW
    other_sizes: list[str] = field(default_factory=list)
    freeze: int = setting(0, low=0)
    batch_size: int = setting(32, low=1)
    accumulate: int = setting(1, low=1)
    heatmap_steps: int = setting(100, low=0)
    freeze_norm: bool = True
    loss: str = setting("symmetric", choices=tuple(LOSSES))
    sikr_weight: float = setting(4.0, low=0)
    tail_cut: float = setting(0.3, low=0, high=1)
    distill: str = ""
    distill_weight: float = setting(1.0, low=0)
    distill_score: float = setting(0.5, low=0, high=1)
    augment: float = setting(1.0, low=0)

    def __post_init__(self) -> None:
        check_settings(self)
        if not self.sets:
            raise ConfigError("sets: expected at least one ANNOTATIONS@IMAGES=RATIO, got none")
        named = [Path(text.partition("@")[0]) for text in self.sets]
        if self.feet and FeetSpec.parse(self.feet).annotations not in named:
            raise ConfigError(f"feet: expected annotations that sets names, got {self.feet!r}")
        if self.pseudo and not self.teacher:
            raise ConfigError("pseudo: expected a teacher as well, got none")
        if len(self.input_hw) != 2 or any(side < 1 or side % SIDE_STEP for side in self.input_hw):
            raise ConfigError(
                f"input_hw: expected height and width, multiples of {SIDE_STEP}, "
                f"got {self.input_hw}"
            )
        _ = (
            self.rates,
            self.given_starts,
            self.sizes,
        )  # refused here rather than after the data was read

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Height and width of the crops of one piece after another, in turn."""
        others = [parse_input_hw(text, "other_sizes") for text in self.other_sizes]
        return [(self.input_hw[0], self.input_hw[1]), *others]

    @property
    def chosen_loss(self) -> PoseLossConfig:
        """``loss`` with this run's weight and tail cut; AlphaPose's own kinds keep theirs."""
        chosen = LOSSES[self.loss]
        if chosen.kind in ("heatmap", "combined"):
            return chosen
        cut = self.tail_cut if chosen.norm == "sigmoid" else 0.0
        return replace(chosen, sikr=self.sikr_weight, tail_cut=cut)

    @property
    def given_starts(self) -> dict[str, str]:
        """``joint_starts`` as new joint -> joint of ``init``."""
        pairs = [text.partition("=")[::2] for text in self.joint_starts]
        for text, (new, old) in zip(self.joint_starts, pairs, strict=True):
            if not new or not old:
                raise ConfigError(f"joint_starts: expected JOINT=JOINT, got {text!r}")
        return dict(pairs)
