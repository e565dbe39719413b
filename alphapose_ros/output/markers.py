# SPDX-License-Identifier: Apache-2.0
"""Results -> markers for RViz: joints as one sphere list, limbs as one line list per body part."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.records import FrameResult, Intrinsics, Spatial, TrackState
from alphapose_ros.output.messages import Classes, ros_header
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
        self,
        result: FrameResult,
        intrinsics: Intrinsics | None,
        classes: Classes,
        spatial: Spatial | None = None,
    ) -> Any:
        """Markers of one frame, with a DELETE for each that the frame before had.

        Joints stand where ``spatial`` measured them, in its frame; without depth they lie on the
        plane, in the image's frame.
        """
        present = result.tracks.states != TrackState.LOST
        tracks = result.tracks[present]
        header = ros_header(result.header, classes)
        added: dict[tuple[str, int], Any] = {}
        points: FloatArray | None = None
        if spatial is not None and spatial.has_depth:
            points, header.frame_id = spatial.keypoints[present], spatial.frame
        elif intrinsics is not None:
            points = self._on_plane(tracks.poses.keypoints, intrinsics)
        if points is not None:
            for row in range(len(tracks)):
                base = int(tracks.track_ids[row]) % _LAST_ID * ID_STRIDE
                color = _color(int(tracks.ids[row]), classes)
                seen = tracks.poses.scores[row] >= max(self._min_score, 1e-6)
                seen &= np.isfinite(points[row]).all(-1)
                for key, kind, chosen in self._lists(tracks.poses.skeleton, points[row], seen):
                    name, offset = key
                    marker = self._marker(header, (name, base + offset), kind, chosen, classes)
                    marker.color = color
                    added[name, base + offset] = marker
        gone = [
            classes.Marker(header=header, ns=name, id=number, action=_DELETE)
            for name, number in sorted(self._shown - added.keys())
        ]
        self._shown = set(added)
        return classes.MarkerArray(markers=[*gone, *added.values()])

    def _on_plane(self, keypoints: FloatArray, camera: Intrinsics) -> FloatArray:
        """(N, K, 2) px -> (N, K, 3) m, pinhole camera looking along z."""
        center = np.array([camera.cx, camera.cy], np.float32)
        focal = np.array([camera.fx, camera.fy], np.float32)
        out = np.full((*keypoints.shape[:-1], 3), self.depth_m, np.float32)
        out[..., :2] = (keypoints - center) / focal * self.depth_m
        return out

    def _lists(
        self, skeleton: Any, points: FloatArray, seen: NDArray[np.bool_]
    ) -> list[tuple[tuple[str, int], int, FloatArray]]:
        """((part, id offset), marker type, (P, 3) points) of one person, empty lists left out."""
        edges = np.asarray(skeleton.edges, np.intp).reshape(-1, 2)
        found = []
        for index, (name, part) in enumerate(skeleton.parts.items()):
            own = np.zeros(len(seen), bool)
            own[part] = True
            # A limb between two parts (an ankle and its heel) belongs to the later one.
            ends = edges[(edges.max(1) >= part.start) & (edges.max(1) < part.stop)]
            ends = ends[seen[ends].all(1)]
            found.append(((name, 2 * index), _SPHERE_LIST, points[own & seen]))
            found.append(((name, 2 * index + 1), _LINE_LIST, points[ends].reshape(-1, 3)))
        return [item for item in found if len(item[2])]

    def _marker(
        self, header: Any, key: tuple[str, int], kind: int, points: FloatArray, classes: Classes
    ) -> Any:
        seconds, fraction = divmod(self.lifetime_s, 1.0)
        size = self._sizes[kind]
        marker = classes.Marker(
            header=header,
            ns=key[0],
            id=key[1],
            type=kind,
            action=_ADD,
            scale=classes.Vector3(x=size, y=size, z=size),
            lifetime=classes.Duration(sec=int(seconds), nanosec=int(fraction * 1e9)),
            points=[classes.Point(x=x, y=y, z=z) for x, y, z in points.tolist()],
        )
        marker.pose.orientation.w = 1.0
        return marker


def _color(identity: int, classes: Classes) -> Any:
    red, green, blue = (value / 255 for value in identity_color(identity))
    return classes.ColorRGBA(r=red, g=green, b=blue, a=1.0)
