# SPDX-License-Identifier: Apache-2.0
"""Image message in, PoseArray message out, through the real middleware: how long, how many.

    python benchmarks/end_to_end.py [--threads 2] [--json end_to_end.json] [--quick]
    python benchmarks/end_to_end.py --minutes 60 --json soak.json

The node, a camera and a listener are processes of their own on loopback and a DDS domain of their
own. Latency runs from the moment before an image is published to the receipt of the answer with
its stamp. At the lowest rate, one image at a time, it is compared with the bare networks on the
same picture, which run in turn with it in one more process. The node's own time of a turn, from
the work's begin to the answer, is what it reports on /diagnostics.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from _node import NodeSettings
from _results import Plot, Results, Table, slope
from _rig import Rig, View, rig
from _scenes import SIZES, size_named

from alphapose_ros.base.errors import AlphaPoseError, InputError
from alphapose_ros.front.signals import stop_signals

RATES, PEOPLE, CAMERAS = (10.0, 30.0, 60.0, 100.0, 200.0), (0, 1, 2, 3, 4, 5), (1, 2, 4, 8)
_AIM_FLOOR, _AIM_P95 = 1.25, 2.2
_SOAK_ROW_S, _SOAK_RATE_S = 10.0, 60.0

Rows = list[dict[str, Any]]


def measure(args: argparse.Namespace, stop: threading.Event) -> Results:
    """All that was asked for."""
    settings = NodeSettings(
        front=args.front,
        compressed=args.compressed,
        preset=args.preset,
        threads=args.threads,
        device=args.device,
    )
    groups: dict[str, Rows] = {}
    counts = [1] if args.minutes else sorted({1, *args.cameras})
    for count in counts:
        with (
            tempfile.TemporaryDirectory() as folder,
            rig(
                replace(settings, cameras=count),
                stop,
                Path(folder),
                floor=args.floor and count == 1 and not args.minutes,
                reliability=args.reliability,
            ) as found,
        ):
            if args.minutes:
                groups["soak"] = soak(found, args.rates, args.minutes * 60)
            elif count == 1:
                groups |= _one_camera(found, args)
            if not args.minutes and count in args.cameras:
                row = found.stream(View(), args.camera_rate, args.seconds)
                groups.setdefault("cameras", []).append(_told(row))
    return results(groups, {**asdict(settings), "reliability": args.reliability})


def _one_camera(found: Rig, args: argparse.Namespace) -> dict[str, Rows]:
    sizes = [size_named(name) for name in args.sizes]
    alone = [View(people=count) for count in args.people]
    groups = {
        "people": [_told(found.against_floor(view, args.images)) for view in alone],
        "rates": [_told(found.stream(View(), rate, args.seconds)) for rate in args.rates],
        "sizes": [_told(found.against_floor(View(size_hw=size), args.images)) for size in sizes],
    }
    return {name: rows for name, rows in groups.items() if rows}


def _told(row: dict[str, Any]) -> dict[str, Any]:
    numbers = (f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in row.items())
    print("  ".join(numbers), file=sys.stderr)
    return {key: value for key, value in row.items() if not key.startswith("_")}


def soak(found: Rig, rates: Sequence[float], seconds: float) -> Rows:
    """A row every ten seconds; the rate changes every minute."""
    begin, rows = time.monotonic(), []
    while (passed := time.monotonic() - begin) < seconds:
        rate = rates[int(passed // _SOAK_RATE_S) % len(rates)]
        row = found.stream(View(), rate, min(_SOAK_ROW_S, seconds) - 1)
        passed = time.monotonic() - begin
        rows.append({"s": passed, "threads": found.node.threads, **row})
        if len(rows) % 6 == 1:
            _told(rows[-1])
    return rows


def flatness(rows: Rows) -> dict[str, Any]:
    """How memory and threads grow over the last three quarters of a soak."""
    late = rows[len(rows) // 4 :]
    if len(late) < 2:
        return {}
    hours = [row["s"] / 3600 for row in late]
    memory, _ = slope(hours, [row["memory MB"] for row in late])
    threads, _ = slope(hours, [row["threads"] for row in late])
    return {
        "soak, minutes": rows[-1]["s"] / 60,
        "memory at the begin, MB": late[0]["memory MB"],
        "memory at the end, MB": late[-1]["memory MB"],
        "memory's slope, MB per hour": memory,
        "memory's slope, % per hour": 100 * memory / max(late[0]["memory MB"], 1e-9),
        "threads at the begin / end": f"{late[0]['threads']} / {late[-1]['threads']}",
        "threads' slope, per hour": threads,
        "answers out of order or twice": sum(row["wrong"] for row in rows),
    }


def results(groups: dict[str, Rows], settings: dict[str, Any]) -> Results:
    """Tables, plots, and the numbers that count."""
    titles = {
        "people": "One image at a time over people (VGA)",
        "sizes": "One image at a time over resolutions (3 people)",
        "rates": "One camera over input rates (VGA, 3 people)",
        "cameras": "Several cameras (VGA, 3 people in each)",
        "soak": "Over time",
    }
    tables = [
        Table(titles[name], list(rows[0]), [list(row.values()) for row in rows])
        for name, rows in groups.items()
    ]
    numbers: dict[str, Any] = {}
    for row in groups.get("people", []):
        if row["people"] == View().people:
            name = "end to end / bare networks, 3 people, VGA"
            numbers |= {name: row["p50 / floor"], f"{name}, 95 % interval": row["95 % interval"]}
    worst = [row["p95 / own"] for row in groups.get("rates", []) if row["p95 / own"]]
    if worst:
        numbers["highest p95 / node's own time, over the rates"] = max(worst)
    numbers |= flatness(groups.get("soak", []))
    about = " ".join((__doc__ or "").strip().split("\n\n")[-1].split())
    plots = [plot for name, rows in groups.items() for plot in _PLOTS[name](rows)]
    return Results("end_to_end", about, tables, plots, numbers, settings)


def _lines(rows: Rows, x: str, *ys: str) -> dict[str, tuple[list[float], list[Any]]]:
    return {y: ([row[x] for row in rows], [row[y] for row in rows]) for y in ys}


def _people_plots(rows: Rows) -> list[Plot]:
    lines = _lines(rows, "people", "p50 ms", "p95 ms", "floor ms", "node's own ms")
    over = _lines(rows, "people", "p50 / floor")
    label = "people in the image"
    return [
        Plot("One image at a time", label, "publish to receipt, ms", lines),
        Plot("Against the bare networks", label, "ratio", over, {"aim": _AIM_FLOOR}),
    ]


def _size_plots(rows: Rows) -> list[Plot]:
    by_pixels = [{**row, "px": _megapixels(row["size"])} for row in rows]
    lines = _lines(by_pixels, "px", "p50 ms", "p95 ms", "floor ms")
    return [Plot("Over resolutions", "image size, megapixels", "publish to receipt, ms", lines)]


def _megapixels(size: str) -> float:
    width, _, height = size.partition("x")
    return int(width) * int(height) / 1e6


def _rate_plots(rows: Rows) -> list[Plot]:
    label = "input rate, images/s"
    times = _lines(rows, "rate Hz", "p50 ms", "p95 ms", "p99 ms", "node's own ms")
    over = _lines(rows, "rate Hz", "p95 / own")
    done = _lines(rows, "rate Hz", "answers/s")
    return [
        Plot("Latency over input rates", label, "publish to receipt, ms", times, log_x=True),
        Plot("p95 over the node's own time", label, "ratio", over, {"aim": _AIM_P95}, log_x=True),
        Plot("Throughput", label, "answers/s", done, log_x=True),
    ]


def _camera_plots(rows: Rows) -> list[Plot]:
    times = _lines(rows, "cameras", "p50 ms", "p95 ms", "node's own ms")
    memory = _lines(rows, "cameras", "memory MB")
    return [
        Plot("Latency over cameras", "cameras", "publish to receipt, ms", times),
        Plot("Memory over cameras", "cameras", "resident memory of the node, MB", memory),
    ]


def _soak_plots(rows: Rows) -> list[Plot]:
    minutes = [{**row, "min": row["s"] / 60} for row in rows]
    return [
        Plot(title, "time, min", label, _lines(minutes, "min", key))
        for title, label, key in (
            ("Memory over time", "resident memory of the node, MB", "memory MB"),
            ("Threads over time", "threads of the node", "threads"),
        )
    ]


_PLOTS = {
    "people": _people_plots,
    "sizes": _size_plots,
    "rates": _rate_plots,
    "cameras": _camera_plots,
    "soak": _soak_plots,
}


def parse(arguments: list[str] | None) -> argparse.Namespace:
    """The options, checked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--front", choices=("dds", "ros"), default="dds")
    parser.add_argument("--rates", type=float, nargs="*", default=RATES, help="images/s")
    parser.add_argument("--people", type=int, nargs="*", default=PEOPLE)
    parser.add_argument("--cameras", type=int, nargs="*", default=CAMERAS)
    parser.add_argument("--sizes", nargs="*", default=list(SIZES), help="VGA, 4K, 800x600, ...")
    parser.add_argument("--camera-rate", type=float, default=30.0, help="of each of several")
    parser.add_argument("--seconds", type=float, default=10.0, help="at each rate")
    parser.add_argument("--images", type=int, default=5, help="in each of twelve blocks")
    parser.add_argument("--threads", type=int, default=2, help="of the networks")
    parser.add_argument("--preset", default="nano")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compressed", action="store_true", help="JPEG instead of raw images")
    parser.add_argument(
        "--reliability", choices=("reliable", "best_effort"), default="reliable",
        help="of the images; default: reliable",
    )  # fmt: skip
    parser.add_argument("--no-floor", dest="floor", action="store_false")
    parser.add_argument("--minutes", type=float, default=0.0, help="soak, and nothing else")
    parser.add_argument("--quick", action="store_true", help="two people, two rates, one camera")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(arguments)
    if args.quick:
        args.rates, args.people, args.cameras, args.sizes = (10.0, 100.0), (3,), (), ()
        args.seconds, args.images = 2.0, 2
    for name in args.sizes:
        size_named(name)
    positive = [args.seconds, args.camera_rate, args.threads, args.images, *args.rates]
    if min([*positive, *args.cameras]) <= 0 or min([0, *args.people]) < 0 or args.minutes < 0:
        raise InputError("rates, cameras, seconds, images and threads: expected more than 0")
    return args


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write."""
    try:
        args = parse(arguments)
        with stop_signals() as stop:
            found = measure(args, stop)
        print(found.text())
        if args.json:
            found.write(args.json)
    except AlphaPoseError as error:
        print(f"end_to_end: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
