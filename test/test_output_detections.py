# SPDX-License-Identifier: Apache-2.0
"""Detection2DArray: who is in it, under which id, and where the box lies."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fake_pipeline import make_tracks
from hypothesis import given
from hypothesis import strategies as st
from message_definitions import Definitions

from alphapose_ros.base.records import FrameResult, Header, TrackState
from alphapose_ros.base.skeletons import SKELETONS
from alphapose_ros.output.detections import detection_array

CLASSES = Definitions()


def result(count: int, skeleton: str = "halpe136", seed: int = 0) -> FrameResult:
    header = Header("camera", "optical", 1_700_000_000_123_456_789, (480, 640))
    return FrameResult(header, make_tracks(count, SKELETONS[skeleton], seed))


def corners(detection: Any) -> list[float]:
    center, box = detection.bbox.center.position, detection.bbox
    assert detection.bbox.center.theta == 0
    half = box.size_x / 2, box.size_y / 2
    return [center.x - half[0], center.y - half[1], center.x + half[0], center.y + half[1]]


@given(st.integers(0, 8), st.sampled_from(sorted(SKELETONS)), st.integers(0, 99))
def test_boxes_scores_and_identities_cross_the_wire(count: int, name: str, seed: int) -> None:
    before = result(count, name, seed)
    message = CLASSES.again(detection_array(before, CLASSES))
    assert len(message.detections) == count
    boxes = [corners(d) for d in message.detections]
    np.testing.assert_allclose(np.reshape(boxes, (-1, 4)), before.tracks.poses.boxes, atol=1e-9)
    scores = [d.results[0].hypothesis.score for d in message.detections]
    assert scores == before.tracks.poses.person_scores.tolist()
    assert [d.id for d in message.detections] == [str(i) for i in before.tracks.ids]


def test_headers_are_the_source_images() -> None:
    message = detection_array(result(2), CLASSES)
    for header in (message.header, *(d.header for d in message.detections)):
        assert (header.stamp.sec, header.stamp.nanosec) == (1_700_000_000, 123_456_789)
        assert header.frame_id == "optical"


def test_tentative_people_have_no_id_and_lost_people_no_detection() -> None:
    before = result(4)
    states = [TrackState.TRACKED, TrackState.TENTATIVE, TrackState.LOST, TrackState.UNKNOWN]
    tracks = replace(before.tracks, states=np.array(states), ids=np.array([7, 0, 8, 0]))
    message = detection_array(replace(before, tracks=tracks), CLASSES)
    assert [d.id for d in message.detections] == ["7", "", ""]


def test_what_is_seen_is_a_person_with_a_valid_pose() -> None:
    (detection,) = detection_array(result(1), CLASSES).detections
    (hypothesis,) = detection.results
    assert hypothesis.hypothesis.class_id == "person"
    assert hypothesis.pose.pose.orientation.w == 1.0


def test_rows_keep_their_order_and_their_numbers() -> None:
    before, order = result(5), np.array([3, 0, 4, 1, 2])
    moved = replace(before, tracks=before.tracks[order])
    straight = detection_array(before, CLASSES).detections
    mixed = detection_array(moved, CLASSES).detections
    assert [(d.id, corners(d)) for d in mixed] == [
        (straight[i].id, corners(straight[i])) for i in order
    ]


def test_a_pixel_is_as_wide_as_one() -> None:
    before = result(1)
    poses = replace(before.tracks.poses, boxes=np.array([[10, 20, 11, 23]]))
    (detection,) = detection_array(
        replace(before, tracks=replace(before.tracks, poses=poses)), CLASSES
    ).detections
    center = detection.bbox.center.position
    assert (center.x, center.y) == (10.5, 21.5)
    assert (detection.bbox.size_x, detection.bbox.size_y) == (1.0, 3.0)


def test_the_stand_in_refuses_fields_that_do_not_exist() -> None:
    with pytest.raises(AssertionError, match="tracking_id"):
        CLASSES.Detection2D(tracking_id="3")
    with pytest.raises(AttributeError):
        CLASSES.Pose2D  # noqa: B018 (which of two is not said)
