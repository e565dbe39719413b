# SPDX-License-Identifier: Apache-2.0
"""``alphapose-ros train ablation``: one training per idea, everything else equal, in a table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from alphapose_ros.base.custom_skeleton import skeleton_named
from alphapose_ros.base.errors import ConfigError
from alphapose_ros.base.settings import check_settings, setting
from alphapose_ros.cli.console import say, table, ticking
from alphapose_ros.cli.options import build_config
from alphapose_ros.data.pose_samples import SetSpec
from alphapose_ros.eval.pose import evaluate_pose
from alphapose_ros.io.part import write_json
from alphapose_ros.pose.ablation import LOSSES, decoder_of
from alphapose_ros.pose.config import PoseConfig
from alphapose_ros.pose.crops import CropSpec
from alphapose_ros.pose.estimator import PoseEstimator
from alphapose_ros.pose.factory import decoded_network
from alphapose_ros.runtime.devices import choose_device
from alphapose_ros.train.pose import train_pose
from alphapose_ros.train.pose_config import PoseTrainConfig
from alphapose_ros.train.run_config import changed_options, deciding_options
from alphapose_ros.train.students import make_student, write_student

_MEASURES = ("oks", "ap", "pck", "face_error", "auroc")


@dataclass(frozen=True)
class AblationConfig:
    """Which ideas to compare.

    Attributes:
        out: folder; a variant whose result lies there is not trained again, if it was made with
            the same options.
        training: YAML file of ``train pose`` that every variant shares.
        held_out: people to judge by, as ANNOTATIONS@IMAGES.
        variants: names of losses (``pose.ablation.LOSSES``), dpg, proposals, distilled, or
            single_domain, which takes the part-only sets and the pseudo labels away.
        steps: of each training.
        fresh_head: begin with a random last layer: one that was trained under one of the losses
            would favour it.
        proposals: file of ``train proposals``, for the variant of that name.
        teacher: weights for the variant distilled.
        window: of decoding, for two-step normalisation; 0 is the paper's.
    """

    out: str = "runs/ablation"
    training: str = ""
    held_out: str = ""
    variants: list[str] = field(
        default_factory=lambda: ["symmetric", "plain", "heatmap", "softmax", "dpg"]
    )
    steps: int = setting(400, low=1)
    fresh_head: bool = True
    proposals: str = ""
    teacher: str = ""
    window: float = setting(0.0, low=0)

    def __post_init__(self) -> None:
        check_settings(self)
        for name in self.variants:
            if name not in {**LOSSES, **self.ideas}:
                known = ", ".join([*LOSSES, *self.ideas])
                raise ConfigError(f"variants: expected some of {known}, got {name!r}")
            if name in ("proposals", "distilled") and not all(self.ideas[name].values()):
                raise ConfigError(f"variants: {name} needs its file, got none")

    @property
    def ideas(self) -> dict[str, dict[str, Any]]:
        """Variants that are no loss: what they change of the shared training."""
        return {
            "dpg": {"dpg": 0.5},
            "proposals": {"proposals": self.proposals},
            "distilled": {"distill": self.teacher},
            "single_domain": {"faces": "", "hands": "", "pseudo": ""},
        }


def ablate(config: AblationConfig) -> Path:
    """Train and judge every variant; returns the table as a Markdown file."""
    shared: PoseTrainConfig = build_config(
        PoseTrainConfig, config.training, {"steps": config.steps}
    )
    folder = Path(config.out)
    folder.mkdir(parents=True, exist_ok=True)
    judged_by = {"held_out": config.held_out, "window": config.window, "start": shared.init}
    if config.fresh_head:
        shared = replace(shared, init=str(_start(shared, folder / "start.safetensors")))
    rows = []
    for name in config.variants:
        change = config.ideas.get(name, {"loss": name})
        training = replace(shared, out=str(folder / name), **change)
        made_with = deciding_options(training) | judged_by
        result = folder / name / "result.json"
        measures = _kept(result, made_with)
        if measures is None:
            measures = _measured(config, training)
            write_json(result, {"measures": measures, "made_with": made_with})
        rows.append((name, measures))
    say(table([_row(name, found) for name, found in rows], ["variant", *_MEASURES]))
    target = folder / "ablation.md"
    lines = ["| variant | " + " | ".join(_MEASURES) + " |", "|---" * (len(_MEASURES) + 1) + "|"]
    lines += ["| " + " | ".join(_row(name, found)) + " |" for name, found in rows]
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return target


def _kept(result: Path, made_with: Mapping[str, Any]) -> dict[str, float] | None:
    """The measures in the file, None where there is none.

    Raises:
        ConfigError: it was made with other options than these.
    """
    if not result.is_file():
        return None
    content = json.loads(result.read_text(encoding="utf-8"))
    if not content.get("made_with"):
        raise ConfigError(f"{result}: does not say what made it: compare in another folder")
    changed = changed_options(content["made_with"], made_with, finished=True)
    if changed:
        raise ConfigError(f"{result}: made with {changed}: compare in another folder")
    measures: dict[str, float] = content["measures"]
    return measures


def _start(shared: PoseTrainConfig, path: Path) -> Path:
    """The shared start with a random last layer; the same seed makes the same one again."""
    student = make_student(shared.init, skeleton_named(shared.skeleton), shared.network)
    torch.manual_seed(shared.seed)
    last = [m for m in student.network.modules() if isinstance(m, nn.Conv2d)][-1]
    nn.init.normal_(last.weight, std=0.001)
    if last.bias is not None:
        nn.init.zeros_(last.bias)
    write_student(student, student.network.state_dict(), path)
    return path


def _measured(config: AblationConfig, training: PoseTrainConfig) -> dict[str, float]:
    """Train, and judge as the loss wants to be decoded."""
    weights = train_pose(training)
    network, info, skeleton = decoded_network(weights, PoseConfig())
    network.decode = decoder_of(training.chosen_loss, len(skeleton), config.window)
    device = choose_device(training.device)
    estimator = PoseEstimator(
        network.to(device).eval(), skeleton, crop=CropSpec(input_hw=info.input_hw), max_batch=4
    )
    spec = SetSpec.parse(config.held_out)
    with ticking(" images", quiet=False) as tick:
        found = evaluate_pose(
            estimator, spec.annotations, spec.images, device=device, on_image=tick
        )
    return {name: float(found[name]) for name in _MEASURES if name in found}  # type: ignore[arg-type]


def _row(name: str, found: Mapping[str, float]) -> tuple[str, ...]:
    return (name, *(f"{found[m]:.4f}" if m in found else "-" for m in _MEASURES))
