# SPDX-License-Identifier: Apache-2.0
"""SimCC, DARK and the combined decoding against slow obvious versions."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.pose.combined import REGRESSED, CombinedDecoder
from alphapose_ros.pose.dark import decode_dark
from alphapose_ros.pose.heatmap import HeatmapDecoder, decode_heatmaps
from alphapose_ros.pose.sikr import SikrDecoder
from alphapose_ros.pose.simcc import decode_simcc


def gaussians(points: np.ndarray, map_hw: tuple[int, int], sigma: float = 2.0) -> torch.Tensor:
    """(N, K, 2) cells -> maps (N, K, H, W)."""
    y, x = np.mgrid[0 : map_hw[0], 0 : map_hw[1]]
    squared = (x - points[..., 0, None, None]) ** 2 + (y - points[..., 1, None, None]) ** 2
    return torch.from_numpy(np.exp(-squared / (2 * sigma**2)).astype(np.float32))


def test_simcc_equals_the_obvious() -> None:
    rng = np.random.default_rng(0)
    columns, rows = (rng.normal(0.4, 0.5, (3, 5, n)).astype(np.float32) for n in (96, 128))
    points, scores = decode_simcc(torch.from_numpy(columns), torch.from_numpy(rows), 2.0)
    for n in range(3):
        for k in range(5):
            x, y = columns[n, k].tolist(), rows[n, k].tolist()
            assert points[n, k].tolist() == [x.index(max(x)) / 2, y.index(max(y)) / 2]
            assert scores[n, k].item() == pytest.approx(min(max(min(max(x), max(y)), 0), 1))
    points, scores = decode_simcc(torch.zeros(0, 5, 96), torch.zeros(0, 5, 128), 2.0)
    assert points.shape == (0, 5, 2)
    assert scores.shape == (0, 5)


def test_dark_finds_gaussians_between_cells() -> None:
    rng = np.random.default_rng(1)
    true = rng.uniform([8, 8], [40, 56], (4, 17, 2))
    points, scores = decode_dark(gaussians(true, (64, 48)))
    assert np.abs(points.numpy() - true).max() < 0.02
    assert (scores > 0.85).all()
    coarse, _ = decode_heatmaps(gaussians(true, (64, 48)))
    assert np.abs(coarse.numpy() - true).max() > 0.2  # the quarter step cannot


def test_dark_at_borders_and_without_a_peak() -> None:
    true = np.array([[[0.0, 0.0], [47.0, 63.0], [0.3, 30.0]]])
    points, _ = decode_dark(gaussians(true, (64, 48)))
    assert np.abs(points.numpy() - true).max() <= 1
    points, scores = decode_dark(torch.zeros(1, 2, 64, 48))
    assert points.tolist() == [[[0, 0], [0, 0]]]
    assert scores.tolist() == [[0, 0]]
    assert decode_dark(torch.zeros(0, 17, 64, 48))[0].shape == (0, 17, 2)


@pytest.mark.parametrize("joints", REGRESSED)
def test_combined_is_each_part_by_its_own_decoder(joints: int) -> None:
    maps = torch.randn(2, joints, 16, 12, generator=torch.Generator().manual_seed(0)) * 4
    points, scores = CombinedDecoder(joints)(maps)
    body = joints - (42 if joints == 68 else 110)
    near, far = decode_heatmaps(maps), SikrDecoder()(maps)
    for found, a, b in ((points, near[0], far[0]), (scores, near[1], far[1])):
        torch.testing.assert_close(found, torch.cat([a[:, :body], b[:, body:]], 1))
    assert CombinedDecoder(joints)(maps[:0])[0].shape == (0, joints, 2)


@pytest.mark.parametrize(
    "build",
    [HeatmapDecoder, partial(SikrDecoder, "sigmoid", 0.3, 6.0), partial(CombinedDecoder, 68)],
)
def test_joints_that_nothing_taught_have_no_score(build: Callable[..., nn.Module]) -> None:
    maps = torch.rand(2, 68, 16, 12, generator=torch.Generator().manual_seed(0)) + 0.1
    taught = torch.arange(68) % 3 > 0
    plain, found = build()(maps), build(supervised=taught)(maps)
    torch.testing.assert_close(found[0], plain[0])
    torch.testing.assert_close(found[1], plain[1] * taught)
    assert (plain[1] > 0).all()
    assert build(supervised=taught)(maps[:0])[1].shape == (0, 68)


def test_other_sets_have_no_combined_models() -> None:
    with pytest.raises(ConfigError, match="expected 68, 133 or 136 joints, got 17"):
        CombinedDecoder(17)


def test_a_dark_step_never_leaves_its_cell_by_more_than_one():
    maps = torch.rand(20, 17, 64, 48, generator=torch.Generator().manual_seed(0))
    points, _ = decode_dark(maps)
    place = maps.flatten(2).argmax(-1)
    cell = torch.stack([place % 48, place // 48], -1)
    assert (points - cell).abs().max() <= 1
