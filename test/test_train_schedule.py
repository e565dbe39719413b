# SPDX-License-Identifier: Apache-2.0
"""How the rate falls, and the forward pass in fewer bits."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.train.precision import PRECISIONS, Precision
from alphapose_ros.train.schedule import Schedule

pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_rate_rises_linearly_and_falls_as_a_cosine() -> None:
    rates = [Schedule(100, 10).factor(step) for step in range(101)]
    assert rates[:10] == pytest.approx([0.1 * (k + 1) for k in range(10)])
    assert rates[10] == 1.0
    assert rates[55] == pytest.approx(0.5)
    assert rates[32] == pytest.approx(0.5 * (1 + math.cos(math.pi * 22 / 90)))
    assert all(a >= b for a, b in itertools.pairwise(rates[10:]))
    assert rates[100] == pytest.approx(0, abs=1e-12)
    assert Schedule(100, 10).factor(500) == pytest.approx(0, abs=1e-12)
    assert Schedule(1).factor(0) == 1.0
    assert Schedule(2, 5).factor(3) == pytest.approx(0.8)  # shorter than its warm-up


def test_the_rate_falls_at_milestones() -> None:
    schedule = Schedule(10, 2, "multistep", (4, 7), 0.5)
    assert [schedule.factor(step) for step in range(10)] == [
        0.5, 1, 1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"steps": 0}, "steps"),
        ({"warmup": -1}, "warmup"),
        ({"kind": "linear"}, "schedule"),
        ({"kind": "multistep"}, "milestones"),
        ({"milestones": (3,)}, "milestones"),
        ({"kind": "multistep", "milestones": (5, 3)}, "rising"),
        ({"kind": "multistep", "milestones": (3,), "gamma": 1.0}, "gamma"),
    ],
)
def test_schedules_that_mean_nothing_are_refused(options: dict, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        Schedule(**{"steps": 10} | options)


def trained(name: str, scale: float = 1.0) -> tuple[nn.Linear, torch.Tensor]:
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    precision = Precision(name, "cpu")
    for step in range(3):
        source = torch.Generator().manual_seed(step)
        with precision.autocast():
            out = model(torch.randn(5, 4, generator=source))
        precision.backward(out.float().square().mean() * scale)
        assert precision.step(optimizer, list(model.parameters()), 1.0)
        optimizer.zero_grad()
    return model, out


@pytest.mark.parametrize("name", PRECISIONS)
def test_fewer_bits_lead_to_nearly_the_same_weights(name: str) -> None:
    if name == "float16" and not hasattr(torch.amp, "GradScaler"):
        pytest.skip("FLOAT16 NOT CHECKED: this PyTorch cannot scale a loss on the CPU")
    exact, _ = trained("float32")
    model, out = trained(name)
    assert out.dtype == getattr(torch, name)
    assert model.weight.dtype == torch.float32
    difference = (model.weight - exact.weight).abs().max()
    assert difference < 0.01
    assert (difference > 0) == (name != "float32")


def test_a_scale_that_was_too_high_is_lowered_and_kept() -> None:
    if not hasattr(torch.amp, "GradScaler"):
        pytest.skip("FLOAT16 NOT CHECKED: this PyTorch cannot scale a loss on the CPU")
    model = nn.Linear(4, 3)
    before = model.weight.detach().clone()
    precision = Precision("float16", "cpu")
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    precision.backward(model(torch.ones(1, 4)).sum() * float("inf"))
    assert precision.step(optimizer, list(model.parameters()), 1.0)
    assert torch.equal(model.weight, before)
    again = Precision("float16", "cpu")
    full = again.state()["scale"]
    again.restore(precision.state())
    assert again.state() == precision.state()
    assert again.state()["scale"] < full


def test_an_unknown_precision_is_refused() -> None:
    with pytest.raises(ConfigError, match="float8"):
        Precision("float8", "cpu")
