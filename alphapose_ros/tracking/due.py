# SPDX-License-Identifier: Apache-2.0
"""Whom to look at: who is alone where they were expected, and was looked at just now, can wait.

An embedding costs a forward pass. It decides where people cross, return or begin, and says
little of somebody who walks on by themselves.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.boxes import box_iou
from alphapose_ros.base.records import Poses, TrackState
from alphapose_ros.tracking.tracklet import Tracklet

BoolArray = NDArray[np.bool_]

EXPECTED_IOU = 0.5  # with the predicted box of the one person it can be
ALONE_IOU = 0.1  # with everybody else's, and with all other boxes of the image
_GOLDEN = 0.6180339887  # spreads people's turns over the interval, whatever their numbers


def due(
    people: Sequence[Tracklet],
    predicted: NDArray[np.float32],
    poses: Poses,
    stamp_ns: int,
    interval_s: float,
) -> BoolArray:
    """(N,) poses that are worth an embedding.

    Args:
        people: T of them.
        predicted: (T, 4) their boxes at the time of the image.
        poses: of the image.
        stamp_ns: its time.
        interval_s: how long a look lasts at most; between half of it and the whole, by person, so
            that not everybody's turn comes in the same image.
    """
    if not people or interval_s <= 0:
        return np.ones(len(poses), bool)
    iou = box_iou(predicted, poses.boxes)
    expected = iou >= EXPECTED_IOU
    touching = iou > ALONE_IOU
    crowded = (box_iou(poses.boxes, poses.boxes) > ALONE_IOU).sum(1) > 1
    # One person for the pose, one pose for the person, and nobody else near either.
    certain = expected & (touching.sum(0) == 1) & (touching.sum(1) == 1)[:, None] & ~crowded
    recent = np.array([_is_recent(person, stamp_ns, interval_s) for person in people], bool)
    worth: BoolArray = ~(certain & recent[:, None]).any(0)
    return worth


def _is_recent(person: Tracklet, stamp_ns: int, interval_s: float) -> bool:
    """Whether a person who is being followed was looked at lately."""
    if person.state != TrackState.TRACKED or person.looked_ns is None:
        return False
    turn = 0.5 + 0.5 * (person.track_id * _GOLDEN % 1.0)
    return (stamp_ns - person.looked_ns) / 1e9 < interval_s * turn
