# SPDX-License-Identifier: Apache-2.0
"""How a frame's time, its parts, memory and processor load grow: people, cameras, resolutions.

    python benchmarks/scaling.py [--threads 1] [--json scaling.json] [--quick]

The pipeline without middleware. Each point runs in a process of its own, so that its memory is its
own. The pictures hold as many people as the point says; the real detector runs on them and is paid
for, then the people's true boxes go on, so that their number is exact. The bare networks
(detector, pose, re-identification) follow each frame on the very inputs that they had; ratios are
medians over the turns.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from _results import Plot, Results, Table, ratio, slope
from _scenes import SIZES, Scene, scenes, size_named

from alphapose_ros.base.errors import AlphaPoseError, InputError
from alphapose_ros.base.records import Detections, Frame
from alphapose_ros.imaging import ImageBatch

PEOPLE, CAMERAS = (1, 2, 5, 10, 20, 50), (1, 2, 4, 8)
STAGES = ("upload", "detect", "pose", "nms", "reid", "track")
_FRAME_NS = 33_333_333
_WARM_UP = 3


@dataclass(frozen=True)
class Point:
    """What one process measures."""

    people: int = 5
    cameras: int = 1
    size: str = "VGA"
    frames: int = 20
    threads: int = 1
    preset: str = "nano"
    device: str = "cpu"


class GivenPeople:
    """The detector runs; what it found is replaced by what is there.

    Args:
        detector: whose network is held as ``model``.
    """

    def __init__(self, detector: Any) -> None:
        self._detector = detector
        self.people = Detections.empty()

    @property
    def model(self) -> Any:
        """The detector's network."""
        return self._detector.model

    @model.setter
    def model(self, network: Any) -> None:
        self._detector.model = network

    def reconfigure(self, config: Any) -> None:
        """Other thresholds."""
        self._detector.reconfigure(config)

    def __call__(self, batch: ImageBatch) -> list[Detections]:
        """The same people in every image of the batch."""
        self._detector(batch)
        return [self.people] * len(batch)


def measure(point: Point) -> dict[str, Any]:
    """One point's numbers."""
    from alphapose_ros.config import PipelineConfig
    from alphapose_ros.eval.benchmark import measure_turns
    from alphapose_ros.pipeline import PosePipeline

    config = PipelineConfig.preset_named(point.preset)
    pipeline = PosePipeline(replace(config, device=point.device, threads=point.threads))
    detector = GivenPeople(pipeline.detector)
    pipeline.detector = detector
    ring = scenes(point.people, size_named(point.size))
    turns = _turns(point, ring, detector)
    report = measure_turns(pipeline, turns, warm_up=_WARM_UP)
    numbers = report.numbers()
    numbers["tracked"] = numbers.pop("people")  # what the last frame's tracker still held
    numbers["memory_mb"] -= sum(scene.image.nbytes for scene in ring) / 2**20
    return {"people": point.people, "cameras": point.cameras, "size": point.size, **numbers}


def _turns(point: Point, ring: Sequence[Scene], detector: GivenPeople) -> Iterator[list[Frame]]:
    for number, scene in enumerate(
        itertools.islice(itertools.cycle(ring), point.frames + _WARM_UP)
    ):
        scores = np.full(len(scene.boxes), 0.9, np.float32)
        detector.people = Detections(scene.boxes, scores)
        stamp = (number + 1) * _FRAME_NS
        yield [Frame(scene.image, stamp, f"camera{k}") for k in range(point.cameras)]


