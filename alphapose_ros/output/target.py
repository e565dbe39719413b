# SPDX-License-Identifier: Apache-2.0
"""One person chosen from a camera's results, as a pose and as a transform to follow."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.base.records import FrameResult, Poses, Spatial, Tracks, TrackState
from alphapose_ros.output.messages import Classes, ros_time

log = logging.getLogger(__name__)

FloatArray = NDArray[np.float64]

MODES = ("off", "id", "nearest", "raised_hand")
_NEARER = 0.8  # another person takes over when nearer than this part of the target's distance
_RAISE_NS = 500_000_000  # a hand counts after so long
_FLICKER_NS = 200_000_000  # and may be missed for so long meanwhile
_MIN_SCORE = 0.3  # joints below it say nothing about a hand
_WRISTS, _HEAD = ("left_wrist", "right_wrist"), ("nose", "left_eye", "right_eye")
_OPTICAL = ("_optical_frame", "_optical")
_LOOKING_ALONG_Z = (0.5, -0.5, 0.5, 0.5)  # xyzw: x axis along +z, z axis along -y (REP-103)


class TargetSelector:
    """Chooses one person of a camera; each camera has a selector of its own.

    Only people who are seen in the frame and have an identity are chosen. A target out of sight
    for no longer than ``hold_s`` is waited for: nobody is chosen meanwhile.

    * ``off``: nobody.
    * ``id``: the person of ``identity``.
    * ``nearest``: the smallest distance from the camera, in whatever frame positions are; the
      largest box where no distance is known. Another person takes over only when 20 % nearer.
    * ``raised_hand``: whoever held a wrist above nose and eyes in the image for 0.5 s, until
      another person does so. A skeleton without wrists, or without nose and eyes, is told once.

    Args:
        mode: one of the above.
        identity: for ``id``.
        hold_s: how long a target out of sight is waited for, seconds of the images' stamps.

    Raises:
        ConfigError: an unknown mode.
    """

    def __init__(self, mode: str, identity: int = 0, hold_s: float = 2.0) -> None:
        if mode not in MODES:
            raise ConfigError(f"target: expected one of {', '.join(MODES)}, got {mode!r}")
        self._mode = mode
        self._identity = identity
        self._hold_ns = round(hold_s * 1e9)
        self._told = False
        self.reset()

    def reset(self) -> None:
        """Forget the target and all raised hands."""
        self._target = 0
        self._stamp_ns = self._seen_ns = 0
        self._hands: dict[int, tuple[int, int, bool]] = {}  # id -> since, last seen, has counted

    def select(self, result: FrameResult, spatial: Spatial | None = None) -> int | None:
        """The row of the person to follow, None where there is none in this frame.

        A stamp before the last one is a new clock and resets.

        Args:
            result: what the pipeline says.
            spatial: where the same rows are in space, as far as that is known.
        """
        stamp = result.header.stamp_ns
        if stamp < self._stamp_ns:
            self.reset()
        self._stamp_ns = stamp
        tracks = result.tracks
        rows = np.flatnonzero((tracks.states == TrackState.TRACKED) & (tracks.ids > 0))
        rows = rows[np.argsort(tracks.ids[rows])]  # the order of rows decides nothing
        row_of = dict(zip(tracks.ids[rows].tolist(), rows.tolist(), strict=True))
        if self._target not in row_of and stamp - self._seen_ns > self._hold_ns:
            self._target = 0
        offsets = np.full((len(rows), 3), np.nan)
        if spatial is not None:
            offsets = spatial.positions[rows] - spatial.viewpoint
        away = _distances(tracks.poses.boxes[rows], offsets, tracks.ids[rows] == self._target)
        self._target = self._choose(tracks, rows, away)
        if self._target not in row_of:
            return None
        self._seen_ns = stamp
        return int(row_of[self._target])

    def _choose(self, tracks: Tracks, rows: NDArray[np.intp], away: FloatArray) -> int:
        """The identity to follow, the present one included; 0 for nobody."""
        ids = tracks.ids[rows]
        if self._mode == "id":
            return self._identity
        if self._mode == "raised_hand":
            self._tell_what_lacks(tracks.poses)
            return self._raised(ids[hand_raised(tracks.poses)[rows]].tolist())
        waits = self._target > 0 and self._target not in ids
        if self._mode == "off" or waits or not len(rows):
            return self._target
        best = int(np.argmin(away))
        own = away[ids == self._target]
        return self._target if len(own) and away[best] >= _NEARER * own[0] else int(ids[best])

    def _tell_what_lacks(self, poses: Poses) -> None:
        names = set(poses.skeleton.keypoint_names)
        if not self._told and not (names & set(_WRISTS) and names & set(_HEAD)):
            log.warning(
                "target raised_hand: expected a skeleton with a wrist and a nose or an eye, got "
                "%s: nobody will be chosen",
                poses.skeleton.name,
            )
            self._told = True

    def _raised(self, raised: list[int]) -> int:
        """The target after this frame's raised hands; each raising counts once."""
        now, hands = self._stamp_ns, self._hands
        for identity in raised:
            since, _, counted = hands.get(identity, (now, now, False))
            hands[identity] = since, now, counted
        self._hands = {i: h for i, h in hands.items() if i in raised or now - h[1] <= _FLICKER_NS}
        calls = sorted(
            (self._hands[i][0], i)
            for i in raised
            if now - self._hands[i][0] >= _RAISE_NS and not (self._target and self._hands[i][2])
        )
        for _, identity in calls:
            since, last, _ = self._hands[identity]
            self._hands[identity] = since, last, True
        others = [identity for _, identity in calls if identity != self._target]
        return others[0] if others else self._target


