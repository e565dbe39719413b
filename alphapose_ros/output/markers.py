# SPDX-License-Identifier: Apache-2.0
"""Results -> markers for RViz: joints as one sphere list, limbs as one line list per body part."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.records import FrameResult, Intrinsics, Spatial, TrackState
from alphapose_ros.base.skeletons import Skeleton
from alphapose_ros.output.marker_cdr import MarkerShape, marker_array_cdr
from alphapose_ros.output.palette import identity_color

FloatArray = NDArray[np.float32]

ID_STRIDE = 200  # marker ids per person: one a joint for every known keypoint set, and then some
_ADD, _DELETE = 0, 2  # visualization_msgs/Marker
_LINE_LIST, _SPHERE_LIST = 5, 7
_LAST_ID = 2**31 // ID_STRIDE  # int32 in the message; track numbers start over far beyond any run


class MarkerWriter:
    """``MarkerArray`` messages of one camera; remembers what it drew, to delete who left.

    Without depth, joints lie on a plane ``depth_m`` in front of the camera: where in the image
    is right, how far away is not. Without intrinsics there is no such plane and nothing is drawn.

    Args:
        depth_m: distance of the plane along the optical axis.
        lifetime_s: markers vanish when nothing came for so long; 0 keeps them.
        min_score: joints below it are left out.
        joint_m, limb_m: diameter of joints, width of limbs.
    """

    def __init__(
        self,
        *,
        depth_m: float = 2.0,
        lifetime_s: float = 0.5,
        min_score: float = 0.2,
        joint_m: float = 0.03,
        limb_m: float = 0.015,
    ) -> None:
        self.depth_m = depth_m
        self.lifetime_s = lifetime_s
        self._min_score = min_score
        self._sizes = {_SPHERE_LIST: joint_m, _LINE_LIST: limb_m}
        self._shown: set[tuple[str, int]] = set()

    def write(
        self, result: FrameResult, intrinsics: Intrinsics | None, spatial: Spatial | None = None
    ) -> bytes:
        """CDR of one frame's markers, with a DELETE for each that the frame before had.

        Joints stand where ``spatial`` measured them, in its frame; without depth they lie on the
        plane, in the image's frame.
        """
        present = result.tracks.states != TrackState.LOST
        tracks, frame_id = result.tracks[present], result.header.frame_id
        shapes: list[MarkerShape] = []
        points: FloatArray | None = None
        if spatial is not None and spatial.has_depth:
            points, frame_id = spatial.keypoints[present], spatial.frame
        elif intrinsics is not None:
            points = self._on_plane(tracks.poses.keypoints, intrinsics)
        if points is not None:
            skeleton = tracks.poses.skeleton
            limbs = _limbs(skeleton)
            for row in range(len(tracks)):
                seen = tracks.poses.scores[row] >= max(self._min_score, 1e-6)
                seen &= np.isfinite(points[row]).all(-1)
                base = int(tracks.track_ids[row]) % _LAST_ID * ID_STRIDE
                color = _color(int(tracks.ids[row]))
                shapes += self._person(skeleton, limbs, points[row], seen, base, color)
        shown = {(shape.namespace, shape.number) for shape in shapes}
        gone = [MarkerShape(*key, _DELETE) for key in sorted(self._shown - shown)]
        self._shown = shown
        stamp_ns = result.header.stamp_ns
        return marker_array_cdr([*gone, *shapes], stamp_ns, frame_id, self.lifetime_s)

    def _on_plane(self, keypoints: FloatArray, camera: Intrinsics) -> FloatArray:
        """(N, K, 2) px -> (N, K, 3) m, pinhole camera looking along z."""
        center = np.array([camera.cx, camera.cy], np.float32)
        focal = np.array([camera.fx, camera.fy], np.float32)
        out = np.full((*keypoints.shape[:-1], 3), self.depth_m, np.float32)
        out[..., :2] = (keypoints - center) / focal * self.depth_m
        return out

    def _person(
        self,
        skeleton: Skeleton,
        limbs: dict[str, NDArray[np.intp]],
        points: FloatArray,
        seen: NDArray[np.bool_],
        base: int,
        color: tuple[float, float, float, float],
    ) -> list[MarkerShape]:
        """Spheres and limbs of each part of one person, empty lists left out."""
        found = []
        for index, (name, part) in enumerate(skeleton.parts.items()):
            ends = limbs[name]
            ends = ends[seen[ends].all(1)]
            for offset, kind, chosen in (
                (2 * index, _SPHERE_LIST, points[part][seen[part]]),
                (2 * index + 1, _LINE_LIST, points[ends].reshape(-1, 3)),
            ):
                if len(chosen):
                    size = self._sizes[kind]
                    found.append(MarkerShape(name, base + offset, _ADD, kind, size, color, chosen))
        return found


def _limbs(skeleton: Skeleton) -> dict[str, NDArray[np.intp]]:
    """Part -> (E, 2) joints of its limbs; one between two parts (an ankle and its heel) belongs
    to the later.
    """
    edges = np.asarray(skeleton.edges, np.intp).reshape(-1, 2)
    last = edges.max(1, initial=-1)
    return {
        name: edges[(last >= part.start) & (last < part.stop)]
        for name, part in skeleton.parts.items()
    }


def _color(identity: int) -> tuple[float, float, float, float]:
    red, green, blue = (value / 255 for value in identity_color(identity))
    return red, green, blue, 1.0
