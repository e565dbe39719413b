# SPDX-License-Identifier: Apache-2.0
"""``alphapose-ros eval reid``: what a changed box does to an embedding."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alphapose_ros.base.errors import WeightsError
from alphapose_ros.eval.report import Report

if TYPE_CHECKING:
    from alphapose_ros.config import PipelineConfig


def run_reid(args: argparse.Namespace, config: PipelineConfig) -> Sequence[Report]:
    """Held-out people of a pose data set, each against one other view of everybody.

    Raises:
        WeightsError: the file is not of this project's network with attention.
    """
    from alphapose_ros.base.skeletons import HALPE26
    from alphapose_ros.data.people import read_people
    from alphapose_ros.data.reid_sets import instances
    from alphapose_ros.eval.reid_views import changed_views, evaluate_views
    from alphapose_ros.models.reid import ReidNet
    from alphapose_ros.registry.bundled import REID_NANO
    from alphapose_ros.registry.store import resolve
    from alphapose_ros.reid.factory import load_reid

    path = resolve(args.weights or config.reid.weights or REID_NANO)
    network = load_reid(path)[0]
    if not isinstance(network, ReidNet):
        raise WeightsError(f"{path}: expected a network with pose-guided attention")
    people = instances(read_people(Path(args.annotations), Path(args.images), HALPE26))
    found = evaluate_views(network, changed_views(people, most=args.most or 200))
    title = f"{args.annotations}: {found['people']} people, each against one other view of all"
    numbers: dict[str, Any] = {}
    for kind in ("ranking", "movement", "attention"):
        for condition, row in found[kind].items():
            for key, value in row.items():
                # an interval stands beside the number that it is of
                named = "ratio_95" if key == "interval" else key
                numbers[f"{kind}, {condition}: {named}"] = value
    return [Report(title, numbers)]
