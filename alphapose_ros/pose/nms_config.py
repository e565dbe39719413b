# SPDX-License-Identifier: Apache-2.0
"""Parameters of parametric pose NMS, all of them searchable: none is a constant of a module."""

from __future__ import annotations

from dataclasses import dataclass

from alphapose_ros.base.settings import check_settings, setting

FORMS = ("auto", "body", "wholebody")


@dataclass(frozen=True)
class PoseNmsConfig:
    """Which poses are redundant. Body parameters are AlphaPose's; whole-body ones are learned.

    ``alphapose-ros train nms`` found the whole-body ones on COCO people (docs/training.md).

    Whole-body lengths are fractions of the person's size, the square root of the box area.
    Merging is on because it pays: on COCO people whose box was seen two or three times, moved by
    7 % of its sides, the merged pose had an OKS .003 to .005 above the best-scored one's.

    Attributes:
        enabled: off passes every pose through.
        form: auto (whole-body where the skeleton has a face or hands or is one's own), body or
            wholebody.
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
    form: str = setting("auto", choices=FORMS)
    body_delta1: float = setting(1.0, above=0)
    body_mu: float = setting(1.7, low=0)
    body_delta2: float = setting(2.65, above=0)
    body_gamma: float = setting(22.48, low=0)
    body_match_count: int = setting(5, low=1)
    body_alpha: float = setting(0.1, low=0)
    body_match_px: float = setting(7.0, low=0)
    body_merge_px: float = setting(15.0, low=0)
    body_min_score: float = setting(0.3, low=0, high=1)
    body_min_area: float = setting(0.0, low=0)
    min_joint_score: float = setting(0.06, low=0, high=1)
    confidence_scale: float = setting(0.18, above=0)
    match_radius: float = setting(0.06, above=0)
    spatial_scale: float = setting(0.12, above=0)
    spatial_weight: float = setting(1.6, low=0)
    threshold: float = setting(0.56, low=0, high=1)
    feet_weight: float = setting(0.1, low=0)
    face_weight: float = setting(0.15, low=0)
    hand_weight: float = setting(0.1, low=0)
    face_tolerance: float = setting(0.6, above=0)
    hand_tolerance: float = setting(0.8, above=0)
    merge_radius: float = setting(0.13, low=0)

    def __post_init__(self) -> None:
        check_settings(self, "nms")
