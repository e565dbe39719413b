# SPDX-License-Identifier: Apache-2.0
"""``alphapose-ros eval reid``: who is found again, and what a changed box does to that."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alphapose_ros.base.errors import InputError
from alphapose_ros.cli.console import ticking
from alphapose_ros.eval.report import Report

if TYPE_CHECKING:
    from alphapose_ros.config import PipelineConfig
    from alphapose_ros.data.reid_sets import Sightings
    from alphapose_ros.eval.reid_views import Changed

_MOST = 200  # people who were seen once, unless told otherwise


def add_reid_options(parser: argparse.ArgumentParser) -> None:
    """The options that ``reid`` alone has."""
    group = parser.add_argument_group("reid")
    group.add_argument(
        "--identities",
        metavar="SET",
        help="pictures of people seen more than once: a FOLDER named as Market-1501's or "
        "PKU-Reid's, LIST@ROOT as MSMT17's, gt.txt@IMAGES of MOT, FILE.json@IMAGES of PoseTrack",
    )
    group.add_argument(
        "--queries", metavar="SET", help="whom to look for in them (default: all of them)"
    )
    group.add_argument(
        "--most",
        type=int,
        metavar="N",
        help="people at most (default: 200), with --identities queries (default: all)",
    )


def check_reid(args: argparse.Namespace) -> None:
    """Refuse options that do not fit together.

    Raises:
        InputError: what was expected and what came.
    """
    if args.most is not None and args.most < 2:
        raise InputError(f"--most: expected at least 2, got {args.most}")
    if args.queries and not args.identities:
        raise InputError("--queries: expected --identities SET with it")
    if args.identities and (args.annotations or args.images):
        raise InputError("eval reid: expected --annotations or --identities, got both")
    if not args.identities and not (args.annotations and args.images):
        raise InputError(
            "eval reid: expected --identities SET, or --annotations FILE and --images DIR"
        )


def reid_files(args: argparse.Namespace) -> list[str]:
    """What is read, of sets as FILE@FOLDER both."""
    return [part for each in (args.identities, args.queries) for part in (each or "").split("@")]


def run_reid(args: argparse.Namespace, config: PipelineConfig) -> Sequence[Report]:
    """Held-out people whose boxes change, against other views or other pictures of everybody."""
    from alphapose_ros.eval.reid_evaluation import evaluate_views
    from alphapose_ros.registry.bundled import REID_NANO
    from alphapose_ros.registry.store import resolve
    from alphapose_ros.reid.factory import load_reid

    path = resolve(args.weights or config.reid.weights or REID_NANO)
    network, own_hw, _ = load_reid(path)
    input_hw = config.reid.input_hw or own_hw
    changed = (
        _with_identities(args, config, input_hw)
        if args.identities
        else _with_views(args, input_hw)
    )
    found = evaluate_views(network, changed)
    if args.identities and not found["matched"]:
        raise InputError(
            f"{args.identities}: expected people who are seen more than once, where there are "
            "several cameras by more than one, found none"
        )
    against = (
        f"{found['queries']} queries of {found['people']} people, {found['gallery']} pictures"
        if args.identities
        else f"{found['people']} people, each against one other view of all"
    )
    numbers: dict[str, Any] = {name: found[name] for name in ("people", "queries", "gallery")}
    for kind in ("ranking", "movement", "attention"):
        for condition, row in found[kind].items():
            for key, value in row.items():
                # an interval stands beside the number that it is of
                named = "ratio_95" if key == "interval" else key
                numbers[f"{kind}, {condition}: {named}"] = value
    return [Report(f"{args.identities or args.annotations}: {against}", numbers)]


def _with_views(args: argparse.Namespace, input_hw: tuple[int, int]) -> Changed:
    """People who were seen once, in views of their own."""
    from alphapose_ros.base.skeletons import HALPE26
    from alphapose_ros.data.people import read_people
    from alphapose_ros.data.reid_sets import instances
    from alphapose_ros.eval.reid_views import changed_views

    people = instances(read_people(Path(args.annotations), Path(args.images), HALPE26))
    return changed_views(people, most=args.most or _MOST, input_hw=input_hw)


def _with_identities(
    args: argparse.Namespace, config: PipelineConfig, input_hw: tuple[int, int]
) -> Changed:
    """People who were seen more than once; the pose network finds the joints that no file has."""
    from alphapose_ros.base.skeletons import HALPE26
    from alphapose_ros.data.reid_sets import read_identities
    from alphapose_ros.eval.reid_poses import posed
    from alphapose_ros.eval.reid_views import identity_views
    from alphapose_ros.pipeline import prepared_runtime
    from alphapose_ros.pose.factory import create_estimator
    from alphapose_ros.runtime.devices import choose_device

    device = choose_device(config.device)
    estimator = create_estimator(config.pose, device, prepared_runtime(config, device))
    with ticking(" pictures", quiet=args.quiet) as tick:

        def read(source: str) -> Sightings:
            people = read_identities(source, HALPE26)
            known = people[people.identities >= 0]
            return posed(known, estimator, tick, device, config.reid.joint_score)

        gallery = read(args.identities)
        queries = read(args.queries) if args.queries else gallery
    return identity_views(queries, gallery, most=args.most or 0, input_hw=input_hw)
