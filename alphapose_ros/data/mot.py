# SPDX-License-Identifier: Apache-2.0
"""Rows of MOTChallenge's text files, truth, results and detections.

A row is ``frame, id, x, y, w, h, confidence, class, visibility`` with frames from 1 and pixels
from 1; files of ten columns (2015, and results) have a place in the world instead of the class.
In a truth file, confidence 0 marks a row that nobody is to be asked about, and class 1 is a
pedestrian.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from alphapose_ros.base.errors import InputError

PEDESTRIAN = 1
FIRST = 1  # of frames and pixels; ours begin at 0
_LEAST_COLUMNS, _CLASS, _VISIBILITY = 6, 7, 8
_WORLD_COLUMNS = 10
_MOST = 2**53  # beyond, a float does not tell integers apart


class MotRow(NamedTuple):
    """One row.

    Attributes:
        frame: from 0. identity: any integer, -1 in detections.
        box: left, top, right, bottom in px, the first pixel is 0.
        confidence: 1 where the file has none. kind: 1 where it has none. visibility: [0, 1].
    """

    frame: int
    identity: int
    box: tuple[float, float, float, float]
    confidence: float = 1.0
    kind: int = PEDESTRIAN
    visibility: float = 1.0


def read_mot_rows(path: Path) -> list[MotRow]:
    """All rows in the order of the file; commas or spaces between the numbers.

    Raises:
        InputError: missing, no text, or a line is no row; the message names it.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: expected a text file of MOT's rows: {error}") from error
    return [_row(line, f"{path}:{n}") for n, line in enumerate(lines, 1) if line.strip()]


def _row(line: str, where: str) -> MotRow:
    try:
        values = [float(cell) for cell in line.replace(",", " ").split()]
    except ValueError as error:
        raise InputError(f"{where}: expected numbers, got {line[:60]!r}") from error
    integers = [*values[:2], *values[_CLASS:_VISIBILITY]]
    usable = np.isfinite(values).all() and max(map(abs, integers), default=0) < _MOST
    if len(values) < _LEAST_COLUMNS or not usable or values[0] < FIRST:
        raise InputError(
            f"{where}: expected frame (from 1), id, x, y, w, h and so on, got {line[:60]!r}"
        )
    frame, identity, x, y, width, height = values[:_LEAST_COLUMNS]
    classed = len(values) < _WORLD_COLUMNS
    kind = values[_CLASS] if classed and len(values) > _CLASS else -1
    return MotRow(
        int(frame) - FIRST,
        int(identity),
        (x - FIRST, y - FIRST, x - FIRST + width, y - FIRST + height),
        values[6] if len(values) > _LEAST_COLUMNS else 1.0,
        int(kind) if kind > 0 else PEDESTRIAN,
        values[_VISIBILITY] if classed and len(values) > _VISIBILITY else 1.0,
    )
