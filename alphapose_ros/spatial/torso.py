# SPDX-License-Identifier: Apache-2.0
"""Where people stand: the centre of the torso, and how well that is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.records import Intrinsics
from alphapose_ros.base.rows import Rows, array
from alphapose_ros.base.transform import RigidTransform
from alphapose_ros.spatial.bones import Bones
from alphapose_ros.spatial.config import SpatialConfig
from alphapose_ros.spatial.depth import depth_noise, known_median

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

# Corners in the order of bones.TORSO. Each is the sum of its neighbours less the opposite one.
_NEXT, _OTHER, _OPPOSITE = [1, 0, 0, 1], [2, 3, 3, 2], [3, 2, 1, 0]
_FILLED_M = 0.08  # error of a corner's depth that was taken from the other corners
_HALF_M = 0.25  # from the shoulders, or the hips, to the centre (Winter 2009: .144 of the height)
_BODY_M = 0.4  # from the middle of whatever is seen to the centre
WHOLE, PART, BODY, HEIGHT = 1, 10, 100, 200  # kinds of evidence; PART has its corners added


@dataclass(frozen=True)
class Places(Rows):
    """Positions of N people; the rows of those whose place is not known are NaN.

    Attributes:
        points: (N, 3) m, centre of the torso.
        noise: (N, 3, 3) m², covariance of errors that change from image to image.
        bias: (N, 3, 3) m², covariance of errors that stay while the same joints are seen.
        evidence: (N,) what the place was found by; 0: it is not known.
    """

    points: FloatArray = array("N", 3, dtype=np.float64)
    noise: FloatArray = array("N", 3, 3, dtype=np.float64)
    bias: FloatArray = array("N", 3, 3, dtype=np.float64)
    evidence: NDArray[np.int64] = array("N", dtype=np.int64)

    def moved(self, transform: RigidTransform) -> Places:
        """The same in another frame."""
        return Places(
            transform.points(self.points),
            transform.covariances(self.noise),
            transform.covariances(self.bias),
            self.evidence,
        )


@dataclass(frozen=True)
class Corners:
    """Shoulders and hips: the first axis after N has them in the order of bones.TORSO.

    Attributes:
        rays: (N, 4, 2) x/z and y/z, completed where three are known.
        known: (N, 4) which of them are known.
        whole: (N,) whether they surround the centre, so that their mean is the centre.
        evidence: (N,) WHOLE, PART with the corners that are seen, or 0.
    """

    rays: FloatArray
    known: BoolArray
    whole: BoolArray
    evidence: NDArray[np.int64]

    def mean(self, values: FloatArray) -> FloatArray:
        """(N, D) mean over the known corners of (N, 4, D); NaN without any."""
        count = self.known.sum(1)[:, None]
        total = np.where(self.known[..., None], values, 0).sum(1)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def find_corners(rays: FloatArray, usable: BoolArray, bones: Bones) -> Corners:
    """The torso in the image, from viewing rays (N, K, 2) and which of them count (N, K)."""
    known = usable[:, bones.torso] & (bones.torso >= 0)
    known &= np.isfinite(rays[:, bones.torso]).all(-1)
    corners = np.where(known[..., None], rays[:, bones.torso], np.nan)
    filled = corners[:, _NEXT] + corners[:, _OTHER] - corners[:, _OPPOSITE]
    whole = np.asarray((known & known[:, _OPPOSITE]).any(1))
    evidence = np.where(whole, WHOLE, PART + known @ (1 << np.arange(4)))
    corners = np.where(known[..., None], corners, filled)
    known = np.asarray(np.isfinite(corners).all(-1))
    return Corners(corners, known, whole, np.where(known.any(1), evidence, 0))


def find_places(
    rays: FloatArray,
    depths: FloatArray,
    usable: BoolArray,
    bones: Bones,
    intrinsics: Intrinsics,
    config: SpatialConfig,
) -> Places:
    """Positions by depth, in the camera's optical frame.

    The mean of shoulders and hips, those of unknown depth at the depth of the others; without any
    the median of the other joints of the body.

    Args:
        rays: (N, K, 2) x/z and y/z.
        depths: (N, K) m, NaN where unknown.
        usable: (N, K) joints that are seen in the image.
        bones: of the skeleton.
        intrinsics: for the noise of pixels.
        config: noise.
    """
    corners = find_corners(rays, usable, bones)
    measured = np.where(bones.torso >= 0, depths[:, bones.torso], np.nan)
    z, variance = _corner_depths(measured, config)
    count = np.maximum(corners.known.sum(1), 1)
    points = corners.mean(np.concatenate([corners.rays * z[..., None], z[..., None]], -1))
    along = corners.mean(variance[..., None])[:, 0] / count
    along = np.maximum(along, _twist(measured) ** 2 / 16)
    off_centre = np.where(corners.whole, 0, _HALF_M)
    evidence = np.where(np.isfinite(points).all(1), corners.evidence, 0)

    others, spread = _body_median(rays, depths, bones)
    lone = (evidence == 0) & np.isfinite(others).all(1)
    points = np.where(lone[:, None], others, points)
    body = depth_noise(points[:, 2], config) ** 2 + config.joint_noise**2 + spread
    along, count = np.where(lone, body, along), np.where(lone, 1, count)
    off_centre = np.where(lone, _BODY_M if bones.has_torso else 0, off_centre)
    return places_along(
        points, along, count, off_centre, np.where(lone, BODY, evidence), intrinsics, config
    )


def places_along(
    points: FloatArray,
    along: FloatArray,
    count: NDArray[np.int64],
    off_centre: FloatArray,
    evidence: NDArray[np.int64],
    intrinsics: Intrinsics,
    config: SpatialConfig,
) -> Places:
    """Positions with their covariances in the camera's optical frame.

    An error of depth moves a point along its ray. Beside it, joints jitter on the body and in the
    image, pixels being z / f wide. A centre that is guessed is off by a length in any direction.

    Args:
        points: (N, 3) m.
        along: (N,) m², variance of z.
        count: (N,) joints of which each point is the mean.
        off_centre: (N,) m, expected distance to the torso's centre.
        evidence: (N,) kind of evidence, 0 for none.
        intrinsics: focal lengths.
        config: noise of joints and pixels.
    """
    known = evidence > 0
    z = points[:, 2:]
    ray = np.concatenate([points[:, :2] / z, np.ones_like(z)], 1)
    pixel = config.pixel_noise / np.array([intrinsics.fx, intrinsics.fy])
    beside = (config.joint_noise**2 + (pixel * z) ** 2) / count[:, None]
    noise = along[:, None, None] * ray[:, :, None] * ray[:, None]
    noise[:, [0, 1], [0, 1]] += beside
    bias = (off_centre**2 / 3)[:, None, None] * np.eye(3)
    unknown = np.where(known, 0, np.nan)[:, None, None]
    points = np.where(known[:, None], points, np.nan)
    return Places(points, noise + unknown, bias + unknown, evidence)


def _corner_depths(measured: FloatArray, config: SpatialConfig) -> tuple[FloatArray, FloatArray]:
    """Depths (N, 4) m of all corners and their variances (N, 4) m²; NaN where none is measured.

    A missing one is completed to a parallelogram, or else set to the others' median.
    """
    filled = measured[:, _NEXT] + measured[:, _OTHER] - measured[:, _OPPOSITE]
    filled = np.where(np.isfinite(filled), filled, known_median(measured)[:, None])
    z = np.where(np.isfinite(measured), measured, filled)
    variance = depth_noise(z, config) ** 2 + config.joint_noise**2
    return z, np.where(np.isfinite(measured), variance, variance + _FILLED_M**2)


def _twist(measured: FloatArray) -> FloatArray:
    """(N,) m by which four depths are no parallelogram: their errors, and the trunk's shape."""
    return np.nan_to_num(measured @ np.array([1.0, -1.0, -1.0, 1.0]))


def _body_median(
    rays: FloatArray, depths: FloatArray, bones: Bones
) -> tuple[FloatArray, FloatArray]:
    """(N, 3) m median of the body's joints and (N,) m² variance of their median depth."""
    z = depths[:, bones.anchors]
    points = np.concatenate([rays[:, bones.anchors] * z[..., None], z[..., None]], -1)
    middle = known_median(np.moveaxis(points, -1, 1))
    off = z - middle[:, 2:]
    count = np.maximum(np.isfinite(off).sum(1), 1)
    return middle, np.nan_to_num(off**2).sum(1) / count**2
