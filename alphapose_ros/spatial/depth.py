# SPDX-License-Identifier: Apache-2.0
"""A depth image that is read at pixels of the colour image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.records import Intrinsics
from alphapose_ros.spatial.config import SpatialConfig

FloatArray = NDArray[np.float64]

_ASPECT_TOLERANCE = 0.01
_GRID = np.linspace(-1, 1, 5)  # rows and columns of a window, in radii
_WINDOW_PX = (1.0, 12.0)  # least and greatest radius of a window
_LEAST_VALID = 0.25  # share of a window that must have depth
_FRONT = 0.2  # quantile of a window's depths that begins its foreground
_BAND_M = 0.05  # depth of the foreground beyond that


class DepthView:
    """Depth at pixels of the colour image that it is aligned with.

    Args:
        depth: (Hd, Wd) m; NaN, infinite, <= 0 or out of the config's range: unknown.
        intrinsics: of the colour image. Its pixel u is (u + 0.5) Wd / W - 0.5 in the depth image.
        config: range and noise.

    Raises:
        InputError: ``depth`` is no matrix, or its aspect ratio is not the colour image's.
    """

    def __init__(
        self, depth: NDArray[np.float32], intrinsics: Intrinsics, config: SpatialConfig
    ) -> None:
        height, width = intrinsics.size_hw
        if depth.ndim != 2 or 0 in depth.shape or not height or not width:
            raise InputError(
                f"depth: expected a matrix for an image of {height} x {width}, got {depth.shape}"
            )
        self._scale = np.array([depth.shape[1] / width, depth.shape[0] / height])
        if abs(self._scale[0] / self._scale[1] - 1) > _ASPECT_TOLERANCE:
            raise InputError(
                f"depth: expected the aspect ratio of the image's {(height, width)}, "
                f"got {depth.shape}"
            )
        self._flat, self._size_hw, self._config = depth.reshape(-1), depth.shape, config
        self._px_per_ray = float(np.mean(self._scale * [intrinsics.fx, intrinsics.fy]))

    def noise(self, depth: FloatArray) -> FloatArray:
        """Standard deviation of a measured depth, m; NaN of NaN.

        Axial noise a + b (z - 0.4)² of structured light: Nguyen, Izadi & Lovell 2012, "Modeling
        Kinect sensor noise", section 2. Khoshelham & Elberink 2012, section 3, derive the same
        growth with z² from disparity: 1.4 mm at 1 m, 36 mm at 5 m.
        """
        return depth_noise(depth, self._config)

    def radius(self, depth: FloatArray) -> FloatArray:
        """Radius of the window at a distance (...) m, in px of the colour image; NaN of NaN."""
        radius = self._config.window * self._px_per_ray / depth
        return np.clip(radius, *_WINDOW_PX) / float(np.mean(self._scale))

    def at(self, pixels: FloatArray) -> NDArray[np.float32]:
        """(..., 2) px of the colour image -> (...) m at the nearest pixel; NaN if unknown."""
        return self._read(self._index(pixels[..., 0], 0), self._index(pixels[..., 1], 1))

    def _index(self, pixels: FloatArray, axis: int) -> NDArray[np.intp]:
        """Column (axis 0) or row (axis 1) of the depth image; -1 outside and for NaN."""
        scale, size = self._scale[axis], self._size_hw[1 - axis]
        place = np.floor((pixels + 0.5) * scale)
        return np.where((place >= 0) & (place < size), place, -1).astype(np.intp)

    def _read(self, u: NDArray[np.intp], v: NDArray[np.intp]) -> NDArray[np.float32]:
        """Depths at columns and rows, that are broadcast; NaN where unknown."""
        found = self._flat[np.maximum(v, 0) * self._size_hw[1] + np.maximum(u, 0)]
        good = (found > 0) & (found >= self._config.min_depth) & (found <= self._config.max_depth)
        return np.where(good & (u >= 0) & (v >= 0), found, np.float32(np.nan))

    def foreground(self, pixels: FloatArray, radius: FloatArray) -> FloatArray:
        """Depth (N, K) m of what is in front around (N, K, 2) px; ``radius`` (N,) px.

        The median of the depths between the window's nearest and a band behind them: the edge of
        a limb has background beside it. NaN where too few pixels have depth.
        """
        offsets = radius[:, None, None] * _GRID
        u = self._index(pixels[..., :1] + offsets, 0)
        v = self._index(pixels[..., 1:] + offsets, 1)
        window = self._read(u[..., None, :], v[..., :, None])
        near_first = np.sort(window.reshape(*u.shape[:2], len(_GRID) ** 2), -1)  # NaN comes last
        valid = np.isfinite(near_first).sum(-1)
        front = np.take_along_axis(
            near_first, (_FRONT * np.maximum(valid - 1, 0)).astype(np.intp)[..., None], -1
        )
        within = (near_first <= front + _BAND_M + 2 * self.noise(front.astype(np.float64))).sum(-1)
        middle = np.stack([np.maximum(within - 1, 0) // 2, within // 2], -1)
        found = np.take_along_axis(near_first, middle, -1).mean(-1)
        return np.where(valid >= _LEAST_VALID * len(_GRID) ** 2, found, np.nan).astype(np.float64)

    def along(
        self, begin: FloatArray, end: FloatArray, points: int, radius: FloatArray
    ) -> FloatArray:
        """Depths (N, J, points) m between pixels (N, J, 2), without the ends.

        Each is the second nearest of a point and its four neighbours, (N,) ``radius`` px away: a
        way that runs beside the middle of a thin limb stays on it, one bad pixel does no harm.
        """
        share = np.arange(1, points + 1)[:, None] / (points + 1)
        way = begin[:, :, None] + (end - begin)[:, :, None] * share
        taps = way[:, :, :, None] + radius[:, None, None, None, None] * _CROSS
        return np.sort(self.at(taps), -1)[..., 1].astype(np.float64)


_CROSS = np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]], np.float64)


def depth_noise(depth: FloatArray, config: SpatialConfig) -> FloatArray:
    """Standard deviation of a measured depth (...) m, see :meth:`DepthView.noise`."""
    return config.depth_noise + config.depth_noise_growth * np.maximum(depth - 0.4, 0) ** 2


def known_median(values: FloatArray) -> FloatArray:
    """Median over the last axis of what is not NaN; NaN where nothing is known."""
    if not values.shape[-1]:
        return np.full(values.shape[:-1], np.nan)
    ordered = np.sort(values, -1)
    count = np.isfinite(ordered).sum(-1)[..., None]
    middle = np.concatenate([np.maximum(count - 1, 0) // 2, count // 2], -1)
    found: FloatArray = np.take_along_axis(ordered, middle, -1).mean(-1)
    return found
