# SPDX-License-Identifier: Apache-2.0
"""Embeddings of fewer numbers than were trained: the cosines of people stay."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from test_train_reid import config, small
from torch.nn import functional

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.models.reid import ReidNet
from alphapose_ros.reid.factory import load_reid
from alphapose_ros.train.reid import train_reid
from alphapose_ros.train.reid_learner import narrowed, settle_necks

__all__ = ["small"]  # a narrow network in every test here, too
pytestmark = pytest.mark.usefixtures("one_thread")


def network(rank: int, *, masks: bool = False) -> ReidNet:
    """Embeddings of 12 numbers in ``rank`` dimensions, behind necks with moments of their own."""
    torch.manual_seed(0)
    made = ReidNet(width=24, dim=12, masks=masks)
    with torch.no_grad():
        for last, neck in ((made.embed, made.neck), (made.plain, made.plain_neck)):
            basis = torch.linalg.qr(torch.randn(12, rank))[0]
            norm = (0.5 + torch.rand(12)).requires_grad_(False)
            # Weights, means and factors stay within the dimensions behind the neck.
            neck.running_var.copy_(norm)
            neck.weight.fill_(0.7)
            back = (norm + neck.eps).sqrt()[:, None] / 0.7
            last.weight.copy_(back * (basis @ torch.randn(rank, last.in_features)))
            neck.running_mean.copy_((back * (basis @ torch.randn(rank, 1)))[:, 0])
    return made.eval()


def cosines(made: ReidNet, crops: torch.Tensor, *, attend: bool) -> torch.Tensor:
    made.attend = attend
    with torch.no_grad():
        found = made(crops)
    assert found.shape == (len(crops), made.dim)
    return found @ found.T


@pytest.mark.parametrize("masks", [False, True])
@pytest.mark.parametrize("attend", [False, True])
def test_numbers_that_say_nothing_can_go(attend: bool, masks: bool) -> None:
    made = network(rank=4, masks=masks)
    crops = torch.rand(20, 4, 128, 64)
    fewer = narrowed(made, [crops[:8], crops[8:]], 4)
    assert (fewer.dim, fewer.masks) == (4, masks)
    other = torch.rand(9, 4, 128, 64)
    torch.testing.assert_close(
        cosines(fewer, other, attend=attend), cosines(made, other, attend=attend),
        atol=1e-4, rtol=0,
    )  # fmt: skip


def test_what_goes_first_says_least() -> None:
    made = network(rank=12)
    crops = torch.rand(40, 4, 128, 64)
    settle_necks(made, [crops])  # else what all have in common is nearly everything
    wanted = cosines(made, crops, attend=True)
    error = [
        float((cosines(narrowed(made, [crops], dim), crops, attend=True) - wanted).abs().max())
        for dim in (12, 8, 2)
    ]
    assert error[0] < 1e-4
    assert error[0] < error[1] < error[2]
    with torch.no_grad():
        both = narrowed(made, [crops], 3).both(crops)
    units = functional.normalize(both.attended_neck, dim=1)
    length = (units**2).sum(0)
    assert (length[:-1] >= length[1:] * 0.9).all()  # the longest direction is the first


def test_a_run_writes_what_it_was_told_to_keep(tmp_path: Path) -> None:
    made = train_reid(config(tmp_path, steps=1, kept_dim=5))
    assert load_reid(made)[2] == 5
    with pytest.raises(ConfigError, match="kept_dim: expected at most 12, got 13"):
        train_reid(config(tmp_path, steps=1, kept_dim=13, out=str(tmp_path / "more")))
    assert not (tmp_path / "more").exists()  # refused before, not after the training
    with pytest.raises(ConfigError, match="kept_dim: expected 0 for osnet_x0_25"):
        config(tmp_path, layout="osnet_x0_25", kept_dim=5)
