# SPDX-License-Identifier: Apache-2.0
"""Which detection belongs to which track: the best sum of similarities, gated."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

FloatArray = NDArray[np.floating]
IndexArray = NDArray[np.intp]


def assign(similarity: FloatArray, least: float) -> tuple[IndexArray, IndexArray]:
    """Pairs (rows, columns) of a (T, N) matrix with the largest sum of ``similarity - least``.

    A pair below ``least`` is never made, and none is made at the expense of a better total: to
    leave both unmatched is worth 0.

    Args:
        similarity: (T, N); -inf where a pair is impossible. It is not changed.
        least: the smallest similarity of a pair.
    """
    gain = np.maximum(np.where(np.isfinite(similarity), similarity, -np.inf) - least, 0)
    rows, columns = linear_sum_assignment(gain, maximize=True)
    good = similarity[rows, columns] >= least
    return rows[good], columns[good]
