# SPDX-License-Identifier: Apache-2.0
"""All hypothesis strategies: boxes, points, poses, skeletons."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from alphapose_ros.base.records import Poses
from alphapose_ros.base.skeletons import SKELETONS, Skeleton

skeletons = st.sampled_from(list(SKELETONS.values()))
pixels = st.floats(-500, 2000, width=32)
scores = st.floats(0, 1, width=32)
counts = st.integers(0, 8)


@st.composite
def boxes(draw: st.DrawFn, n: int | None = None, min_side: float = 0.0) -> NDArray[np.float32]:
    """(N, 4) corners in px, also outside the image; sides from ``min_side`` to 800 px."""
    count = draw(counts) if n is None else n
    low = draw(hnp.arrays(np.float32, (count, 2), elements=pixels))
    sides = st.floats(min_side, 800, width=32)
    size = draw(hnp.arrays(np.float32, (count, 2), elements=sides))
    return np.concatenate([low, low + size], 1)


@st.composite
def points(draw: st.DrawFn, *shape: int) -> NDArray[np.float32]:
    """(*shape, 2) px."""
    return draw(hnp.arrays(np.float32, (*shape, 2), elements=pixels))


@st.composite
def poses(draw: st.DrawFn, skeleton: Skeleton, n: int | None = None) -> Poses:
    """A record of N poses with their boxes and scores."""
    count = draw(counts) if n is None else n
    joints = len(skeleton)
    return Poses(
        keypoints=draw(points(count, joints)),
        scores=draw(hnp.arrays(np.float32, (count, joints), elements=scores)),
        boxes=draw(boxes(n=count)),
        box_scores=draw(hnp.arrays(np.float32, (count,), elements=scores)),
        source=np.arange(count),
        skeleton=skeleton,
    )
