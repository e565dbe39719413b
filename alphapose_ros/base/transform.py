# SPDX-License-Identifier: Apache-2.0
"""Rigid transforms between coordinate frames."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from alphapose_ros.base.errors import InputError

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class RigidTransform:
    """Maps coordinates of a source frame to a target frame: ``R x + t``.

    Attributes:
        rotation: (3, 3) orthonormal, determinant 1.
        translation: (3,) m.
    """

    rotation: FloatArray = field(default_factory=lambda: np.eye(3))
    translation: FloatArray = field(default_factory=lambda: np.zeros(3))

    @classmethod
    def from_quaternion(cls, xyzw: ArrayLike, translation: ArrayLike) -> RigidTransform:
        """From ``geometry_msgs/Transform``'s numbers; the quaternion is normalised.

        Raises:
            InputError: a quaternion of length 0 or numbers that are not finite.
        """
        quaternion = np.asarray(xyzw, np.float64)
        moved = np.asarray(translation, np.float64)
        length = float(np.linalg.norm(quaternion))
        if not (length > 1e-6 and np.isfinite(length) and np.isfinite(moved).all()):
            raise InputError(
                f"transform: expected a unit quaternion and finite m, got {quaternion} {moved}"
            )
        x, y, z, w = quaternion / length
        rotation = np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
                [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
                [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
            ]
        )
        return cls(rotation, moved)

    def points(self, points: ArrayLike) -> FloatArray:
        """(..., 3) m in the source frame -> the target frame; NaN stays NaN."""
        return self.vectors(points) + self.translation

    def vectors(self, vectors: ArrayLike) -> FloatArray:
        """(..., 3) directions or velocities: rotated, not moved."""
        out: FloatArray = np.asarray(vectors, np.float64) @ self.rotation.T
        return out

    def covariances(self, covariances: ArrayLike) -> FloatArray:
        """(..., 3, 3) covariances of points or vectors: ``R C R^T``."""
        out: FloatArray = self.rotation @ np.asarray(covariances, np.float64) @ self.rotation.T
        return out

    def inverse(self) -> RigidTransform:
        """From the target frame to the source frame."""
        return RigidTransform(self.rotation.T, -self.rotation.T @ self.translation)

    def after(self, first: RigidTransform) -> RigidTransform:
        """``first``, then this one."""
        return RigidTransform(
            self.rotation @ first.rotation, self.rotation @ first.translation + self.translation
        )