def apart(point: Point) -> dict[str, Any]:
    """:func:`measure` in a process of its own, which ends with this one."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, (point,))


def results(groups: dict[str, list[dict[str, Any]]], settings: dict[str, Any]) -> Results:
    """Tables, plots and fitted costs of the rows of each group (``people``, ``cameras``, ...)."""
    tables, plots = [], []
    for group, rows in groups.items():
        tables += [_table(group, rows), _stages(group, rows)]
        if len(rows) > 1 and group != "size":
            plots += _plots(group, rows)
    numbers = {**_fits("people", groups), **_fits("cameras", groups)}
    by_cameras = {row["cameras"]: row["memory_mb"] for row in groups.get("cameras", [])}
    if len(by_cameras) > 1:
        most = max(by_cameras)
        numbers[f"memory of {most} cameras / of one"] = ratio(by_cameras[most], by_cameras.get(1))
    about = (__doc__ or "").strip().split("\n\n")[-1]
    return Results("scaling", " ".join(about.split()), tables, plots, numbers, settings)


def _table(group: str, rows: Sequence[dict[str, Any]]) -> Table:
    columns = (
        "people", "cameras", "size", "frame ms", "p95 ms", "images/s", "networks ms",
        "all else ms", "all else %", "ratio", "processor %", "memory MB",
    )  # fmt: skip
    cells = [
        [
            row["people"], row["cameras"], row["size"], row["frame_ms"], row["frame_p95_ms"],
            row["frames_per_second"], sum(row["networks_ms"].values()), row["outside_ms"],
            100 * row["outside_share"], row["ratio"], 100 * row["cpu_share"], row["memory_mb"],
        ]
        for row in rows
    ]  # fmt: skip
    return Table(f"A frame over {group}", columns, cells)


def _stages(group: str, rows: Sequence[dict[str, Any]]) -> Table:
    networks = list(dict.fromkeys(name for row in rows for name in row["networks_ms"]))
    stages = list(dict.fromkeys([*STAGES, *(name for row in rows for name in row["stages_ms"])]))
    columns = [group, *(f"{s} %" for s in stages), *(f"{n} network %" for n in networks)]
    cells = [
        [
            row[group],
            *(100 * row["stages_ms"].get(s, 0.0) / row["frame_ms"] for s in stages),
            *(100 * row["networks_ms"].get(n, 0.0) / row["frame_ms"] for n in networks),
        ]
        for row in rows
    ]
    return Table(f"Shares of a frame over {group}", columns, cells)


def _plots(group: str, rows: Sequence[dict[str, Any]]) -> list[Plot]:
    xs = [row[group] for row in rows]
    networks = [sum(row["networks_ms"].values()) for row in rows]
    frame = [row["frame_ms"] for row in rows]
    steep, at_zero = slope(xs, frame)
    lines = {
        "whole frame": (xs, frame),
        "bare networks": (xs, networks),
        "all else": (xs, [row["outside_ms"] for row in rows]),
        f"fit: {at_zero:.3g} + {steep:.3g} x": (xs, [at_zero + steep * x for x in xs]),
    }
    label = {"people": "people in the image", "cameras": "cameras, one image each"}[group]
    shares = {"all else": (xs, [100 * row["outside_share"] for row in rows])}
    memory = {"resident": (xs, [row["memory_mb"] for row in rows])}
    return [
        Plot(f"Time over {group}", label, "time of a turn, ms", lines),
        Plot(
            f"All but the networks over {group}", label, "share of a frame, %", shares, {"20": 20}
        ),
        Plot(f"Memory over {group}", label, "resident memory, MB", memory),
    ]


def _fits(group: str, groups: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """What one more costs: in ms, against the networks' own growth, against a single one."""
    rows = groups.get(group, [])
    if len(rows) < 2:
        return {}
    one = group.rstrip("s") if group == "cameras" else "person"
    xs = [row[group] for row in rows]
    whole, _ = slope(xs, [row["frame_ms"] for row in rows])
    networks, _ = slope(xs, [sum(row["networks_ms"].values()) for row in rows])
    memory, _ = slope(xs, [row["memory_mb"] for row in rows])
    return {
        f"ms per extra {one}": whole,
        f"networks' ms per extra {one}": networks,
        f"extra {one}: whole / networks": ratio(whole, networks),
        f"extra {one}: of the frame with {xs[0]} {group}": ratio(whole, rows[0]["frame_ms"]),
        f"MB per extra {one}": memory,
    }


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, nargs="*", default=PEOPLE)
    parser.add_argument("--cameras", type=int, nargs="*", default=CAMERAS, help="5 people each")
    parser.add_argument("--sizes", nargs="*", default=list(SIZES), help="VGA, 4K, 800x600, ...")
    parser.add_argument("--frames", type=int, default=20, help="turns of each point")
    parser.add_argument("--threads", type=int, default=1, help="of the networks")
    parser.add_argument("--preset", default="nano")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--here", action="store_true", help="no process of its own for each point")
    parser.add_argument("--quick", action="store_true", help="two points of two frames, here")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(arguments)
    if args.quick:
        args.people, args.cameras, args.sizes = (1, 2), (), ()
        args.frames, args.here = 2, True
    try:
        found = run(args)
        print(found.text())
        if args.json:
            found.write(args.json)
    except AlphaPoseError as error:
        print(f"scaling: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def run(args: argparse.Namespace) -> Results:
    """All points."""
    if min([args.frames, args.threads, *args.people, *args.cameras]) < 1:
        raise InputError("frames, threads, people and cameras: expected at least 1 each")
    for name in args.sizes:
        size_named(name)
    base = Point(frames=args.frames, threads=args.threads, preset=args.preset, device=args.device)
    wanted = {
        "people": [replace(base, people=count) for count in args.people],
        "cameras": [replace(base, cameras=count) for count in args.cameras],
        "size": [replace(base, size=name) for name in args.sizes],
    }
    known: dict[Point, dict[str, Any]] = {}
    for point in itertools.chain(*wanted.values()):
        if point not in known:
            known[point] = measure(point) if args.here else apart(point)
            row = known[point]
            print(
                f"{point.people} people, {point.cameras} cameras, {point.size}: "
                f"{row['frame_ms']:.1f} ms, {row['ratio']:.2f} x the networks",
                file=sys.stderr,
            )
    groups = {name: [known[p] for p in points] for name, points in wanted.items() if points}
    settings = {name: getattr(base, name) for name in ("frames", "threads", "preset", "device")}
    return results(groups, settings)


if __name__ == "__main__":
    sys.exit(main())
