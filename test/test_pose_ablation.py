# SPDX-License-Identifier: Apache-2.0
"""Every loss of the ablation is minimised by maps that its own decoder reads right."""

from __future__ import annotations

import itertools

import pytest
import torch

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.base.skeletons import HALPE136
from alphapose_ros.pose.ablation import LOSSES, decoder_of, warm_up
from alphapose_ros.pose.combined import CombinedDecoder
from alphapose_ros.pose.heatmap import HeatmapDecoder
from alphapose_ros.pose.loss_config import PoseLossConfig
from alphapose_ros.pose.losses import PoseLoss
from alphapose_ros.pose.sikr import SikrDecoder

pytestmark = pytest.mark.usefixtures("one_thread")

K, MAP = len(HALPE136), (16, 12)
CHOSEN = torch.tensor([0, 9, 22, 40, 110])


@pytest.mark.parametrize("name", LOSSES)
def test_downhill_ends_where_the_decoder_finds_the_joint(name: str) -> None:
    config = LOSSES[name]
    points = torch.tensor([21.0, 33.0]).expand(1, K, 2)
    labels = torch.zeros((1, K), dtype=torch.uint8)
    labels[:, CHOSEN] = 2
    maps = torch.full((1, K, *MAP), 0.1)  # a map that sums to 0 has no place under divide_sum
    losses = [PoseLoss(HALPE136, c) for c in (warm_up(config), config)]
    for step in range(120):
        maps.requires_grad_()
        loss = losses[step >= 40](maps, points, labels)["loss"]
        (gradient,) = torch.autograd.grad(loss, maps)
        steepest = gradient.abs().amax((-2, -1), keepdim=True).clamp(min=1e-20)
        maps = maps.detach() - 0.4 * 0.97**step * gradient / steepest
    assert torch.isfinite(maps).all()
    found, _ = decoder_of(config, K)(maps)
    assert (found - points / 4)[0, CHOSEN].abs().max() < 0.5


def test_the_questions_are_all_asked() -> None:
    assert len(set(map(repr, LOSSES.values()))) == len(LOSSES)
    asked = {(c.kind, c.norm, c.amplitude) for c in LOSSES.values()}
    assert {("sikr", "sigmoid", 2.0), ("sikr", "sigmoid", "eighth")} < asked
    assert {kind for kind, _, _ in asked} == {"sikr", "integral", "heatmap", "combined"}
    assert {norm for _, norm, _ in asked} == {"sigmoid", "softmax", "divide_sum"}


@pytest.mark.parametrize("name", LOSSES)
def test_the_decoder_is_the_losses(name: str) -> None:
    config = LOSSES[name]
    decoder = decoder_of(config, K)
    wanted = {"heatmap": HeatmapDecoder, "combined": CombinedDecoder}.get(config.kind, SikrDecoder)
    assert isinstance(decoder, wanted)
    for count, maps in itertools.product((0, 2), (torch.rand(2, K, *MAP) + 0.1,)):
        points, scores = decoder(maps[:count])
        assert points.shape == (count, K, 2)
        assert scores.shape == (count, K)


def test_combined_models_decode_hands_as_they_were_trained() -> None:
    maps = torch.randn(1, K, *MAP)
    decoder = decoder_of(PoseLossConfig(kind="combined", norm="softmax"), K)
    points, _ = decoder(maps)
    torch.testing.assert_close(points[:, 26:], SikrDecoder("softmax")(maps)[0][:, 26:])
    torch.testing.assert_close(points[:, :26], HeatmapDecoder()(maps)[0][:, :26])


def test_warming_up_trains_maps_alone() -> None:
    for config in LOSSES.values():
        warm = warm_up(config)
        assert warm.heatmap > 0
        assert (warm.kind, warm.norm) == (config.kind, config.norm)
        assert warm.sikr == 0 or config.kind == "combined"


def test_an_empty_sum_does_not_spoil_the_warming_up() -> None:
    config = warm_up(LOSSES["divide_sum"])
    maps = torch.zeros((1, K, *MAP), requires_grad=True)
    labels = torch.full((1, K), 2, dtype=torch.uint8)
    loss = PoseLoss(HALPE136, config)(maps, torch.full((1, K, 2), 9.0), labels)["loss"]
    assert torch.isfinite(torch.autograd.grad(loss, maps)[0]).all()


def test_combined_needs_regressed_parts() -> None:
    with pytest.raises(ConfigError, match=r"expected 68, 133 or 136 joints, got 17"):
        decoder_of(LOSSES["combined"], 17)
