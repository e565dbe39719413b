# SPDX-License-Identifier: Apache-2.0
"""Parameters of parametric pose NMS, all of them searchable: none is a constant of a module."""

from __future__ import annotations

from dataclasses import dataclass

from alphapose_ros.base.errors import ConfigError

FORMS = ("auto", "body", "wholebody")


@dataclass(frozen=True)
class PoseNmsConfig:
    """Which poses are redundant. Body parameters are AlphaPose's; whole-body ones are ours.

    Whole-body lengths are fractions of the person's size, the square root of the box area.
    Merging is on because it pays: on COCO people whose box was seen two or three times, moved by
    7 % of its sides, the merged pose had an OKS .003 to .005 above the best-scored one's.

    Attributes:
        enabled: off passes every pose through.
        form: auto (whole-body where the skeleton has a face or hands), body or wholebody.
        body_delta1: confidence scale of the soft match.
        body_mu: weight of the spatial term.
        body_delta2: distance scale of the spatial term, px.
        body_gamma: similarity, summed over joints, above which a pose is redundant.
        body_match_count: coinciding joints that make a pose redundant.
        body_alpha: reach of a coincidence, as a fraction of the longer box side.
        body_match_px: upper limit of that reach, px.
        body_merge_px: upper limit of the reach of merging, px.
        body_min_score: a person's best joint must score this, before and after merging.
        body_min_area: smallest joint extent times 2.25, px²; 0 keeps all.
        min_joint_score: joints below do not count, a pose without any joint left is dropped.
        confidence_scale: sigma1 of the soft match, tanh(score / sigma1).
        match_radius: joints nearer than this match softly, in person sizes.
        spatial_scale: sigma2 of the spatial term, in person sizes.
        spatial_weight: lambda, weight of the spatial term beside the soft match.
        threshold: eta, similarity in [0, 1] above which a pose is redundant.
        feet_weight: share of the feet beside the body's 1.
        face_weight: share of the face.
        hand_weight: share of each hand.
        face_tolerance: factor on both lengths for joints of the face.
        hand_tolerance: factor on both lengths for joints of the hands.
        merge_radius: redundant joints nearer than this are averaged into the pick, in person
            sizes; 0 selects without merging.
    """

    enabled: bool = True
    form: str = "auto"
    body_delta1: float = 1.0
    body_mu: float = 1.7
    body_delta2: float = 2.65
    body_gamma: float = 22.48
    body_match_count: int = 5
    body_alpha: float = 0.1
    body_match_px: float = 7.0
    body_merge_px: float = 15.0
    body_min_score: float = 0.3
    body_min_area: float = 0.0
    min_joint_score: float = 0.1
    confidence_scale: float = 0.3
    match_radius: float = 0.1
    spatial_scale: float = 0.12
    spatial_weight: float = 1.0
    threshold: float = 0.35
    feet_weight: float = 0.1
    face_weight: float = 0.15
    hand_weight: float = 0.1
    face_tolerance: float = 0.6
    hand_tolerance: float = 0.8
    merge_radius: float = 0.08

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise ConfigError(f"nms.form: expected one of {', '.join(FORMS)}, got {self.form!r}")
        for name in (
            "body_delta1", "body_delta2", "confidence_scale", "match_radius", "spatial_scale",
            "face_tolerance", "hand_tolerance",
        ):  # fmt: skip
            _check(name, getattr(self, name), getattr(self, name) > 0, "a number > 0")
        for name in (
            "body_mu", "body_alpha", "body_match_px", "body_merge_px", "body_min_area",
            "spatial_weight", "feet_weight", "face_weight", "hand_weight", "merge_radius",
        ):  # fmt: skip
            _check(name, getattr(self, name), getattr(self, name) >= 0, "a number >= 0")
        for name in ("body_min_score", "min_joint_score", "threshold"):
            _check(name, getattr(self, name), 0 <= getattr(self, name) <= 1, "a number in [0, 1]")
        _check("body_match_count", self.body_match_count, self.body_match_count >= 1, "at least 1")


def _check(name: str, value: float, good: bool, expected: str) -> None:
    if not good:
        raise ConfigError(f"nms.{name}: expected {expected}, got {value!r}")
