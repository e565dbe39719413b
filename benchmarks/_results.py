# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks have in common: tables, plots as numbers, the machine, JSON."""

from __future__ import annotations

import json
import math
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from alphapose_ros.base.errors import InputError

PERCENTILES = (50, 95, 99)


@dataclass(frozen=True)
class Table:
    """Rows under column names, which carry the units; None is what was not measured."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Plot:
    """Lines of one picture.

    Attributes:
        title: of the picture.
        x_label, y_label: with units.
        series: name -> (x values, y values); a y of None is a gap.
        limits: name -> height of a dashed level line.
        log_x: a logarithmic x axis.
    """

    title: str
    x_label: str
    y_label: str
    series: dict[str, tuple[Sequence[float], Sequence[float | None]]]
    limits: dict[str, float] = field(default_factory=dict)
    log_x: bool = False


@dataclass(frozen=True)
class Results:
    """One benchmark's results, which :meth:`write` stores and ``page.py`` shows."""

    benchmark: str
    about: str
    tables: Sequence[Table]
    plots: Sequence[Plot] = ()
    numbers: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)

    def text(self) -> str:
        """All tables and numbers."""
        parts = [f"{table.title}\n{_aligned(table)}" for table in self.tables]
        width = max((len(name) for name in self.numbers), default=0)
        parts += ["\n".join(f"{k:{width}}  {shown(v)}" for k, v in self.numbers.items())]
        return "\n\n".join(part for part in parts if part)

    def write(self, path: Path) -> None:
        """As JSON, with the machine and the command."""
        content = {"machine": machine(), "command": command(), **asdict(self)}
        path.write_text(json.dumps(plain(content), indent=1) + "\n", encoding="utf-8")


def percentiles(values: Sequence[float]) -> list[float | None]:
    """The 50th, 95th and 99th, linear between neighbours; None where there are no values."""
    if len(values) == 0:
        return [None] * len(PERCENTILES)
    return [float(value) for value in np.percentile(values, PERCENTILES)]


def median(values: Sequence[float | None]) -> float | None:
    """Of those that are there; None where none is."""
    found = [value for value in values if value is not None]
    return float(np.median(found)) if found else None


def slope(xs: Sequence[float], ys: Sequence[float]) -> tuple[float, float]:
    """(slope, intercept) of the least squares line.

    Raises:
        InputError: fewer than two different x.
    """
    if len(xs) != len(ys) or len(set(xs)) < 2:
        raise InputError(f"slope: expected two or more different x with a y each, got {list(xs)}")
    steep, at_zero = np.polyfit(np.asarray(xs, float), np.asarray(ys, float), 1)
    return float(steep), float(at_zero)


def ratio(numerator: float | None, denominator: float | None) -> float | None:
    """Their quotient; None where one is missing or the denominator is 0."""
    return numerator / denominator if numerator is not None and denominator else None


def plain(value: Any) -> Any:
    """Values that JSON has; NaN and infinity become null."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)


def shown(value: Any) -> str:
    """A cell as text: four significant digits."""
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none"
    return {
        "processor": _processor(),
        "cores": cores,
        "gpu": gpu,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "onnxruntime": _version("onnxruntime"),
        "torch threads": torch.get_num_threads(),
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "not set"),
    }


def command() -> str:
    """As it can be typed again."""
    variables = [f"{k}={os.environ[k]} " for k in ("OMP_NUM_THREADS",) if k in os.environ]
    script = Path(sys.argv[0]).name
    return f"{''.join(variables)}python benchmarks/{script} {' '.join(sys.argv[1:])}".strip()


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _aligned(table: Table) -> str:
    rows = [list(table.columns)] + [[shown(cell) for cell in row] for row in table.rows]
    widths = [max(len(row[k]) for row in rows) for k in range(len(table.columns))]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
