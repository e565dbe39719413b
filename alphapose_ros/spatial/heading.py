# SPDX-License-Identifier: Apache-2.0
"""Which way people face, from their shoulders and hips."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.transform import RigidTransform
from alphapose_ros.spatial.bones import Bones

FloatArray = NDArray[np.float64]

_LEAST_WIDTH_M = 0.1
_OPTICAL = ("_optical_frame", "_optical")


def is_optical(frame: str, to_frame: RigidTransform) -> bool:
    """Whether a frame's axes are a camera's: z forward, x right, y down (REP-103)."""
    own = np.allclose(to_frame.rotation, np.eye(3)) and not np.any(to_frame.translation)
    return frame.endswith(_OPTICAL) or own


def headings(points: FloatArray, bones: Bones, optical: bool) -> FloatArray:
    """(N,) rad about up: forward = (left - right) x up; NaN where it is not known.

    The pairs of shoulders and hips that are known, and more than 0.1 m apart on the ground, are
    averaged. Where z is up, 0 is along x and pi/2 along y. In optical frames -y is up, 0 is along
    z, where the camera looks, and pi/2 is to its left.

    Args:
        points: (N, K, 3) m.
        bones: of the skeleton.
        optical: whether -y is up, else +z.
    """
    torso = np.where((bones.torso >= 0)[:, None], points[:, bones.torso], np.nan)
    across = torso[:, ::2] - torso[:, 1::2]  # (N, 2, 3), the person's right to left
    x, y, z = np.moveaxis(across, -1, 0)
    # forward on the ground, as (towards heading 0, towards heading pi/2)
    forward = np.stack([-x, -z] if optical else [y, -x], -1)
    wide = np.linalg.norm(forward, axis=-1) > _LEAST_WIDTH_M  # False for NaN
    total = np.where(wide[..., None], forward, 0).sum(1)
    angle: FloatArray = np.arctan2(total[:, 1], total[:, 0])
    return np.where(wide.any(1), angle, np.nan)
