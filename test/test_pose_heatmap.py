# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from alphapose_ros.base.affine import crop_boxes, map_to_image
from alphapose_ros.pose.heatmap import HeatmapDecoder, decode_heatmaps, encode_heatmaps

CROPS = crop_boxes(np.array([[100, 50, 200, 300]], np.float32))


def slow_decode(map_: np.ndarray) -> tuple[float, float, float]:
    height, width = map_.shape
    best, px, py = -math.inf, 0, 0
    for y in range(height):
        for x in range(width):
            if map_[y, x] > best:
                best, px, py = float(map_[y, x]), x, y
    if best <= 0:
        return 0.0, 0.0, best
    fine_x, fine_y = float(px), float(py)
    if 1 < px < width - 1 and 1 < py < height - 1:
        fine_x += 0.25 * np.sign(map_[py, px + 1] - map_[py, px - 1])
        fine_y += 0.25 * np.sign(map_[py + 1, px] - map_[py - 1, px])
    return fine_x, fine_y, best


def slow_encode(x: float, y: float, weight: float, map_hw: tuple[int, int]) -> np.ndarray:
    out = np.zeros(map_hw, np.float32)
    mu_x, mu_y = int(x + 0.5), int(y + 0.5)
    if weight > 0.5:
        for row in range(max(mu_y - 6, 0), min(mu_y + 7, map_hw[0])):
            for column in range(max(mu_x - 6, 0), min(mu_x + 7, map_hw[1])):
                out[row, column] = math.exp(-((column - mu_x) ** 2 + (row - mu_y) ** 2) / 8)
    return out


def in_image(maps: Tensor) -> tuple[np.ndarray, np.ndarray]:
    points, scores = decode_heatmaps(maps)
    return map_to_image(points.numpy(), CROPS, (64, 48))[0, 0], scores.numpy()[0, 0]


def test_a_gaussian_decodes_as_the_original_does() -> None:
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(48.0), indexing="ij")
    gaussian = 0.9 * torch.exp(-((x - 20.3) ** 2 + (y - 30.6) ** 2) / 8)
    point, score = in_image(gaussian[None, None])
    np.testing.assert_allclose(point, (131.68945, 168.89648), atol=1e-4)
    assert score == pytest.approx(0.87231, abs=1e-5)


def test_three_cells_decode_as_the_original_does() -> None:
    maps = torch.zeros(1, 1, 64, 48)
    maps[0, 0, 5, 7], maps[0, 0, 5, 8], maps[0, 0, 4, 7] = 0.5, 0.2, 0.1
    point, score = in_image(maps)
    np.testing.assert_allclose(point, (68.21289, 41.94336), atol=1e-4)
    assert score == 0.5


@pytest.mark.parametrize(
    ("x", "y", "refined"),
    [(1, 5, False), (2, 5, True), (5, 1, False), (5, 2, True), (0, 0, False),
     (6, 5, True), (7, 5, False), (5, 8, True), (5, 9, False)],
)  # fmt: skip
def test_only_the_inner_cells_are_refined(x: int, y: int, refined: bool) -> None:
    ramp = torch.arange(80.0).reshape(1, 1, 10, 8) / 1000
    ramp[0, 0, y, x] = 1
    points, scores = decode_heatmaps(ramp)
    assert points[0, 0].tolist() == [x + 0.25 * refined, y + 0.25 * refined]
    assert scores.item() == 1


@pytest.mark.parametrize("value", [0.0, -0.3])
def test_a_map_without_a_positive_value_decodes_to_the_corner(value: float) -> None:
    maps = torch.full((1, 1, 8, 6), -1.0)
    maps[0, 0, 4, 3] = value
    points, scores = decode_heatmaps(maps)
    assert points[0, 0].tolist() == [0, 0]
    assert scores.item() == pytest.approx(value)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10**6), height=st.integers(1, 9), width=st.integers(1, 9))
def test_decoding_equals_the_obvious_loop(seed: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    # Few distinct values, so that maxima and neighbours tie, and maps without a positive one.
    maps = (rng.integers(-4, 4, (3, 5, height, width)) / 4).astype(np.float32)
    maps[0, 0] = -np.abs(maps[0, 0])
    points, scores = HeatmapDecoder()(torch.from_numpy(maps))
    expected = np.array([[slow_decode(joint) for joint in person] for person in maps])
    np.testing.assert_array_equal(points.numpy(), expected[..., :2])
    np.testing.assert_array_equal(scores.numpy(), expected[..., 2])


coordinate = st.floats(-12, 28, width=32)


@settings(deadline=None, max_examples=100)
@given(x=coordinate, y=coordinate, weight=st.sampled_from([0.0, 0.5, 1.0]))
def test_encoding_equals_the_obvious_loop(x: float, y: float, weight: float) -> None:
    # The twin adds in double precision: x.4999999 may round up in single precision.
    x, y = (float(np.round(v * 64) / 64) for v in (x, y))
    maps, kept = encode_heatmaps(torch.tensor([[x, y]]), torch.tensor([weight]), (16, 12))
    expected = slow_encode(x, y, weight, (16, 12))
    np.testing.assert_allclose(maps[0].numpy(), expected, atol=1e-6)
    window_meets_map = -7 < int(x + 0.5) < 12 + 6 and -7 < int(y + 0.5) < 16 + 6
    assert kept.item() == (weight if window_meets_map else 0)


@settings(deadline=None, max_examples=100)
@given(x=st.floats(0, 47), y=st.floats(0, 63))
def test_decoding_returns_the_encoded_cell(x: float, y: float) -> None:
    point = torch.tensor([[[x, y]]], dtype=torch.float32)
    maps, kept = encode_heatmaps(point, torch.ones(1, 1), (64, 48))
    points, scores = decode_heatmaps(maps)
    assert kept.item() == scores.item() == 1  # the peak is unnormalised
    assert (points - point).abs().max() <= 0.75


def test_unlabelled_joints_are_blank_whatever_their_coordinates() -> None:
    points = torch.tensor([[float("nan"), 3.0], [5.0, 5.0]])
    maps, kept = encode_heatmaps(points, torch.tensor([0.0, 0.0]), (16, 12))
    assert not maps.any()
    assert not kept.any()


def test_nobody() -> None:
    points, scores = decode_heatmaps(torch.zeros(0, 17, 64, 48))
    assert points.shape == (0, 17, 2)
    assert scores.shape == (0, 17)
    maps, kept = encode_heatmaps(torch.zeros(0, 17, 2), torch.zeros(0, 17), (64, 48))
    assert maps.shape == (0, 17, 64, 48)
    assert kept.shape == (0, 17)
