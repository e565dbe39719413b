# SPDX-License-Identifier: Apache-2.0
"""Results <-> messages of ``msg/``, for any set of message classes.

Joints never become Python objects one by one: 136 joints of ten people are 1,360 a frame, which
costs more than the networks. Whole arrays go into the messages' bytes.
"""

from __future__ import annotations

import array
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.boxes import xywh_to_xyxy, xyxy_to_xywh
from alphapose_ros.base.errors import InputError
from alphapose_ros.base.records import FrameResult, Header, Poses, Spatial, Tracks
from alphapose_ros.base.skeletons import Skeleton
from alphapose_ros.output.cdr import CdrWriter


class Classes(Protocol):
    """Message constructors by name, each taking its fields as keywords: those of ``rclpy``, or of
    any library that generates classes from the same definitions.
    """

    def sequence(self, values: NDArray[Any]) -> Any:
        """A flat copy of ``values`` in what the classes hold numeric sequences in."""

    def __getattr__(self, name: str) -> Any:
        """The constructor of a message by its short name."""


def buffer(values: NDArray[Any]) -> array.array[Any]:
    """``sequence`` for ``rclpy``, which takes an ``array.array`` without looking inside."""
    out: array.array[Any] = array.array(_TYPECODES[values.dtype.name])
    out.frombytes(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)
    return out


_TYPECODES = {"uint8": "B", "uint32": "I", "float32": "f", "float64": "d"}


def ros_time(stamp_ns: int, classes: Classes) -> Any:
    """``builtin_interfaces/Time``."""
    seconds, nanoseconds = divmod(stamp_ns, 10**9)
    return classes.Time(sec=int(seconds), nanosec=int(nanoseconds))


def ros_header(header: Header, classes: Classes) -> Any:
    """``std_msgs/Header`` with stamp and frame of the source image."""
    return classes.Header(stamp=ros_time(header.stamp_ns, classes), frame_id=header.frame_id)


def stamp_of(message: Any) -> int:
    """Nanoseconds of a message with a header."""
    stamp = message.header.stamp
    return int(stamp.sec) * 10**9 + int(stamp.nanosec)


def pose_array_cdr(result: FrameResult, spatial: Spatial | None = None) -> bytes:
    """The ``PoseArray`` of one frame, with all its rows, as CDR.

    Bytes, because ten people as message objects cost as much as a camera image. How long lost
    people are among them is the tracker's matter (``tracker.publish_lost_s``).

    Args:
        result: what the pipeline says.
        spatial: where the same rows are in space, as far as that is known.
    """
    tracks, header = result.tracks, result.header
    if spatial is None:
        joints = len(tracks.poses.skeleton)
        spatial = Spatial.unknown(len(tracks), joints, header.frame_id)
    height, width = header.size_hw
    out = CdrWriter()
    out.stamp(header.stamp_ns)
    for text in (header.frame_id, spatial.frame, tracks.poses.skeleton.name):
        out.string(text)
    out.pack("3I", width, height, len(tracks))
    _people(out, tracks, spatial)
    return out.getvalue()


def _people(out: CdrWriter, tracks: Tracks, spatial: Spatial) -> None:
    poses = tracks.poses
    spreads = poses.keypoint_std
    if not np.isfinite(spreads).any():  # nobody asked for them, or nobody is seen
        spreads = spreads[:, :0]
    joints = np.concatenate([poses.keypoints, poses.scores[..., None]], 2)  # (N, K, 3)
    points = spatial.keypoints if spatial.has_depth else np.zeros((len(tracks), 0), np.float32)
    boxes, scores = xyxy_to_xywh(poses.boxes), poses.person_scores
    ids, track_ids, states = (
        values.tolist() for values in (tracks.ids, tracks.track_ids, tracks.states)
    )
    for row in range(len(tracks)):
        out.pack("2I", ids[row], track_ids[row])
        out.pack("B", states[row])
        out.pack("2f", scores[row], tracks.identity_confidence[row])
        out.array(boxes[row], "<f4")
        out.sequence(joints[row], "<f4")
        out.sequence(spreads[row], "<f4")
        out.sequence(points[row], "<f4")
        out.array(spatial.positions[row], "<f8")
        out.array(spatial.position_covariances[row], "<f4")
        out.array(spatial.velocities[row], "<f8")
        out.array(spatial.velocity_covariances[row], "<f4")
        out.pack("3f", spatial.headings[row], tracks.ages_s[row], tracks.since_seen_s[row])


def skeleton_message(skeleton: Skeleton, classes: Classes) -> Any:
    """The ``Skeleton`` that says what the joints of a ``PoseArray`` mean."""
    parts = [
        classes.SkeletonPart(name=name, first=int(part.start), count=int(part.stop - part.start))
        for name, part in skeleton.parts.items()
    ]
    edges = np.asarray(skeleton.edges, np.uint32)
    return classes.Skeleton(
        name=skeleton.name,
        keypoint_names=list(skeleton.keypoint_names),
        edges=classes.sequence(edges),
        parts=parts,
    )


def result_of(
    message: Any, skeletons: Mapping[str, Skeleton], *, camera: str = "camera"
) -> FrameResult:
    """A ``PoseArray`` back as a result; what the message does not carry is 0.

    The detector's own box score is not in the message: the box scores here make
    ``poses.person_scores`` the score that is.
    """
    skeleton = skeletons[message.skeleton]
    people = message.poses
    joints = np.array(
        [np.asarray(person.keypoints, np.float32) for person in people], np.float32
    ).reshape(-1, len(skeleton), 3)
    count = len(people)
    boxes = [[p.box.x, p.box.y, p.box.width, p.box.height] for p in people]
    ones = np.ones(count, np.float32)
    poses = Poses(
        joints[..., :2], joints[..., 2], xywh_to_xyxy(boxes), ones, np.arange(count), skeleton
    )
    mean = poses.person_scores
    score = np.array([person.score for person in people], np.float32)
    box_scores = np.divide(score, mean, out=np.zeros(count, np.float32), where=mean > 0)
    poses = replace(poses, box_scores=box_scores, keypoint_std=_spreads(people, len(skeleton)))
    tracks = Tracks(
        [p.id for p in people],  # type: ignore[arg-type]  # cast by the record
        [p.track_id for p in people],  # type: ignore[arg-type]
        poses,
        [p.state for p in people],  # type: ignore[arg-type]
        np.zeros((count, 2), np.float32),
        [p.age for p in people],  # type: ignore[arg-type]
        [p.since_seen for p in people],  # type: ignore[arg-type]
        [p.identity_confidence for p in people],  # type: ignore[arg-type]
    )
    size_hw = int(message.image_height), int(message.image_width)
    header = Header(camera, message.header.frame_id, stamp_of(message), size_hw)
    return FrameResult(header, tracks)


def _spreads(people: Sequence[Any], joints: int) -> np.ndarray[Any, Any]:
    """(N, K) ``keypoint_std`` in px, NaN of people without.

    Raises:
        InputError: somebody has another number of them than joints.
    """
    out = np.full((len(people), joints), np.nan, np.float32)
    for row, person in enumerate(people):
        values = np.asarray(person.keypoint_std, np.float32)
        if len(values) not in (0, joints):
            raise InputError(
                f"PoseArray: expected {joints} values in keypoint_std, or none, got {len(values)}"
            )
        if len(values):
            out[row] = values
    return out
