# SPDX-License-Identifier: Apache-2.0
"""Where the numbers of a run go: a CSV file always, TensorBoard where it is asked for."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alphapose_ros.base.errors import require


class CsvLog:
    """A row of numbers per logged step; rows after a resumed step are written anew."""

    def __init__(self, path: Path, start: int) -> None:
        self._path = path
        rows: list[dict[str, str]] = []
        if start > 0 and path.exists():
            with path.open(newline="") as file:
                rows = [row for row in csv.DictReader(file) if _is_before(row, start)]
        if path.exists():
            path.unlink()
        for row in rows:
            self._append(row)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Append one row; the first row's names are the columns."""
        self._append({"step": str(step), **{k: f"{v:.6g}" for k, v in values.items()}})

    def close(self) -> None:
        """Every row is on the disk already."""

    def _append(self, row: Mapping[str, str]) -> None:
        new = not self._path.exists()
        with self._path.open("a", newline="") as file:
            writer = csv.DictWriter(file, list(row))
            if new:
                writer.writeheader()
            writer.writerow(row)
            file.flush()
            os.fsync(file.fileno())


def _is_before(row: Mapping[str, str | None], start: int) -> bool:
    """A row that a kill cut short lies behind the last checkpoint, and so do its numbers."""
    step = row.get("step") or ""
    return step.isdecimal() and int(step) <= start and None not in row.values()


class TensorBoardLog:
    """The same rows as curves; those after a resumed step are hidden by the new ones.

    Raises:
        MissingDependencyError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path, start: int) -> None:
        require("tensorboard", needed_for="tensorboard: true", install="pip install tensorboard")
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(folder), purge_step=start + 1)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Add one point to each curve."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what is still in memory."""
        self._writer.close()


def open_logs(folder: Path, start: int, *, tensorboard: bool) -> list[CsvLog | TensorBoardLog]:
    """The logs of a run in ``folder`` that goes on after step ``start``."""
    # The one that can refuse comes first, before the other has touched its file.
    boards = [TensorBoardLog(folder / "tensorboard", start)] if tensorboard else []
    return [CsvLog(folder / "log.csv", start), *boards]
