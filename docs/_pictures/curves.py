# SPDX-License-Identifier: Apache-2.0
"""Learning curves, from the runs' own logs in ``docs/curves``."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

from svg import FAINT, Drawing

LOGS = Path(__file__).parents[1] / "curves"
_COLORS = ("#1f6fb4", "#e07b1a", "#3a923a")
_WIDTH, _HEIGHT, _LEFT, _TOP = 290, 220, 55, 40
PLOTS = {
    "face_nano: distance, cells of 4 px": (
        "pixels",
        {"first schedule": "face_nano", "second schedule": "face_nano_2"},
    ),
    "reid_nano: distance from its teacher": ("teacher", {"with attention": "reid_nano"}),
    "ablation: distance, cells of 4 px": (
        "pixels",
        {name: f"ablation_{name}" for name in ("symmetric", "plain", "heatmap")},
    ),
}
Curve = tuple[list[float], list[float]]


def draw_curves(path: Path) -> None:
    """A row of plots over the step."""
    drawing = Drawing(len(PLOTS) * (_WIDTH + _LEFT + 15), _TOP + _HEIGHT + 45)
    for number, (title, (column, runs)) in enumerate(PLOTS.items()):
        left = number * (_WIDTH + _LEFT + 15) + _LEFT
        drawing.text((left + _WIDTH / 2, 22), title, 13, anchor="middle", bold=True)
        _plot(drawing, left, {label: _read(name, column) for label, name in runs.items()})
    drawing.write(path)


def _read(name: str, column: str) -> Curve:
    with (LOGS / f"{name}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [float(row["step"]) for row in rows], [float(row[column]) for row in rows]


def _plot(drawing: Drawing, left: float, curves: dict[str, Curve]) -> None:
    last = max(max(x) for x, _ in curves.values())
    low = min(min(y) for _, y in curves.values())
    high = max(max(y) for _, y in curves.values())
    ticks = nice_ticks(low, high)
    low, high = min(low, ticks[0]), max(high, ticks[-1])
    bottom = _TOP + _HEIGHT

    def place(x: float, y: float) -> tuple[float, float]:
        return left + x / last * _WIDTH, bottom - (y - low) / (high - low) * _HEIGHT

    for tick in ticks:
        (_, y) = place(0, tick)
        drawing.line([(left, y), (left + _WIDTH, y)], "#dddddd", 1)
        drawing.text((left - 6, y + 4), f"{tick:g}", 11, anchor="end")
    for tick in nice_ticks(0, last):
        x, _ = place(tick, low)
        drawing.text((x, bottom + 16), f"{tick:g}", 11, anchor="middle")
    drawing.line([(left, _TOP), (left, bottom), (left + _WIDTH, bottom)], FAINT, 1)
    drawing.text((left + _WIDTH / 2, bottom + 34), "step", 12, anchor="middle")
    for row, ((label, (xs, ys)), color) in enumerate(zip(curves.items(), _COLORS, strict=False)):
        drawing.line([place(x, y) for x, y in zip(xs, ys, strict=True)], color, 1.6)
        y = _TOP + 14 + 17 * row
        drawing.line([(left + _WIDTH - 130, y - 4), (left + _WIDTH - 112, y - 4)], color, 3)
        drawing.text((left + _WIDTH - 106, y), label, 12)


def nice_ticks(low: float, high: float) -> Sequence[float]:
    """Four to eight round numbers that lie between."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough)
    first = math.ceil(low / step)
    return [round(k * step, 10) for k in range(first, math.floor(high / step + 1e-9) + 1)]
