# SPDX-License-Identifier: Apache-2.0
"""Tracks of one camera -> where the people are, how they move, which way they face."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.records import Intrinsics, Spatial, Tracks
from alphapose_ros.base.skeletons import Skeleton
from alphapose_ros.base.transform import RigidTransform
from alphapose_ros.spatial.bones import Bones
from alphapose_ros.spatial.config import SpatialConfig
from alphapose_ros.spatial.depth import DepthView
from alphapose_ros.spatial.heading import headings, is_optical
from alphapose_ros.spatial.height import guess_places
from alphapose_ros.spatial.joints import joint_depths, usable_joints
from alphapose_ros.spatial.rays import viewing_rays
from alphapose_ros.spatial.torso import Places, find_places
from alphapose_ros.spatial.velocity import VelocityFilter

FloatArray = NDArray[np.float64]


class SpatialEstimator:
    """3-D side of one camera's tracks.

    Args:
        config: limits and noise; with ``body_height`` > 0 positions are estimated without depth.
    """

    def __init__(self, config: SpatialConfig) -> None:
        self._config = config
        self._filter = VelocityFilter(config)
        self._bones: Bones | None = None

    def reset(self) -> None:
        """Forget how people moved."""
        self._filter.reset()

    def update(
        self,
        tracks: Tracks,
        stamp_ns: int,
        intrinsics: Intrinsics | None,
        depth: NDArray[np.float32] | None,
        *,
        frame: str,
        to_frame: RigidTransform | None,
        to_fixed: RigidTransform | None,
    ) -> Spatial:
        """Where the rows of ``tracks`` are.

        Args:
            tracks: people with keypoints in px of the colour image; lost ones have no place.
            stamp_ns: of the image; velocities are measured by it.
            intrinsics: of the colour image; None: nothing can be said.
            depth: (Hd, Wd) m, aligned with the colour image, of any size of its aspect ratio; NaN,
                infinite or out of range where unknown. None: see ``config.body_height``.
            frame: name of the frame of the result.
            to_frame: from the camera's optical frame (z forward, x right, y down) to ``frame``;
                None: nothing can be said.
            to_fixed: from the camera's optical frame, when the image was taken, to a frame that is
                fixed to the ground; the identity: the camera stands still; None: no velocities.

        Raises:
            InputError: a depth image of another shape, intrinsics that no camera has.
            MissingDependencyError: the camera has distortion, and OpenCV is not there.
        """
        people, joints = tracks.poses.scores.shape
        config, bones = self._config, self._bones_of(tracks.poses.skeleton)
        depth_is_of_use = depth is not None or config.body_height > 0
        if intrinsics is None or to_frame is None or not depth_is_of_use:
            return Spatial.unknown(people, joints, frame)
        usable = usable_joints(tracks, intrinsics, config)
        pixels = np.where(usable[..., None], tracks.poses.keypoints, np.nan).astype(np.float64)
        rays = viewing_rays(pixels, intrinsics)
        depths = np.full((people, joints), np.nan)
        if depth is not None:
            view = DepthView(depth, intrinsics, config)
            depths = joint_depths(view, pixels, usable, bones, config)
            places = find_places(rays, depths, usable, bones, intrinsics, config)
        else:
            places = guess_places(rays, usable, bones, intrinsics, config)
        points = to_frame.points(np.concatenate([rays * depths[..., None], depths[..., None]], -1))
        moved = places.moved(to_frame)
        facing = headings(points, bones, is_optical(frame, to_frame))
        velocities, covariances = self._velocities(tracks, stamp_ns, places, to_frame, to_fixed)
        return Spatial(
            keypoints=points.astype(np.float32),
            positions=moved.points.astype(np.float32),
            position_covariances=(moved.noise + moved.bias).astype(np.float32),
            velocities=velocities.astype(np.float32),
            velocity_covariances=covariances.astype(np.float32),
            headings=facing.astype(np.float32),
            frame=frame,
            has_depth=depth is not None,
            viewpoint=to_frame.translation.astype(np.float32),
        )

    def _velocities(
        self,
        tracks: Tracks,
        stamp_ns: int,
        places: Places,
        to_frame: RigidTransform,
        to_fixed: RigidTransform | None,
    ) -> tuple[FloatArray, FloatArray]:
        """Velocities (N, 3) m/s over ground along the axes of the frame, and covariances."""
        if to_fixed is None:
            return np.full((len(tracks), 3), np.nan), np.full((len(tracks), 3, 3), np.nan)
        found = self._filter.update(tracks.track_ids, stamp_ns, places.moved(to_fixed))
        from_fixed = to_frame.after(to_fixed.inverse())
        return from_fixed.vectors(found[0]), from_fixed.covariances(found[1])

    def _bones_of(self, skeleton: Skeleton) -> Bones:
        if self._bones is None or self._bones.skeleton is not skeleton:
            self._bones = Bones(skeleton)
        return self._bones
