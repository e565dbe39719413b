# SPDX-License-Identifier: Apache-2.0
"""What a process uses: memory, processor, threads; 0 where the system does not tell."""

from __future__ import annotations

import os
from pathlib import Path


def resident_mb(pid: int | None = None) -> float:
    """Resident memory of a process (None: this one), MB."""
    try:
        lines = Path(f"/proc/{pid or 'self'}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    found = (line for line in lines if line.startswith("VmRSS"))
    return next((int(line.split()[1]) / 1024 for line in found), 0.0)


def processor_s(pid: int) -> float:
    """Seconds of the processor that a process has used, all its threads together."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return 0.0
    fields = text.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def thread_count(pid: int) -> int:
    """How many threads a process has."""
    try:
        return len(list(Path(f"/proc/{pid}/task").iterdir()))
    except OSError:
        return 0
