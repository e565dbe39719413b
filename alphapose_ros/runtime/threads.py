# SPDX-License-Identifier: Apache-2.0
"""How many CPU threads the networks take, and that nobody else's threads wait on their cores."""

from __future__ import annotations

import os

import torch

MOST = 4  # these networks are small: more threads hardly help
_AT_FIRST = torch.get_num_threads()  # PyTorch's own choice, or what OMP_NUM_THREADS says


def threads_for(wanted: int) -> int:
    """``wanted``, or if that is 0 what OMP_NUM_THREADS says, else :func:`spare_cores`."""
    return wanted or (_AT_FIRST if "OMP_NUM_THREADS" in os.environ else spare_cores())


def spare_cores() -> int:
    """All cores that this process may use but one, for the robot; at most ``MOST``."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min(max(cores - 1, 1), MOST)


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
