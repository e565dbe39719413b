# SPDX-License-Identifier: Apache-2.0
"""Folding norms changes the layers and not the function."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from alphapose_ros.models.export import DecodedPose
from alphapose_ros.models.fastpose import fastpose_resnet
from alphapose_ros.models.hrnet import HRNet
from alphapose_ros.models.simplepose import SimplePose
from alphapose_ros.pose.flip import FlipTested
from alphapose_ros.pose.heatmap import HeatmapDecoder
from alphapose_ros.runtime.config import RuntimeOptions
from alphapose_ros.runtime.fold import folded
from alphapose_ros.runtime.torch_runner import TorchRunner

pytestmark = pytest.mark.usefixtures("one_thread")


def unsettled(module: nn.Module) -> nn.Module:
    """Norms that do something, as after training."""
    torch.manual_seed(0)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_(0, 0.1)
            layer.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, std=0.1)
    return module.eval()


def norms(module: nn.Module) -> int:
    return sum(isinstance(layer, nn.BatchNorm2d) for layer in module.modules())


def assert_same(module: nn.Module, after: nn.Module, images: Tensor) -> None:
    with torch.inference_mode():
        expected, found = module(images), after(images)
    scale = expected.abs().max().item()
    torch.testing.assert_close(found, expected, atol=2e-5 * scale, rtol=1e-4)


@pytest.mark.parametrize(
    "build",
    [
        partial(fastpose_resnet, num_joints=5, conv_dim=32),
        partial(SimplePose, num_joints=5),
        partial(HRNet, num_joints=5),
    ],
)
def test_whole_networks_lose_all_norms_and_keep_their_maps(build) -> None:
    network = unsettled(build())
    before = norms(network)
    after = folded(network)
    assert norms(after) == 0
    assert norms(network) == before > 10  # the argument stays as it was
    assert type(after) is type(network)
    assert_same(network, after, torch.randn(1, 3, 64, 64))


class Crossed(nn.Module):
    """A convolution whose output goes two ways, one used twice, and a norm that stands alone."""

    def __init__(self) -> None:
        super().__init__()
        self.read_twice, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
        self.used_twice, self.one = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
        self.other, self.alone = nn.BatchNorm2d(3), nn.BatchNorm2d(3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.read_twice(x)
        x = x + self.norm(x)
        x = self.one(self.used_twice(x)) + self.other(self.used_twice(-x))
        return self.alone(torch.relu(x))


def test_norms_that_cannot_be_folded_stay() -> None:
    module = unsettled(Crossed())
    assert folded(module) is module


class Choosing(nn.Module):
    """Not traceable itself; its part is."""

    def __init__(self) -> None:
        super().__init__()
        self.part = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return self.part(x if x.sum() > 0 else -x)


def test_where_a_module_cannot_be_traced_its_parts_are() -> None:
    module = unsettled(Choosing())
    after = folded(module)
    assert (norms(module), norms(after)) == (1, 0)
    for sign in (1, -1):
        assert_same(module, after, sign * torch.rand(2, 3, 8, 8))


@pytest.mark.parametrize("flip_test", [False, True])
def test_the_runner_folds_and_a_flip_test_keeps_its_way_to_the_maps(flip_test: bool) -> None:
    network = unsettled(nn.Sequential(nn.Conv2d(3, 4, 4, 4, bias=False), nn.BatchNorm2d(4)))
    decoded: nn.Module = DecodedPose(network, HeatmapDecoder())
    if flip_test:
        decoded = FlipTested(decoded, torch.tensor([1, 0, 2, 3]))
    images = torch.rand(2, 3, 64, 48) * 255
    with torch.inference_mode():
        expected = decoded.eval()(images)
    runner = TorchRunner(decoded, RuntimeOptions("torch"))
    assert (norms(decoded), norms(runner.module)) == (1, 0)
    for a, b in zip(runner(images), expected, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)
