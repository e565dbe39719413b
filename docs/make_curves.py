# SPDX-License-Identifier: Apache-2.0
"""Draws the documents' learning curves from the logs beside it: python docs/make_curves.py."""

from __future__ import annotations

import csv
from pathlib import Path

from matplotlib import pyplot

HERE = Path(__file__).parent
PLOTS = {
    "face_nano: distance, map cells of 4 px": (
        "pixels",
        {"first schedule": "face_nano", "second schedule": "face_nano_2"},
    ),
    "reid_nano: contrast": ("contrast", {"with attention": "reid_nano"}),
    "ablation: distance, map cells of 4 px": (
        "pixels",
        {name: f"ablation_{name}" for name in ("symmetric", "plain", "heatmap")},
    ),
}


def main() -> None:
    """One picture of a row of plots."""
    figure, axes = pyplot.subplots(1, len(PLOTS), figsize=(13, 3.6), layout="constrained")
    for axis, (title, (column, runs)) in zip(axes, PLOTS.items(), strict=True):
        for label, name in runs.items():
            with (HERE / "curves" / f"{name}.csv").open(newline="") as file:
                rows = list(csv.DictReader(file))
            axis.plot(
                [int(row["step"]) for row in rows],
                [float(row[column]) for row in rows],
                label=label,
            )
        axis.set(title=title, xlabel="step")
        axis.legend()
        axis.grid(alpha=0.3)
    figure.savefig(HERE / "images" / "learning_curves.png", dpi=90)


if __name__ == "__main__":
    main()
