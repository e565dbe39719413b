# SPDX-License-Identifier: Apache-2.0
"""Kalman filter of person boxes in continuous time, for any number of people at once.

Centre x, centre y, width and height move independently of each other, so each has a filter of its
own with two states, position p and velocity v, written out without matrices. The velocity is an
Ornstein-Uhlenbeck process: dv = -v/tau dt + sigma sqrt(2/tau) dW, dp = v dt. It has the spread
sigma and is forgotten with the time constant tau, so a person out of sight drifts at most v tau
and the uncertainty grows as it should. Its exact solution makes predicting over a gap the same as
predicting through each part of it: a dropped frame changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.rows import Rows, array
from alphapose_ros.tracking.config import TrackerConfig
from alphapose_ros.tracking.warp import scale_of

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class BoxMotion(Rows):
    """State of T filters; the axis of four is (centre x, centre y, width, height).

    Attributes:
        position: (T, 4) px.
        velocity: (T, 4) px/s.
        covariance: (T, 4, 3) variance of position, covariance, variance of velocity.
        size: (T,) px, the scale of all noise: square root of the area when last seen.
    """

    position: FloatArray = array("N", 4, dtype=np.float64)
    velocity: FloatArray = array("N", 4, dtype=np.float64)
    covariance: FloatArray = array("N", 4, 3, dtype=np.float64)
    size: FloatArray = array("N", dtype=np.float64)

    @classmethod
    def empty(cls) -> BoxMotion:
        """Nobody."""
        return cls(np.zeros((0, 4)), np.zeros((0, 4)), np.zeros((0, 4, 3)), np.zeros(0))

    def with_rows(self, rows: Sequence[int], motion: BoxMotion) -> BoxMotion:
        """A copy in which ``rows`` are those of ``motion``."""
        index = np.array(rows, np.intp)
        values = []
        for name in ("position", "velocity", "covariance", "size"):
            values.append(getattr(self, name).copy())
            values[-1][index] = getattr(motion, name)
        return BoxMotion(*values)

    def warped(self, motion: FloatArray) -> BoxMotion:
        """The same people after the camera moved by an affine map (2, 3).

        Covariances between x and y are not kept: a turn mixes the two variances.
        """
        scale = scale_of(motion)
        center = np.array([motion[:, :2], motion[:, :2] ** 2])
        position, velocity = self.position * scale, self.velocity * scale
        covariance = self.covariance * scale**2
        position[:, :2] = self.position[:, :2] @ center[0].T + motion[:, 2]
        velocity[:, :2] = self.velocity[:, :2] @ center[0].T
        covariance[:, :2] = np.einsum("ij,tjc->tic", center[1], self.covariance[:, :2])
        return BoxMotion(position, velocity, covariance, self.size * scale)

    @property
    def boxes(self) -> NDArray[np.float32]:
        """(T, 4) px xyxy; a predicted side is never shorter than a tenth of the size."""
        half = np.maximum(self.position[:, 2:], 0.1 * self.size[:, None]) / 2
        center = self.position[:, :2]
        return np.concatenate([center - half, center + half], 1).astype(np.float32)


class KalmanFilter:
    """Begins, predicts and corrects :class:`BoxMotion`; stateless, arguments are not changed."""

    def __init__(self, config: TrackerConfig) -> None:
        position, extent = config.position_noise, config.extent_noise
        self.noise = np.array([position, position, extent, extent])
        self.spread = np.array([config.speed_std] * 2 + [config.growth_std] * 2)
        self.memory_s = config.speed_memory_s

    def begin(self, boxes: NDArray[np.float32]) -> BoxMotion:
        """Filters of boxes (T, 4) seen for the first time: at rest, of unknown velocity."""
        measured, size = _measure(boxes)
        covariance = np.zeros((len(boxes), 4, 3))
        covariance[..., 0] = (self.noise * size[:, None]) ** 2
        covariance[..., 2] = (self.spread * size[:, None]) ** 2
        return BoxMotion(measured, np.zeros_like(measured), covariance, size)

    def predict(self, motion: BoxMotion, dt: float) -> BoxMotion:
        """The state ``dt`` seconds later (exact discretisation, Gillespie 1996)."""
        tau = self.memory_s
        kept = np.exp(-dt / tau)
        reach = tau * (1 - kept)
        pp, pv, vv = np.moveaxis(motion.covariance, -1, 0)
        power = (self.spread * motion.size[:, None]) ** 2
        drift = 2 * dt / tau - 3 + 4 * kept - kept**2
        covariance = np.stack(
            [
                pp + 2 * reach * pv + reach**2 * vv + power * tau**2 * drift,
                kept * (pv + reach * vv) + power * tau * (1 - kept) ** 2,
                kept**2 * vv + power * (1 - kept**2),
            ],
            -1,
        )
        position = motion.position + reach * motion.velocity
        return BoxMotion(position, kept * motion.velocity, covariance, motion.size)

    def correct(self, motion: BoxMotion, boxes: NDArray[np.float32]) -> BoxMotion:
        """The state after seeing ``boxes`` (T, 4), one for each filter."""
        measured, size = _measure(boxes)
        pp, pv, vv = np.moveaxis(motion.covariance, -1, 0)
        innovation = measured - motion.position
        variance = pp + (self.noise * motion.size[:, None]) ** 2
        gain, velocity_gain = pp / variance, pv / variance
        covariance = np.stack(
            [(1 - gain) * pp, (1 - gain) * pv, vv - velocity_gain * pv],
            -1,
        )
        return BoxMotion(
            motion.position + gain * innovation,
            motion.velocity + velocity_gain * innovation,
            covariance,
            size,
        )

    def center_distance(self, motion: BoxMotion, boxes: NDArray[np.float32]) -> FloatArray:
        """Mahalanobis distance of T predicted centres to the N of ``boxes``, (T, N)."""
        measured, _ = _measure(boxes)
        variance = motion.covariance[:, :2, 0] + (self.noise[:2] * motion.size[:, None]) ** 2
        innovation = measured[None, :, :2] - motion.position[:, None, :2]
        return np.sqrt((innovation**2 / variance[:, None]).sum(-1))


def _measure(boxes: NDArray[np.float32]) -> tuple[FloatArray, FloatArray]:
    """Boxes xyxy -> (T, 4) centre and sides, and sizes (T,) of at least one pixel."""
    exact = boxes.astype(np.float64)
    sides = np.maximum(exact[:, 2:] - exact[:, :2], 0)
    center = (exact[:, :2] + exact[:, 2:]) / 2
    return np.concatenate([center, sides], 1), np.sqrt(np.maximum(sides.prod(1), 1.0))
