# SPDX-License-Identifier: Apache-2.0
"""``alphapose-ros eval pose``: joints in annotated boxes, and people found by the detector."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from alphapose_ros.base.errors import InputError
from alphapose_ros.cli.console import say, ticking
from alphapose_ros.cli.recordings import with_pose_weights

if TYPE_CHECKING:
    from alphapose_ros.config import PipelineConfig
    from alphapose_ros.data.people import Annotation, People
    from alphapose_ros.eval.pose import Estimates
    from alphapose_ros.eval.report import Report


def run_pose(args: argparse.Namespace, config: PipelineConfig) -> Sequence[Report]:
    """Measure joints in the annotated boxes, and with ``--detected`` the people found, too."""
    from alphapose_ros.pipeline import prepared_runtime
    from alphapose_ros.pose.factory import create_estimator
    from alphapose_ros.runtime.devices import choose_device

    config = with_pose_weights(config, args.weights)
    device = choose_device(config.device)
    estimator = create_estimator(config.pose, device, prepared_runtime(config, device))
    if args.detected and estimator.finds_people:
        for option in ("plot", "gallery", "feet"):
            if getattr(args, option):
                raise InputError(
                    f"--{option}: expected a pose network that answers given boxes, got a "
                    "one-stage one"
                )
        return _found(args, config, None)
    from alphapose_ros.eval.pose import (
        estimate_people,
        measure,
        measure_joints,
        measure_parts,
        people_with_joints,
    )
    from alphapose_ros.eval.report import Report

    if args.feet and estimator.skeleton.is_own:
        raise InputError(
            f"--feet: expected a network of a known skeleton, got {estimator.skeleton.name!r}"
        )
    people = (
        _with_given_feet(args)
        if args.feet
        else people_with_joints(
            Path(args.annotations), Path(args.images), _keep(args), estimator.skeleton
        )
    )
    with ticking(" images", quiet=args.quiet) as tick:
        given = estimate_people(estimator, people, tick, device)
    report = Report(
        f"{args.annotations}: poses in the annotated boxes",
        measure(given),
        measure_parts(given),
        joints=measure_joints(given),
    )
    reports = [replace(report, pictures=_pictures(args, given, report))]
    if args.feet:
        from alphapose_ros.eval.feet import measure_feet

        reports.append(
            Report(f"{args.feet}: feet, and feet guessed from legs", measure_feet(given))
        )
    return [*reports, *(_found(args, config, given) if args.detected else ())]


def _pictures(
    args: argparse.Namespace, given: Estimates, report: Report
) -> tuple[Callable[[], None], ...]:
    """What makes the plot and the gallery, as far as they are asked for."""

    def plot() -> None:
        from alphapose_ros.eval.panels import draw
        from alphapose_ros.eval.plots import pose_panels

        draw(pose_panels(given, report.parts), Path(args.plot), report.title)
        say(f"plot: {args.plot}")

    def gallery() -> None:
        from alphapose_ros.eval.gallery import write_gallery

        count = f"{report.numbers['people']} people in {report.numbers['images']} images"
        page = write_gallery(
            given,
            Path(args.gallery),
            worst=args.worst or 24,
            measured_on=f"{report.title}; {count}",
        )
        say(f"the worst people: {page}")

    return tuple(make for make, wanted in ((plot, args.plot), (gallery, args.gallery)) if wanted)


def _with_given_feet(args: argparse.Namespace) -> People:
    from alphapose_ros.data.feet import read_feet, read_set_with_feet
    from alphapose_ros.eval.parts import ANNOTATED

    feet = read_feet(Path(args.feet), "val")
    return read_set_with_feet(
        Path(args.annotations), Path(args.images), feet, label=ANNOTATED, keep=_keep(args)
    )


def _keep(args: argparse.Namespace) -> Callable[[Annotation], bool]:
    return lambda annotation: not (args.without and annotation.get(args.without))


def _found(
    args: argparse.Namespace, config: PipelineConfig, given: Estimates | None
) -> Sequence[Report]:
    from alphapose_ros.eval.detected import (
        evaluation_limits,
        find_people,
        ignored_regions,
        measure_detected,
    )
    from alphapose_ros.eval.pose import people_with_joints
    from alphapose_ros.eval.report import Report
    from alphapose_ros.pipeline import PosePipeline

    annotations, images, keep = Path(args.annotations), Path(args.images), _keep(args)
    people = given.people if given else people_with_joints(annotations, images, keep)
    ignored = ignored_regions(annotations, images, people, keep)
    pipeline = PosePipeline(evaluation_limits(config))
    with ticking(" images", quiet=args.quiet) as tick:
        found = find_people(pipeline, people, ignored, tick)
    numbers = measure_detected(found, people.skeleton, given)
    counts = {key: numbers.pop(key) for key in ("detected_images", "detected_poses")}
    title = f"{args.annotations}: people found by the detector, after pose NMS, matched by OKS"
    return [Report(title, counts, numbers, "detected_")]
