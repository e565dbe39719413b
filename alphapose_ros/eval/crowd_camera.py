# SPDX-License-Identifier: Apache-2.0
"""The camera of the simulated crowd: it stands still, pans and trembles, and frames get lost.

Ground coordinates in metres: x to the right, y up, z away from the camera, which hangs at
``HEIGHT_M`` over the origin. The pan is a rotation, so that the motion of the image between two
frames is exactly a homography, whatever the depth.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.eval.crowd_config import CrowdConfig

FloatArray = NDArray[np.float64]
HEIGHT_M = 1.5
_NEAR_M = 0.3  # whatever is nearer or behind is not in the picture
_SECOND = 1_000_000_000
_FIRST_NS = 1_700_000_000 * _SECOND  # stamps look like those of a camera


def frame_times(config: CrowdConfig, rng: np.random.Generator) -> FloatArray:
    """(F,) seconds from the start, rising: uneven, with single frames and whole bursts lost."""
    count = round(config.duration_s * config.fps)
    steps = 1 + config.rate_spread * np.clip(rng.normal(size=count), -2, 2)
    times = np.cumsum(steps) / config.fps
    kept = rng.uniform(size=count) >= config.dropped
    bursts = rng.poisson(config.bursts_per_minute * config.duration_s / 60)
    for start, share in rng.uniform(size=(bursts, 2)):
        begin = start * config.duration_s
        kept &= (times < begin) | (times >= begin + share * config.burst_s)
    times = times[kept & (times <= config.duration_s)]
    return np.asarray(times, np.float64)


def stamp_ns(time_s: float) -> int:
    """The stamp of a frame ``time_s`` after the start."""
    return _FIRST_NS + round(time_s * _SECOND)


class Camera:
    """Where points of the world are in the image at each of the sequence's frames.

    Args:
        config: of the crowd.
        times: (F,) s of the frames.
        rng: draws the trembling.
    """

    def __init__(self, config: CrowdConfig, times: FloatArray, rng: np.random.Generator) -> None:
        height, width = config.image_hw
        self.focal = config.focal * width
        self.inner = np.array(
            [[self.focal, 0, width / 2], [0, self.focal, height / 2], [0, 0, 1.0]]
        )
        shake = config.shake_px / self.focal * rng.normal(size=(len(times), 2))
        phase = 2 * np.pi * (times / config.pan_period_s + rng.uniform())
        self._yaw = config.pan_rad * np.sin(phase) + shake[:, 0]
        self._pitch = shake[:, 1]

    def rotation(self, frame: int) -> FloatArray:
        """(3, 3) from x right, y down, z away to the same axes of the camera."""
        yaw, pitch = self._yaw[frame], self._pitch[frame]
        turn = np.array([[np.cos(yaw), 0, -np.sin(yaw)], [0, 1, 0], [np.sin(yaw), 0, np.cos(yaw)]])
        nod = np.array(
            [[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]]
        )
        return np.asarray(nod @ turn)

    def project(self, points: FloatArray, frame: int) -> tuple[FloatArray, NDArray[np.bool_]]:
        """(..., 3) m -> (..., 2) px, and whether each lies in front of the camera (...)."""
        down = np.stack([points[..., 0], HEIGHT_M - points[..., 1], points[..., 2]], -1)
        seen = down @ self.rotation(frame).T
        depth = np.maximum(seen[..., 2], _NEAR_M)
        middle = self.inner[:2, 2]
        return seen[..., :2] / depth[..., None] * self.focal + middle, seen[..., 2] > _NEAR_M

    def motion(self, before: int, frame: int) -> FloatArray:
        """(3, 3) homography from pixels of the frame ``before`` to pixels of ``frame``."""
        turned = self.rotation(frame) @ self.rotation(before).T
        out = self.inner @ turned @ np.linalg.inv(self.inner)
        return np.asarray(out / out[2, 2])
