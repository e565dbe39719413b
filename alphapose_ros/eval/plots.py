# SPDX-License-Identifier: Apache-2.0
"""``eval --plot`` and ``bench --plot``: what the numbers come from, as one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from alphapose_ros.base.errors import InputError, require
from alphapose_ros.eval.curves import FloatArray, precision_recall, reliability, share_above
from alphapose_ros.eval.detection import FoundPeople, match_people
from alphapose_ros.eval.gallery import person_scores
from alphapose_ros.eval.metrics import THRESHOLDS
from alphapose_ros.eval.parts import body_part, match_part
from alphapose_ros.eval.placement import FINE_PARTS
from alphapose_ros.eval.pose import Estimates, placed_joints, posed

_INSTALL = "pip install matplotlib"
_INCHES, _DPI = (4.6, 3.6), 110
_SHOWN = (0, 5)  # .50 and .75 of the thresholds
_LEAST = 20  # joints in a bin of scores, or its share says nothing
_PSEUDO = "pseudo_"
_ENDINGS = (".png", ".svg", ".pdf")


@dataclass(frozen=True)
class Panel:
    """One plot: lines by name, or a bar per name with its interval.

    Attributes:
        title, x_label, y_label: words.
        lines: name -> (x, y).
        bars: name -> value. intervals: name -> its low and high end.
        diagonal: draw y = x, where perfect scores would lie.
    """

    title: str
    x_label: str
    y_label: str = ""
    lines: Mapping[str, tuple[FloatArray, FloatArray]] = field(default_factory=dict)
    bars: Mapping[str, float] = field(default_factory=dict)
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    diagonal: bool = False


def pose_panels(found: Estimates, parts: Mapping[str, Any]) -> list[Panel]:
    """Precision and recall, OKS, AP of each part with its interval, and how true the scores are.

    ``parts`` is what :func:`alphapose_ros.eval.pose.measure_parts` says of the same people.
    """
    part = body_part(found.people.skeleton)
    matches = [match_part(posed(found, rows), part) for rows in found.by_image]
    return [
        _precision_panel("body, in annotated boxes", "OKS", matches),
        Panel(
            "people at least so well placed",
            "OKS",
            "share of people",
            {_words(name): share_above(s.oks) for name, s in person_scores(found).items()},
        ),
        _parts_panel(parts),
        _reliability_panel(found),
    ]


def detector_panels(images: Sequence[FoundPeople]) -> list[Panel]:
    """Precision and recall of all people."""
    return [_precision_panel("person boxes", "IoU", [match_people(image) for image in images])]


def stage_panels(frame_ms: float, stages_ms: Mapping[str, float]) -> list[Panel]:
    """Milliseconds of a frame by stage; what no stage took is the rest."""
    rest = max(frame_ms - sum(stages_ms.values()), 0.0)
    return [Panel("where a frame's time goes", "ms", bars={**stages_ms, "rest": rest})]


def check_plot(path: Path) -> None:
    """Refuse before hours of work are done for it.

    Raises:
        InputError: a name that is not a picture's.
        MissingDependencyError: matplotlib is not installed.
    """
    if path.suffix.lower() not in _ENDINGS:
        raise InputError(f"{path}: expected a picture to write, {', '.join(_ENDINGS)}")
    require("matplotlib.figure", needed_for="--plot", install=_INSTALL)


def draw(panels: Sequence[Panel], path: Path, title: str = "") -> None:
    """Write the panels in two columns.

    Raises:
        InputError: the file cannot be written, or see :func:`check_plot`.
    """
    check_plot(path)
    room = require("matplotlib.figure", needed_for="--plot", install=_INSTALL)
    columns = min(len(panels), 2)
    rows = -(-len(panels) // columns)
    size = _INCHES[0] * columns, _INCHES[1] * rows
    figure = room.Figure(figsize=size, dpi=_DPI, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel, axis in zip(panels, axes, strict=False):
        _draw_panel(panel, axis)
    for axis in axes[len(panels) :]:
        axis.axis("off")
    figure.suptitle(title, fontsize=9)
    try:
        figure.savefig(path)
    except OSError as error:
        raise InputError(f"{path}: cannot write the plot: {error}") from error


def _precision_panel(title: str, measure: str, matches: Sequence[Any]) -> Panel:
    lines = {f"{measure} {THRESHOLDS[row]:.2f}": precision_recall(matches, row) for row in _SHOWN}
    return Panel(title, "recall", "precision", lines)


def _parts_panel(parts: Mapping[str, Any]) -> Panel:
    """AP of each part with COCO-WholeBody's constants; pseudo labels where nobody annotated."""
    names = [key.removesuffix("_ap") for key in parts if key.endswith("_ap")]
    shown = {
        name: _words(name.removeprefix(_PSEUDO)) + (", pseudo labels" if _PSEUDO in name else "")
        for name in names
        if "flat_" not in name and np.isfinite(parts[f"{name}_ap"])
        if not (name.startswith(_PSEUDO) and name.removeprefix(_PSEUDO) in names)
    }
    return Panel(
        "AP by part",
        "AP, with 95 % interval",
        bars={label: float(parts[f"{name}_ap"]) for name, label in shown.items()},
        intervals={
            label: parts[f"{name}_ap_95"]
            for name, label in shown.items()
            if f"{name}_ap_95" in parts
        },
    )


def _reliability_panel(found: Estimates) -> Panel:
    people, placed = found.people, placed_joints(found)
    lines = {}
    for name in ("body", *FINE_PARTS):
        joints = people.skeleton.parts.get(name, slice(0, 0))
        known = people.labels[:, joints] > (1 if name == "body" else 0)
        if known.any():
            means, shares, counts = reliability(
                found.scores[:, joints][known], placed[:, joints][known]
            )
            enough = counts >= _LEAST
            lines[_words(name)] = (means[enough], shares[enough])
    return Panel(
        "joint scores against the truth",
        "score",
        "share of joints in place (similarity above 1/2)",
        lines,
        diagonal=True,
    )


def _draw_panel(panel: Panel, axis: Any) -> None:
    axis.set_title(panel.title, fontsize=10)
    axis.set(xlabel=panel.x_label, ylabel=panel.y_label)
    axis.grid(visible=True, alpha=0.3)
    if panel.bars:
        _draw_bars(panel, axis)
        return
    if panel.diagonal:
        axis.plot([0, 1], [0, 1], ":", color="#888", linewidth=1)
    for name, (x, y) in panel.lines.items():
        axis.plot(x, y, marker="o" if panel.diagonal else "", markersize=3, label=name)
    axis.set(xlim=(0, 1.01), ylim=(0, 1.02))
    if panel.lines:
        axis.legend(fontsize=8)


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


def _words(name: str) -> str:
    return name.replace("_", " ")
