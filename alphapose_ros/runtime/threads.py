# SPDX-License-Identifier: Apache-2.0
"""How many CPU threads the networks take, and that nobody else's threads wait on their cores."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

import torch

MOST = 4  # these networks are small: more threads hardly help
_GROUPS, _OWN_GROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
_AT_FIRST = torch.get_num_threads()  # PyTorch's own choice, or what OMP_NUM_THREADS says


def threads_for(wanted: int) -> int:
    """``wanted``, or if that is 0 what OMP_NUM_THREADS says, else :func:`spare_cores`."""
    return wanted or (_AT_FIRST if "OMP_NUM_THREADS" in os.environ else spare_cores())


def spare_cores() -> int:
    """All cores that this process may use but one, for the robot; at most ``MOST``.

    Cores are also what a container or a service may use in time (``docker run --cpus``,
    ``CPUQuota``): more threads would spend it early and then stand still until the next period.
    """
    affinity = getattr(os, "sched_getaffinity", None)  # Linux
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    allowed = min(_quotas(), default=math.inf)
    return min(max(math.floor(min(cores, allowed)) - 1, 1), MOST)


def _quotas() -> Iterator[float]:
    """Cores' worth of time that each control group of this process allows it (Linux)."""
    try:
        listed = _OWN_GROUPS.read_text().splitlines()
    except OSError:
        return
    for _, controllers, path in (line.split(":", 2) for line in listed if line.count(":") >= 2):
        if controllers and "cpu" not in controllers.split(","):
            continue
        top = _GROUPS / "cpu" if controllers else _GROUPS  # version 1 has a tree of its own
        inner = top / path.strip("/")
        # A container sees its own group at the top, by whatever path the host knows it.
        for group in {top, inner, *(each for each in inner.parents if top in each.parents)}:
            quota = _quota(group)
            if quota is not None:
                yield quota


def _quota(group: Path) -> float | None:
    """Time over period of one group; None: no limit, or no such group."""
    try:
        if (group / "cpu.max").exists():
            time, period = (group / "cpu.max").read_text().split()
        else:
            time, period = ((group / f"cpu.cfs_{n}_us").read_text() for n in ("quota", "period"))
        found = float(time) / float(period)
    except (OSError, ValueError, ZeroDivisionError):  # "max" is no number
        return None
    return found if found > 0 else None  # version 1 says -1


def share_cores(count: int) -> None:
    """Give PyTorch and OpenCV ``count`` threads each, in the whole process.

    1 where another runtime runs the networks: what PyTorch and OpenCV do beside them is short,
    and the threads of their pools go on spinning afterwards, on the cores of the next network.
    """
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)
    try:
        import cv2
    except ImportError:
        return
    cv2.setNumThreads(count)
