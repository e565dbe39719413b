# SPDX-License-Identifier: Apache-2.0
"""What travels between the rooms: one frozen record per stage, shapes checked at birth.

Frame -> Detections -> Poses -> Appearance -> Tracks -> FrameResult. A later stage makes a new
record instead of filling a hole in an earlier one. N = 0, nobody in the picture, is normal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.keypoints import map_joint_values, map_keypoints
from alphapose_ros.base.rows import Rows, array, plain, unknown
from alphapose_ros.base.skeletons import Skeleton

ImageArray = NDArray[np.uint8]
FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Intrinsics:
    """Pinhole camera in pixels (REP-104's K) with its distortion coefficients, if any.

    ``distortion_model`` is CameraInfo's: ``plumb_bob``, ``rational_polynomial``, ``equidistant``.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    size_hw: tuple[int, int]
    distortion: tuple[float, ...] = ()
    distortion_model: str = "plumb_bob"


@dataclass(frozen=True)
class Frame:
    """One camera image: (H, W, 3) uint8 RGB, its stamp, and depth where the camera has it."""

    image: ImageArray
    stamp_ns: int
    camera: str = "camera"
    frame_id: str = ""
    depth: FloatArray | None = None  # (H, W) metres, aligned; NaN or 0 where unknown
    intrinsics: Intrinsics | None = None

    def __post_init__(self) -> None:
        image = self.image
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
            raise InputError(f"Frame.image: expected uint8 RGB, got {_describe(image)}")
        if image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            raise InputError(f"Frame.image: expected shape (H, W, 3), got {_describe(image)}")
        if self.depth is not None and self.depth.shape != image.shape[:2]:
            raise InputError(
                f"Frame.depth: expected the image's {image.shape[:2]}, got {self.depth.shape}"
            )

    @property
    def size_hw(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return int(self.image.shape[0]), int(self.image.shape[1])


@dataclass(frozen=True)
class Detections(Rows):
    """Person boxes of one image: corners in px, scores in [0, 1]."""

    boxes: FloatArray = array("N", 4, dtype=np.float32)
    scores: FloatArray = array("N", dtype=np.float32)

    @classmethod
    def empty(cls) -> Detections:
        """Nobody."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))


@dataclass(frozen=True)
class Poses(Rows):
    """Whole-body poses of one image.

    Attributes:
        keypoints: (N, K, 2) px.
        scores: (N, K) in [0, 1].
        boxes: (N, 4) px xyxy.
        box_scores: (N,) in [0, 1].
        source: (N,) each pose's row in the detections.
        skeleton: of the K joints.
        keypoint_std: (N, K) px, the spread of each joint's probability map as the root mean square
            of both axes'; NaN where the network does not say, as without ``pose.keypoint_std``.
    """

    keypoints: FloatArray = array("N", "K", 2, dtype=np.float32)
    scores: FloatArray = array("N", "K", dtype=np.float32)
    boxes: FloatArray = array("N", 4, dtype=np.float32)
    box_scores: FloatArray = array("N", dtype=np.float32)
    source: IntArray = array("N", dtype=np.int64)
    skeleton: Skeleton = plain()
    keypoint_std: FloatArray = unknown("N", "K", dtype=np.float32)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.keypoints.shape[1] != len(self.skeleton):
            raise InputError(
                f"Poses.keypoints: expected {len(self.skeleton)} joints of "
                f"{self.skeleton.name!r}, got {self.keypoints.shape[1]}"
            )

    @classmethod
    def empty(cls, skeleton: Skeleton) -> Poses:
        """Nobody."""
        joints = len(skeleton)
        return cls(
            np.zeros((0, joints, 2), np.float32),
            np.zeros((0, joints), np.float32),
            np.zeros((0, 4), np.float32),
            np.zeros(0, np.float32),
            np.zeros(0, np.int64),
            skeleton,
        )

    def mapped(self, skeleton: Skeleton) -> Poses:
        """The same people with the joints of another skeleton, matched by name."""
        own = self.skeleton
        if own.name == skeleton.name:
            return self
        keypoints, scores = map_keypoints(self.keypoints, self.scores, own, skeleton)
        spreads = map_joint_values(self.keypoint_std, own, skeleton)
        return replace(
            self, keypoints=keypoints, scores=scores, skeleton=skeleton, keypoint_std=spreads
        )

    @property
    def person_scores(self) -> FloatArray:
        """(N,) mean score of the body joints, weighted by the scores, times the box score.

        The weights keep joints that are out of the picture, or were never taught, from speaking
        about the joints that are seen: they score near 0 and say nothing of how well the others
        lie. With them the score ranks poses by their OKS better than the plain mean does.
        """
        body = self.scores[:, self.skeleton.parts.get("body", slice(None))]
        total = body.sum(1)
        mean = np.divide((body * body).sum(1), total, out=np.zeros_like(total), where=total > 0)
        return (mean * self.box_scores).astype(np.float32)


@dataclass(frozen=True)
class Appearance(Rows):
    """Who a pose looks like: unit vectors, and how far each can be trusted in [0, 1]."""

    embeddings: FloatArray = array("N", "D", dtype=np.float32)
    quality: FloatArray = array("N", dtype=np.float32)


class TrackState(IntEnum):
    """The constants of PersonPose.msg."""

    UNKNOWN = 0
    TENTATIVE = 1
    TRACKED = 2
    LOST = 3


@dataclass(frozen=True)
class Tracks(Rows):
    """People with identities, one row each, at one moment of one camera.

    Attributes:
        ids: identity, 0 while tentative, then given once and never reused.
        track_ids: the unbroken sighting, > 0; new after an absence of more than ``gap_s``.
        poses: the row's pose; of a lost person the predicted box with all joint scores 0.
        states: TrackState values.
        velocities: (N, 2) px/s of the box centre.
        ages_s, since_seen_s: seconds since the track began and since it was last seen.
        identity_confidence: [0, 1].
    """

    ids: IntArray = array("N", dtype=np.int64)
    track_ids: IntArray = array("N", dtype=np.int64)
    poses: Poses = plain()
    states: NDArray[np.uint8] = array("N", dtype=np.uint8)
    velocities: FloatArray = array("N", 2, dtype=np.float32)
    ages_s: FloatArray = array("N", dtype=np.float32)
    since_seen_s: FloatArray = array("N", dtype=np.float32)
    identity_confidence: FloatArray = array("N", dtype=np.float32)

    @classmethod
    def empty(cls, skeleton: Skeleton) -> Tracks:
        """Nobody."""
        numbers, seconds = np.zeros(0, np.int64), np.zeros(0, np.float32)
        return cls(
            ids=numbers,
            track_ids=numbers,
            poses=Poses.empty(skeleton),
            states=np.zeros(0, np.uint8),
            velocities=np.zeros((0, 2), np.float32),
            ages_s=seconds,
            since_seen_s=seconds,
            identity_confidence=seconds,
        )


@dataclass(frozen=True)
class Spatial(Rows):
    """Where the rows of a :class:`Tracks` are in space; NaN is what nobody knows.

    Attributes:
        keypoints: (N, K, 3) m, on the surface that the camera sees.
        positions: (N, 3) m, centre of the torso.
        position_covariances: (N, 3, 3) m^2.
        velocities: (N, 3) m/s over ground, along the axes of ``frame``.
        velocity_covariances: (N, 3, 3) (m/s)^2.
        headings: (N,) rad about the up axis of ``frame``, counter-clockwise from above, which way
            the torso faces: 0 is x in frames with z up, the view's direction in optical ones.
        frame: name of the coordinate frame.
        has_depth: whether ``keypoints`` were measured; else they are all NaN.
        viewpoint: (3,) m in ``frame``, where the camera was.
    """

    keypoints: FloatArray = array("N", "K", 3, dtype=np.float32)
    positions: FloatArray = array("N", 3, dtype=np.float32)
    position_covariances: FloatArray = array("N", 3, 3, dtype=np.float32)
    velocities: FloatArray = array("N", 3, dtype=np.float32)
    velocity_covariances: FloatArray = array("N", 3, 3, dtype=np.float32)
    headings: FloatArray = array("N", dtype=np.float32)
    frame: str = plain()
    has_depth: bool = plain()
    viewpoint: FloatArray = array(3, dtype=np.float32)

    @classmethod
    def unknown(cls, people: int, joints: int, frame: str) -> Spatial:
        """Nothing is known of anybody."""

        def nan(*shape: int) -> FloatArray:
            return np.full((people, *shape), np.nan, np.float32)

        rows = nan(joints, 3), nan(3), nan(3, 3), nan(3), nan(3, 3), nan()
        return cls(*rows, frame, False, np.full(3, np.nan))


@dataclass(frozen=True)
class Header:
    """Where and when the source image was taken."""

    camera: str
    frame_id: str
    stamp_ns: int
    size_hw: tuple[int, int]


@dataclass(frozen=True)
class FrameResult:
    """What the pipeline says of one frame, with the milliseconds each stage took."""

    header: Header
    tracks: Tracks
    timings_ms: Mapping[str, float] = field(default_factory=dict)


def _describe(value: object) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} of shape {value.shape}"
    return type(value).__name__
