# SPDX-License-Identifier: Apache-2.0
"""``alphapose-ros train nms``: parameters of pose NMS that give the highest AP."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.settings import Setting, check_settings, setting, setting_of
from alphapose_ros.cli.console import say, table, ticking
from alphapose_ros.config import PipelineConfig
from alphapose_ros.data.pose_samples import SetSpec
from alphapose_ros.eval.metrics import ImageMatches, average_precision
from alphapose_ros.eval.suppression import Candidates, collect_candidates, paired_gain
from alphapose_ros.io.part import write_json
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
BODY = slice(0, 17)
BOX_IOUS = (0.45, 0.65, 0.85)
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
    if not fitting.people.labels[:, BODY].any():
        raise InputError(f"{config.people}: expected people with labelled body joints, got none")
    found = fit_nms(fitting, pipeline.nms, config.rounds)
    learned = with_values(pipeline.nms, found.values)
    say(f"AP on the fitting set {found.start:.4f} -> {found.score:.4f}, {found.tried} sets tried")
    report: dict[str, Any] = {
        "parameters": found.values,
        "fitted_ap": [found.start, found.score],
        "fitted_with": asdict(config),
    }
    if config.held_out:
        judged = _candidates(config, pipeline, config.held_out, "held_out")
        report["held_out"] = compared(
            judged, pipeline.nms, learned, pipeline.resolved().detector.nms_iou
        )
    target = Path(config.out) / "nms.json"
    write_json(target, report)
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
    candidates: Candidates, given: PoseNmsConfig, learned: PoseNmsConfig, product_iou: float
) -> dict[str, Any]:
    """AP with and without pose NMS, behind a box NMS of several overlaps, and the paired gains.

    Args:
        candidates: of people that nothing was fitted on.
        given, learned: parameters to compare.
        product_iou: the detector's own overlap, at which the gains are taken.
    """
    off, ap = replace(given, enabled=False), {}
    ways = {"none": off, "given": given, "learned": learned}
    matches: dict[str, list[ImageMatches]] = {}
    for iou in sorted({*BOX_IOUS, product_iou}):
        kept = candidates.with_box_nms(iou)
        for name, way in ways.items():
            found = kept.matches(way)
            ap[f"{name} at {iou:g}"] = float(average_precision(found).mean())
            if iou == product_iou:
                matches[name] = found
    rows = [
        (f"{iou:g}", *(f"{ap[f'{name} at {iou:g}']:.4f}" for name in ways))
        for iou in sorted({*BOX_IOUS, product_iou})
    ]
    say(table(rows, ["box NMS at IoU", *(f"{name}, AP" for name in ways)]))
    gains = {}
    for name, other in (("learned", "given"), ("given", "none")):
        gain, interval = paired_gain(matches[name], matches[other])
        gains[f"{name} - {other}"] = [gain, *interval]
        low, high = interval
        say(f"{name} - {other} at IoU {product_iou:g}: {gain:+.4f} [{low:+.4f}, {high:+.4f}]")
    return {"ap": ap, "gains": gains}


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
