# SPDX-License-Identifier: Apache-2.0
"""Results -> ``vision_msgs/Detection2DArray``, for what reads boxes and needs no joints.

The definitions are those of vision_msgs 4, which Humble and all later distributions have; before
it the centre of a box was another type.
"""

from __future__ import annotations

from typing import Any

from alphapose_ros.base.records import FrameResult, TrackState
from alphapose_ros.output.messages import Classes, ros_header

PERSON = "person"  # the only class_id; nothing else is looked for


def detection_array(result: FrameResult, classes: Classes) -> Any:
    """The ``vision_msgs/Detection2DArray`` of one frame: whoever is seen in it, in row order.

    ``id`` is the identity, empty while there is none. The score is the person's, as in
    ``PersonPose``. Pixels are this package's: an integer coordinate is the centre of a pixel, and
    the corner of the image is at (-0.5, -0.5); where a reader means the corner by (0, 0), it adds
    0.5 to both. vision_msgs does not say which it means.

    Args:
        result: what the pipeline says; lost people are left out.
        classes: message constructors. ``VisionPose2D`` and ``VisionPoint2D`` are
            ``vision_msgs/Pose2D`` and ``Point2D``, whose short names others have as well.
    """
    tracks = result.tracks[result.tracks.states != TrackState.LOST]
    header = ros_header(result.header, classes)
    boxes = tracks.poses.boxes.astype(float)
    centers, sizes = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    columns = zip(
        tracks.ids.tolist(),
        tracks.poses.person_scores.tolist(),
        centers.tolist(),
        sizes.tolist(),
        strict=True,
    )
    detections = [
        classes.Detection2D(
            header=header,
            results=[_hypothesis(score, classes)],
            bbox=_box(center, size, classes),
            id=str(identity) if identity > 0 else "",
        )
        for identity, score, center, size in columns
    ]
    return classes.Detection2DArray(header=header, detections=detections)


def _hypothesis(score: float, classes: Classes) -> Any:
    hypothesis = classes.ObjectHypothesis(class_id=PERSON, score=score)
    made = classes.ObjectHypothesisWithPose(hypothesis=hypothesis)
    made.pose.pose.orientation.w = 1.0  # no pose, but a valid quaternion
    return made


def _box(center: list[float], size: list[float], classes: Classes) -> Any:
    position = classes.VisionPoint2D(x=center[0], y=center[1])
    pose = classes.VisionPose2D(position=position, theta=0.0)
    return classes.BoundingBox2D(center=pose, size_x=size[0], size_y=size[1])
