# SPDX-License-Identifier: Apache-2.0
"""One-Euro filter on the joints of one person (Casiez, Roussel, Vogel, CHI 2012).

An exponential low-pass whose cutoff rises with the joint's speed: f = f_min + beta |v|, v itself
low-passed at 1 Hz. Steps are weighted by the images' stamps, so the rate may vary. A joint in
steady motion lags by 1 / (2 pi f) seconds, whatever the image rate: with the default parameters
0.11 s when slow, 0.045 s at one person size per second, 0.02 s at three.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.tracking.warp import warp_points

FloatArray = NDArray[np.float32]

SPEED_CUTOFF_HZ = 1.0  # the paper's fixed value


class OneEuroFilter:
    """Smooths (K, 2) px; a joint of score 0 passes unchanged and starts anew when it is back."""

    def __init__(self, min_cutoff_hz: float, speed_coefficient: float) -> None:
        self.min_cutoff_hz = min_cutoff_hz
        self.speed_coefficient = speed_coefficient
        self._smooth: FloatArray | None = None
        self._raw = np.zeros(0, np.float32)
        self._stamp_ns = 0
        self._velocity = np.zeros(0, np.float32)
        self._known = np.zeros(0, bool)

    def __call__(
        self, points: FloatArray, scores: FloatArray, size: float, stamp_ns: int
    ) -> FloatArray:
        """The smoothed joints.

        Args:
            points: (K, 2) px.
            scores: (K,).
            size: of the person, px; speeds are measured in it.
            stamp_ns: time of the image, later than at the call before.
        """
        known, dt = scores > 0, (stamp_ns - self._stamp_ns) / 1e9
        if self._smooth is None:
            self._smooth, self._velocity = points, np.zeros_like(points)
        else:
            old = (known & self._known)[:, None]
            velocity = (points - self._raw) / dt
            velocity = self._velocity + _weight(SPEED_CUTOFF_HZ, dt) * (velocity - self._velocity)
            self._velocity = np.where(old, velocity, 0).astype(np.float32)
            speed = np.sqrt((self._velocity**2).sum(1, keepdims=True)) / size
            weight = _weight(self.min_cutoff_hz + self.speed_coefficient * speed, dt)
            smooth = np.where(old, self._smooth + weight * (points - self._smooth), points)
            self._smooth = smooth.astype(np.float32)
        self._raw, self._known, self._stamp_ns = points, known, stamp_ns
        return self._smooth.copy()

    def move_camera(self, motion: NDArray[np.float64]) -> None:
        """Go on as if the camera, moved by an affine map (2, 3), had always stood there."""
        if self._smooth is not None:
            self._smooth = warp_points(self._smooth, motion).astype(np.float32)
            self._raw = warp_points(self._raw, motion).astype(np.float32)
            self._velocity = (self._velocity @ motion[:, :2].T).astype(np.float32)


def _weight(cutoff_hz: float | NDArray[np.floating], dt: float) -> float | NDArray[np.floating]:
    """Share of the new value in a first-order low-pass over ``dt`` seconds."""
    return 1 / (1 + 1 / (2 * np.pi * cutoff_hz * dt))
