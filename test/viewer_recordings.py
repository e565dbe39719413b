# SPDX-License-Identifier: Apache-2.0
"""A viewer's recording read back with the viewer's own reader."""

from __future__ import annotations

import os
import re
import subprocess
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("rerun", reason="THE VIEWER IS NOT CHECKED: rerun-sdk is absent")

from rerun.chunk import RrdReader

from alphapose_ros.io.viewer_process import viewer_program


@dataclass
class Read:
    """Per entity: its static values, and (frame, stamp in ns, values) of each row with values."""

    static: dict[str, dict[str, Any]] = field(default_factory=lambda: defaultdict(dict))
    rows: dict[str, list[tuple[int, int, dict[str, Any]]]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def values(self, path: str, name: str) -> list[Any]:
        """The values called ``name``, in the order of the frames."""
        found = [(row[0], row[2][name]) for row in self.rows[path] if name in row[2]]
        return [value for _, value in sorted(found, key=lambda pair: pair[0])]


def read_recording(path: Path) -> Read:
    out = Read()
    for chunk in RrdReader(path).stream():
        batch = chunk.to_record_batch()
        for row in range(batch.num_rows):
            values = {
                name: batch.column(name)[row].as_py()
                for name in batch.schema.names
                if name.rpartition(".")[2] != "RowId"
                and name not in ("log_time", "log_tick", "stamp")
            }
            values = {name: value for name, value in values.items() if value is not None}
            if chunk.is_static:
                out.static[chunk.entity_path] |= values
                continue
            stamp = batch.column("stamp")[row].cast("int64").as_py()
            frame = values.pop("frame")
            out.rows[chunk.entity_path].append((frame, stamp, values))
    return out


def count_images(path: Path, folder: Path) -> int:
    """Rows with an image, as the viewer itself reads a file that may have been cut anywhere.

    Its settings go to ``folder``, so that nobody's own are made or changed.
    """
    program = viewer_program()
    done = subprocess.run(
        [str(program), "rrd", "print", str(path)],
        env={**os.environ, "XDG_CONFIG_HOME": str(folder), "NO_COLOR": "1"},
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if "EncodedImage:blob" in line]
    return sum(int(re.search(r"with (\d+) rows", line)[1]) for line in lines)
