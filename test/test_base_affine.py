# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import boxes, points

from alphapose_ros.base.affine import (
    apply_affine,
    crop_boxes,
    image_to_input,
    invert_affine,
    map_to_image,
    rotated_crop,
)

# Box, crop box, image -> input, heatmap (64, 48) -> image: measured with the original code.
VECTORS = [
    (
        (100, 50, 200, 300),
        (32.8125, 18.75, 267.1875, 331.25),
        ((0.8192, 0, -26.88), (0, 0.8192, -15.36)),
        ((4.882812, 0, 32.8125), (0, 4.882812, 18.75)),
    ),
    (
        (10, 20, 310, 120),
        (-27.5, -180, 347.5, 320),
        ((0.512, 0, 14.08), (0, 0.512, 92.16)),
        ((7.8125, 0, -27.5), (0, 7.8125, -180)),
    ),
]


@pytest.mark.parametrize(("box", "crop", "to_input", "to_image"), VECTORS)
def test_the_crop_is_that_of_the_original(box, crop, to_input, to_image) -> None:
    crops = crop_boxes(np.array([box], np.float32))
    np.testing.assert_allclose(crops[0], crop, atol=1e-4)
    np.testing.assert_allclose(image_to_input(crops)[0], to_input, atol=1e-4)
    on_map = np.array([[[0, 0], [24, 32], [47, 63], [10.5, 3.25]]], np.float32)
    expected = apply_affine(np.array([to_image], np.float32), on_map)
    np.testing.assert_allclose(map_to_image(on_map, crops, (64, 48)), expected, atol=1e-3)


@given(boxes(min_side=4))
def test_crops_have_the_networks_aspect_and_hold_the_box(given_boxes: np.ndarray) -> None:
    crops = crop_boxes(given_boxes, (256, 192))
    width, height = (crops[:, 2:] - crops[:, :2]).T
    np.testing.assert_allclose(width / height, 192 / 256, rtol=1e-3)
    assert np.all(crops[:, :2] < given_boxes[:, :2])
    assert np.all(crops[:, 2:] > given_boxes[:, 2:])
    sides = given_boxes[:, 2:] - given_boxes[:, :2]
    np.testing.assert_allclose(
        np.minimum(width / sides[:, 0], height / sides[:, 1]), 1.25, rtol=1e-3
    )


@given(boxes(min_side=4))
def test_the_crops_corners_are_the_inputs_corners(given_boxes: np.ndarray) -> None:
    crops = crop_boxes(given_boxes)
    corners = apply_affine(image_to_input(crops), crops.reshape(-1, 2, 2))
    expected = np.broadcast_to(np.array([[0, 0], [192, 256]]), corners.shape)
    np.testing.assert_allclose(corners, expected, atol=0.2)


@given(st.data())
def test_the_inverse_takes_every_point_back(data: st.DataObject) -> None:
    given_boxes = data.draw(boxes(min_side=8))
    there = image_to_input(crop_boxes(given_boxes))
    start = data.draw(points(len(given_boxes), 3))
    back = apply_affine(invert_affine(there), apply_affine(there, start))
    np.testing.assert_allclose(back, start, atol=0.05)


@given(points(5), st.floats(20, 500), st.floats(-180, 180))
def test_the_inverse_undoes_a_rotated_crop(start: np.ndarray, width: float, angle: float) -> None:
    matrix = rotated_crop((320, 240), width, angle)
    np.testing.assert_allclose(
        apply_affine(invert_affine(matrix), apply_affine(matrix, start)), start, atol=0.05
    )


@given(boxes(n=1, min_side=4))
def test_a_crop_turned_by_nothing_is_the_plain_crop(given_boxes: np.ndarray) -> None:
    crops = crop_boxes(given_boxes)
    center, width = (crops[0, :2] + crops[0, 2:]) / 2, float(crops[0, 2] - crops[0, 0])
    np.testing.assert_allclose(
        rotated_crop(center, width, 0), image_to_input(crops)[0], rtol=1e-4, atol=1e-2
    )


def test_a_window_turned_clockwise_turns_its_content_back() -> None:
    center = np.array([100, 100], np.float32)
    matrix = rotated_crop(center, 192, 90)
    # In the window turned clockwise, what lay below the centre now lies to its right.
    moved = apply_affine(matrix, np.array([[100, 100], [100, 110]], np.float32))
    np.testing.assert_allclose(moved, [[96, 128], [106, 128]], atol=1e-4)


def test_nobody_needs_no_branch() -> None:
    none = crop_boxes(np.zeros((0, 4), np.float32))
    assert none.shape == (0, 4)
    assert image_to_input(none).shape == (0, 2, 3)
    assert invert_affine(image_to_input(none)).shape == (0, 2, 3)
    assert map_to_image(np.zeros((0, 17, 2), np.float32), none, (64, 48)).shape == (0, 17, 2)
    assert apply_affine(image_to_input(none), np.zeros((0, 5, 2))).shape == (0, 5, 2)