def _distances(boxes: ArrayLike, offsets: ArrayLike, target: NDArray[np.bool_]) -> FloatArray:
    """(N,) of what can be compared: metres, or one over the size of the box in px.

    That the target's own distance is not known is no reason to leave it: then boxes decide.
    """
    corners = np.asarray(boxes, np.float64)
    by_box: FloatArray = np.prod(np.maximum(corners[:, 2:] - corners[:, :2], 1e-6), 1) ** -0.5
    metres = np.linalg.norm(np.asarray(offsets, np.float64), axis=1)
    known = np.isfinite(metres)
    decides = known[target] if target.any() else known
    return np.where(known, metres, np.inf) if decides.any() else by_box


def hand_raised(poses: Poses) -> NDArray[np.bool_]:
    """(N,) whether a wrist lies above nose and eyes in the image, as far as these are seen.

    The image is taken to be upright. Nobody has a hand up in a skeleton without such joints.
    """
    names = poses.skeleton.keypoint_names
    wrists = [names.index(name) for name in _WRISTS if name in names]
    head = [names.index(name) for name in _HEAD if name in names]
    height = poses.keypoints[..., 1]
    seen = (poses.scores >= _MIN_SCORE) & np.isfinite(height)
    wrist = np.where(seen[:, wrists], height[:, wrists], np.inf).min(1, initial=np.inf)
    top = np.where(seen[:, head], height[:, head], np.inf).min(1, initial=np.inf)
    raised: NDArray[np.bool_] = (wrist < top) & np.isfinite(top)
    return raised


def facing(headings: ArrayLike, frame: str, image_frame: str) -> FloatArray:
    """(N,) rad -> (N, 4) quaternions x, y, z, w of bodies: x where they face, z up (REP-103).

    Where ``frame`` has z up, headings turn about +z from +x. In optical frames, those named so and
    ``image_frame`` itself, heading 0 faces where the camera looks, +z, and turns left about -y.
    """
    half = np.asarray(headings, np.float64).reshape(-1) / 2
    sin, cos, zero = np.sin(half), np.cos(half), np.zeros_like(half)
    if frame != image_frame and not frame.endswith(_OPTICAL):
        return np.stack([zero, zero, sin, cos], 1)
    x, y, z, w = _LOOKING_ALONG_Z  # times a turn about the body's own z axis
    return np.stack(
        [x * cos + y * sin, y * cos - x * sin, z * cos + w * sin, w * cos - z * sin], 1
    )


def target_pose(
    result: FrameResult, spatial: Spatial | None, row: int | None, classes: Classes
) -> Any:
    """``geometry_msgs/PoseStamped`` of a row: the stamp is the image's, the frame ``spatial``'s.

    The x axis points where the person faces and the z axis up, in optical frames too. Where the
    heading is not known, the orientation is the identity, w = 1. None where there is no row or its
    position is not known.
    """
    found = _placed(result, spatial, row)
    if found is None:
        return None
    position, orientation, frame = found
    pose = classes.Pose(
        position=classes.Point(**dict(zip("xyz", position, strict=True))),
        orientation=classes.Quaternion(**dict(zip("xyzw", orientation, strict=True))),
    )
    return classes.PoseStamped(header=_header(result, frame, classes), pose=pose)


def target_transform(
    result: FrameResult, spatial: Spatial | None, row: int | None, classes: Classes
) -> Any:
    """``geometry_msgs/TransformStamped`` to ``person_<identity>``; otherwise as target_pose."""
    found = _placed(result, spatial, row)
    if found is None or row is None:
        return None
    position, orientation, frame = found
    transform = classes.Transform(
        translation=classes.Vector3(**dict(zip("xyz", position, strict=True))),
        rotation=classes.Quaternion(**dict(zip("xyzw", orientation, strict=True))),
    )
    return classes.TransformStamped(
        header=_header(result, frame, classes),
        child_frame_id=f"person_{int(result.tracks.ids[row])}",
        transform=transform,
    )


def _placed(
    result: FrameResult, spatial: Spatial | None, row: int | None
) -> tuple[list[float], list[float], str] | None:
    """Position (3,) m, quaternion xyzw and frame of a row."""
    if spatial is None or row is None or not np.isfinite(spatial.positions[row]).all():
        return None
    heading = float(spatial.headings[row])
    orientation = [0.0, 0.0, 0.0, 1.0]
    if np.isfinite(heading):
        orientation = facing([heading], spatial.frame, result.header.frame_id)[0].tolist()
    position: list[float] = spatial.positions[row].tolist()
    return position, orientation, spatial.frame


def _header(result: FrameResult, frame: str, classes: Classes) -> Any:
    return classes.Header(stamp=ros_time(result.header.stamp_ns, classes), frame_id=frame)
