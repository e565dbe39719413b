# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from strategies import boxes, scores

from alphapose_ros.base.boxes import (
    box_area,
    box_center,
    box_iou,
    clip_boxes,
    non_maximum_suppression,
    xywh_to_xyxy,
    xyxy_to_xywh,
)


def slow_iou(a: np.ndarray, b: np.ndarray) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    union = areas - width * height
    return width * height / union if union > 0 else 0.0


def slow_nms(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> list[int]:
    kept: list[int] = []
    for row in sorted(range(len(boxes)), key=lambda i: (-scores[i], i)):
        if all(box_iou(boxes[[row]], boxes[[other]])[0, 0] <= threshold for other in kept):
            kept.append(row)
    return kept


def test_width_is_right_minus_left() -> None:
    corners = xywh_to_xyxy([[10, 20, 30, 40]])
    assert corners.tolist() == [[10, 20, 40, 60]]
    assert xyxy_to_xywh(corners).tolist() == [[10, 20, 30, 40]]
    assert box_area(corners).tolist() == [1200]
    assert box_center(corners).tolist() == [[25, 40]]


@given(boxes())
def test_corners_and_sizes_are_the_same_boxes(given_boxes: np.ndarray) -> None:
    before = given_boxes.copy()
    back = xywh_to_xyxy(xyxy_to_xywh(given_boxes))
    np.testing.assert_allclose(back, given_boxes, atol=1e-3)
    np.testing.assert_array_equal(given_boxes, before)  # arguments are not edited


def test_a_box_turned_inside_out_has_no_area() -> None:
    assert box_area(np.array([[10, 10, 0, 0], [5, 5, 5, 9]], np.float32)).tolist() == [0, 0]


@given(boxes(), boxes())
def test_iou_is_symmetric_and_between_0_and_1(first: np.ndarray, second: np.ndarray) -> None:
    iou = box_iou(first, second)
    assert iou.shape == (len(first), len(second))
    assert np.all((iou >= 0) & (iou <= 1 + 1e-6))
    np.testing.assert_array_equal(iou, box_iou(second, first).T)


@given(boxes(min_side=1), boxes(min_side=1))
def test_iou_equals_the_pairwise_loop(first: np.ndarray, second: np.ndarray) -> None:
    slow = [[slow_iou(a, b) for b in second.astype(float)] for a in first.astype(float)]
    expected = np.array(slow).reshape(len(first), len(second))
    np.testing.assert_allclose(box_iou(first, second), expected, atol=2e-3)


@given(boxes(min_side=1))
def test_a_box_overlaps_itself_fully(given_boxes: np.ndarray) -> None:
    np.testing.assert_allclose(np.diag(box_iou(given_boxes, given_boxes)), 1, rtol=1e-5)


def test_two_empty_boxes_have_no_overlap() -> None:
    point = np.array([[3, 3, 3, 3]], np.float32)
    assert box_iou(point, point).tolist() == [[0]]


@given(boxes())
def test_clipped_boxes_lie_in_the_image(given_boxes: np.ndarray) -> None:
    clipped = clip_boxes(given_boxes, (480, 640))
    assert np.all(clipped >= 0)
    assert np.all(clipped[:, [0, 2]] <= 640)
    assert np.all(clipped[:, [1, 3]] <= 480)


@given(st.data(), st.sampled_from([0.0, 0.3, 0.5, 0.9]))
def test_nms_equals_the_slow_reference(data: st.DataObject, threshold: float) -> None:
    given_boxes = data.draw(boxes())
    given_scores = data.draw(hnp.arrays(np.float32, len(given_boxes), elements=scores))
    kept = non_maximum_suppression(given_boxes, given_scores, threshold)
    assert kept.tolist() == slow_nms(given_boxes, given_scores, threshold)


def test_nms_keeps_the_best_of_a_heap_and_the_earlier_of_a_tie() -> None:
    heap = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [50, 50, 60, 60], [0, 0, 10, 10]], np.float32)
    kept = non_maximum_suppression(heap, np.array([0.5, 0.9, 0.1, 0.9], np.float32), 0.5)
    assert kept.tolist() == [1, 2]


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_nobody_is_kept_of_nobody(threshold: float) -> None:
    none = non_maximum_suppression(
        np.zeros((0, 4), np.float32), np.zeros(0, np.float32), threshold
    )
    assert none.shape == (0,)
    assert none.dtype == np.intp


def test_many_ties_keep_the_earlier_rows() -> None:
    """Many, because short arrays come out of an unstable sort in order too."""
    low = np.arange(200, dtype=np.float32)[:, None] * np.array([0, 20], np.float32)
    apart = np.concatenate([low, low + 10], 1)
    kept = non_maximum_suppression(apart, np.tile([0.5, 0.9], 100).astype(np.float32), 0.5)
    assert kept.tolist() == [*range(1, 200, 2), *range(0, 200, 2)]
