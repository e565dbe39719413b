# SPDX-License-Identifier: Apache-2.0
"""Plots of lines or bars, drawn with matplotlib: ``eval --plot``, ``bench --plot``, benchmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from alphapose_ros.base.errors import InputError, require

_INCHES, _DPI = (5.2, 3.7), 120
_ENDINGS = (".png", ".svg", ".pdf")
_FEW = 8  # so many places on the x axis are written out
NEEDED = {"needed_for": "plots", "install": "pip install matplotlib"}


@dataclass(frozen=True)
class Panel:
    """One plot: lines by name, or a bar per name with its interval.

    Attributes:
        title, x_label, y_label: words.
        lines: name -> (x, y); NaN is a gap. Lines named ``fit ...`` are dashed.
        bars: name -> value. intervals: name -> its low and high end.
        shares: both axes go from 0 to 1; else the y axis begins at 0.
        diagonal: draw y = x, where perfect scores would lie.
        marked: a dot at each point of the lines.
        levels: name -> height of a dotted level line.
        log_x: a logarithmic x axis.
    """

    title: str
    x_label: str
    y_label: str = ""
    lines: Mapping[str, tuple[ArrayLike, ArrayLike]] = field(default_factory=dict)
    bars: Mapping[str, float] = field(default_factory=dict)
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    shares: bool = True
    diagonal: bool = False
    marked: bool = False
    levels: Mapping[str, float] = field(default_factory=dict)
    log_x: bool = False


def check_plot(path: Path) -> None:
    """Refuse before hours of work are done for it.

    Raises:
        InputError: a name that is not a picture's.
        MissingDependencyError: matplotlib is not installed.
    """
    if path.suffix.lower() not in _ENDINGS:
        raise InputError(f"{path}: expected a picture to write, {', '.join(_ENDINGS)}")
    require("matplotlib.figure", **NEEDED)


def draw(panels: Sequence[Panel], path: Path, title: str = "") -> None:
    """Write the panels.

    Raises:
        InputError: the file cannot be written, or see :func:`check_plot`.
    """
    check_plot(path)
    try:
        figure_of(panels, title).savefig(path)
    except OSError as error:
        raise InputError(f"{path}: cannot write the plot: {error}") from error


def figure_of(panels: Sequence[Panel], title: str = "") -> Any:
    """The panels in two columns, as matplotlib's figure.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    room = require("matplotlib.figure", **NEEDED)
    columns = min(len(panels), 2)
    rows = -(-len(panels) // columns)
    size = _INCHES[0] * columns, _INCHES[1] * rows
    figure = room.Figure(figsize=size, dpi=_DPI, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel, axis in zip(panels, axes, strict=False):
        axis.set_title(panel.title, fontsize=10)
        axis.set(xlabel=panel.x_label, ylabel=panel.y_label)
        axis.grid(visible=True, alpha=0.3)
        (_draw_bars if panel.bars else _draw_lines)(panel, axis)
    for axis in axes[len(panels) :]:
        axis.axis("off")
    if title:
        figure.suptitle(title, fontsize=9)
    return figure


def _draw_lines(panel: Panel, axis: Any) -> None:
    if panel.diagonal:
        axis.plot([0, 1], [0, 1], ":", color="#888", linewidth=1)
    for name, (x, y) in panel.lines.items():
        style = {"linestyle": "--"} if name.startswith("fit") else {}
        marker = "o" if panel.marked and not style else ""
        axis.plot(x, y, marker=marker, markersize=3, label=name, **style)
    for name, level in panel.levels.items():
        axis.axhline(level, linestyle=":", color="#a22", label=f"{name} {level:g}")
    if panel.log_x:
        axis.set_xscale("log")
    if panel.shares:
        axis.set(xlim=(0, 1.01), ylim=(0, 1.02))
    else:
        axis.set_ylim(bottom=0)
        _write_places(panel, axis)
    if panel.lines:
        axis.legend(fontsize=8)


def _write_places(panel: Panel, axis: Any) -> None:
    """Where there are few places on the x axis, these and no others."""
    places = list(dict.fromkeys(float(x) for xs, _ in panel.lines.values() for x in np.ravel(xs)))
    if len(places) <= _FEW:
        axis.set_xticks(places, [f"{place:g}" for place in places])
        axis.minorticks_off()


def _draw_bars(panel: Panel, axis: Any) -> None:
    places = np.arange(len(panel.bars))
    values = np.array(list(panel.bars.values()))
    axis.barh(places, values, height=0.6, color="#4a86c5")
    for place, (name, value) in enumerate(panel.bars.items()):
        low, high = panel.intervals.get(name, (value, value))
        if high > low:
            axis.plot([low, high], [place, place], color="#222", marker="|", linewidth=1.4)
        axis.text(max(high, value), place, f"  {value:.3g}", va="center", fontsize=8)
    axis.set_yticks(places, list(panel.bars))
    axis.set_ylim(max(len(panel.bars), 3) - 0.5, -0.5)
    axis.set_xlim(0, 1.18 * max([*values, *(high for _, high in panel.intervals.values()), 1e-9]))
