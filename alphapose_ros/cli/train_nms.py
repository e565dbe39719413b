# SPDX-License-Identifier: Apache-2.0
"""``alphapose-ros train nms``: parameters of pose NMS that give the highest AP."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from alphapose_ros.base.settings import Setting, check_settings, setting, setting_of
from alphapose_ros.cli.console import say, table, ticking
from alphapose_ros.config import PipelineConfig
from alphapose_ros.data.pose_samples import SetSpec
from alphapose_ros.eval.suppression import Candidates, collect_candidates, paired_gain
from alphapose_ros.pose.nms import PoseNms
from alphapose_ros.pose.nms_config import PoseNmsConfig
from alphapose_ros.train.pair_search import Found, search_pairs

WHOLEBODY_PAIRS = (
    ("threshold", "match_radius"),
    ("spatial_scale", "spatial_weight"),
    ("confidence_scale", "merge_radius"),
    ("min_joint_score", "merge_radius"),
)
BODY_PAIRS = (
    ("body_gamma", "body_mu"),
    ("body_delta1", "body_delta2"),
    ("body_alpha", "body_match_px"),
)
FACTORS = (0.5, 0.7, 0.85, 1.2, 1.4, 2.0)


@dataclass(frozen=True)
class NmsTrainConfig:
    """What to fit pose NMS on.

    Attributes:
        out: folder for the candidates and ``nms.json``.
        people: annotated people to fit on, as ANNOTATIONS@IMAGES.
        held_out: others to judge by, as ANNOTATIONS@IMAGES; empty: none.
        images: most images of either, evenly spread over the set; 0: all.
        nms_iou: overlap below which the detector keeps both boxes.
        preset: pipeline whose networks answer.
        rounds: most passes over all pairs of parameters.
    """

    out: str = "runs/nms"
    people: str = ""
    held_out: str = ""
    images: int = setting(400, low=0)
    nms_iou: float = setting(0.85, low=0, high=1)
    preset: str = "nano"
    rounds: int = setting(3, low=1)

    def __post_init__(self) -> None:
        check_settings(self)


def train_nms(config: NmsTrainConfig) -> Path:
    """Fit, compare with what was configured and with no pose NMS at all, write ``nms.json``.

    Raises:
        InputError: a set cannot be used.
    """
    pipeline = PipelineConfig.preset_named(config.preset)
    fitting = _candidates(config, pipeline, config.people, "fitting")
    found = fit_nms(fitting, pipeline.nms, config.rounds)
    learned = with_values(pipeline.nms, found.values)
    say(f"AP on the fitting set {found.start:.4f} -> {found.score:.4f}, {found.tried} sets tried")
    report = {"parameters": found.values, "fitted_ap": [found.start, found.score]}
    if config.held_out:
        judged = _candidates(config, pipeline, config.held_out, "held_out")
        report["held_out"] = compared(judged, pipeline.nms, learned)
    target = Path(config.out) / "nms.json"
    target.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return target


def fit_nms(candidates: Candidates, start: PoseNmsConfig, rounds: int) -> Found:
    """The parameters of the form that the candidates' skeleton takes."""
    skeleton = candidates.poses[0].skeleton
    pairs = WHOLEBODY_PAIRS if PoseNms(start).form(skeleton) == "wholebody" else BODY_PAIRS
    names = dict.fromkeys(name for pair in pairs for name in pair)
    known = {field.name: setting_of(field) for field in fields(PoseNmsConfig)}
    least = {name: known[name].low or 0.0 for name in names}
    limits = {
        # A length or scale of 0 means nothing any more.
        name: (1e-6 if known[name].above else least[name], _highest(known[name]))
        for name in names
    }
    return search_pairs(
        {name: float(getattr(start, name)) for name in names},
        pairs,
        FACTORS,
        lambda values: candidates.ap(with_values(start, values)),
        rounds=rounds,
        limits=limits,
    )


def with_values(config: PoseNmsConfig, values: Mapping[str, float]) -> PoseNmsConfig:
    """The same parameters but these."""
    changed: dict[str, Any] = dict(values)
    return replace(config, **changed)


def _highest(limits: Setting) -> float:
    return math.inf if limits.high is None else limits.high


def compared(
    candidates: Candidates, given: PoseNmsConfig, learned: PoseNmsConfig
) -> dict[str, object]:
    """AP of three ways, and the gain of the learned one over the given with its interval."""
    off = replace(given, enabled=False)
    matches = {
        name: candidates.matches(each)
        for name, each in (("none", off), ("given", given), ("learned", learned))
    }
    ap = {
        "none": candidates.ap(off),
        "given": candidates.ap(given),
        "learned": candidates.ap(learned),
    }
    gain, interval = paired_gain(matches["learned"], matches["given"])
    over_none, none_interval = paired_gain(matches["given"], matches["none"])
    say(table([(name, f"{value:.4f}") for name, value in ap.items()], ["pose NMS", "AP held out"]))
    say(f"learned - given {gain:+.4f} [{interval[0]:+.4f}, {interval[1]:+.4f}]")
    say(f"given - none {over_none:+.4f} [{none_interval[0]:+.4f}, {none_interval[1]:+.4f}]")
    return {
        "ap": ap,
        "gain": gain,
        "gain_95": interval,
        "over_none": over_none,
        "over_none_95": none_interval,
    }


def _candidates(
    config: NmsTrainConfig, pipeline: PipelineConfig, text: str, name: str
) -> Candidates:
    spec = SetSpec.parse(text)
    cache = Path(config.out) / f"{name}.npz"
    with ticking(" images", quiet=False) as tick:
        return collect_candidates(
            pipeline,
            spec.annotations,
            spec.images,
            nms_iou=config.nms_iou,
            cache=cache,
            most=config.images,
            on_image=tick,
        )
