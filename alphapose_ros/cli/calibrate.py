# SPDX-License-Identifier: Apache-2.0
"""``alphapose-ros train calibration``: joint scores that are chances of being right."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.settings import check_settings, setting
from alphapose_ros.cli.console import say, table, ticking
from alphapose_ros.data.people import People
from alphapose_ros.data.pose_samples import SetSpec
from alphapose_ros.data.readers import read_set
from alphapose_ros.eval.metrics import area_under_roc, calibration_error
from alphapose_ros.eval.pose import Estimates, estimate_people, placed_joints
from alphapose_ros.pose.confidence import Calibration, fit_calibration
from alphapose_ros.pose.config import PoseConfig
from alphapose_ros.pose.factory import create_estimator


@dataclass(frozen=True)
class CalibrationConfig:
    """What to fit scores on: people who did not train the network, which knows those too well.

    Attributes:
        out: JSON file to write, for ``pose.calibration``.
        people: annotated people to fit on, as ANNOTATIONS@IMAGES.
        held_out: others to judge by, as ANNOTATIONS@IMAGES; empty: none.
        weights: file or name of the network; empty: the bundled one.
        most: people of either set, evenly spread over it; 0: all.
    """

    out: str = "runs/calibration.json"
    people: str = ""
    held_out: str = ""
    weights: str = ""
    most: int = setting(1000, low=0)

    def __post_init__(self) -> None:
        check_settings(self)


def calibrate(config: CalibrationConfig) -> Path:
    """Fit a curve for every part that enough people show, and write them.

    Raises:
        InputError: a set cannot be used, or no part is shown by enough people.
    """
    found = _estimates(config, config.people)
    placed, known = placed_joints(found), known_joints(found.people)
    skeleton = found.people.skeleton
    calibration = fit_calibration(found.scores, placed, known, skeleton)
    if not calibration.curves:
        raise InputError(
            f"{config.people}: expected 30 people or more with joints both right and wrong of at "
            "least one part, got fewer"
        )
    target = Path(config.out)
    target.parent.mkdir(parents=True, exist_ok=True)
    calibration.save(target)
    if config.held_out:
        say(table(compared(_estimates(config, config.held_out), calibration), _COLUMNS))
    return target


_COLUMNS = ("held out", "joints", "ECE", "calibrated", "AUROC")


def compared(found: Estimates, calibration: Calibration) -> list[tuple[object, ...]]:
    """Per part: joints, calibration error before and after, AUROC, which a curve cannot change."""
    placed, known = placed_joints(found), known_joints(found.people)
    after = calibration(found.scores, found.people.skeleton)
    rows: list[tuple[object, ...]] = []
    for name, part in found.people.skeleton.parts.items():
        chosen = known[:, part] & (found.scores[:, part] > 0)
        if not chosen.any():
            continue
        right, before = placed[:, part][chosen], found.scores[:, part][chosen]
        errors = (calibration_error(s, right) for s in (before, after[:, part][chosen]))
        auroc = area_under_roc(before, right)
        rows.append((name, int(chosen.sum()), *(f"{e:.3f}" for e in errors), f"{auroc:.3f}"))
    return rows


def known_joints(people: People) -> np.ndarray:
    """(N, K) where a joint's place is known: annotated on the body, by pseudo labels elsewhere."""
    least = np.ones(len(people.skeleton))
    least[people.skeleton.parts.get("body", slice(0, 0))] = 2
    return people.labels >= least


def _estimates(config: CalibrationConfig, text: str) -> Estimates:
    spec = SetSpec.parse(text)
    estimator = create_estimator(PoseConfig(weights=config.weights))
    # The network's own joints: a calibration of others is refused when the network is built.
    found = read_set(spec.annotations, spec.images, estimator.skeleton)
    if len(found) == 0:
        raise InputError(f"{text}: expected people with keypoints, found none")
    people = _spread(found, config.most)
    with ticking(" images", quiet=False) as tick:
        return estimate_people(estimator, people, tick)


def _spread(people: People, most: int) -> People:
    if not most or len(people) <= most:
        return people
    return people[np.linspace(0, len(people) - 1, most).round().astype(int)]
