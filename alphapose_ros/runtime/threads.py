# SPDX-License-Identifier: Apache-2.0
"""How many CPU threads the networks take: a robot has other work to do."""

from __future__ import annotations

import os

import torch

MOST = 4  # these networks are small: more threads hardly help
_AT_FIRST = torch.get_num_threads()  # PyTorch's own choice, the number of cores


def use_threads(wanted: int) -> int:
    """Have PyTorch and OpenCV run on ``wanted`` threads, the other runtimes follow PyTorch.

    Args:
        wanted: 0 for one less than the cores this process may use, four at most, unless the
            variable OMP_NUM_THREADS or the program has told PyTorch another number.

    Returns:
        The number.
    """
    told = "OMP_NUM_THREADS" in os.environ or torch.get_num_threads() != _AT_FIRST
    count = wanted or (torch.get_num_threads() if told else spare_cores())
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)
    try:
        import cv2
    except ImportError:
        return count
    cv2.setNumThreads(count)
    return count


def spare_cores() -> int:
    """All cores that this process may use but one; at least one, at most ``MOST``."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return min(max(cores - 1, 1), MOST)
