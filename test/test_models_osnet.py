# SPDX-License-Identifier: Apache-2.0
"""OSNet and OSNet-AIN load by key, whatever their width and their number of classes."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from torch import Tensor

from alphapose_ros.base.errors import WeightsError
from alphapose_ros.models.osnet import OmniScaleBlock, OSNet, is_osnet, osnet_of

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = (16, 64, 96, 128)  # x0.25


def small(*, ain: bool = False) -> OSNet:
    torch.manual_seed(1)
    return OSNet(SMALL, ain=ain, dim=32).eval()


def published(shared: Path, name: str) -> dict[str, Tensor]:
    """A state dict with the keys and shapes of a published file."""
    table = shared / "alphapose_keys" / f"reid_{name}_nc1.tsv"
    if not table.is_file():
        pytest.skip(f"PUBLISHED KEYS NOT CHECKED: no {table}")
    state: dict[str, Tensor] = {}
    for line in table.read_text(encoding="utf-8").splitlines():
        key, shape = line.split("\t")
        sizes = [] if shape == "scalar" else [int(size) for size in shape.split("x")]
        state[key] = torch.rand(sizes) if sizes else torch.tensor(0)
    return state


@pytest.mark.parametrize(("name", "parameters"), [("osnet_x1_0", 2_169_508),
                                                  ("osnet_ain_x1_0", 2_169_508)])  # fmt: skip
def test_the_published_keys_are_ours(shared: Path, name: str, parameters: int) -> None:
    state = published(shared, name)
    network = osnet_of(state)
    kept = {key for key in state if not key.startswith("classifier.")}
    assert set(network.state_dict()) == kept
    assert sum(p.numel() for p in network.parameters()) == parameters
    torch.testing.assert_close(network.state_dict()["fc.0.weight"], state["fc.0.weight"])


@pytest.mark.parametrize("ain", [False, True])
def test_a_file_with_a_classifier_and_a_prefix_gives_the_same_network(
    ain: bool, caplog: pytest.LogCaptureFixture
) -> None:
    network, images = small(ain=ain), torch.rand(2, 3, 64, 32)
    state = {f"module.{key}": value for key, value in network.state_dict().items()}
    state["module.classifier.weight"] = torch.rand(751, 32)
    state["module.classifier.bias"] = torch.rand(751)
    assert is_osnet(state)
    with caplog.at_level(logging.INFO):
        loaded = osnet_of(state)
    assert "751 people" in caplog.text
    torch.testing.assert_close(loaded(images), network(images))


@pytest.mark.parametrize("ain", [False, True])
def test_embeddings_are_unit_vectors_without_negative_values(ain: bool) -> None:
    found = small(ain=ain)(torch.rand(3, 3, 64, 32))
    assert found.shape == (3, 32)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(3))
    assert found.min() >= 0
    assert small(ain=ain)(torch.rand(0, 3, 64, 32)).shape == (0, 32)


def test_a_block_sees_nine_cells_and_no_further() -> None:
    block = OmniScaleBlock(64, 64).eval()
    x = torch.zeros(1, 64, 1, 21)
    x[..., 10] = 1
    block.gate = torch.nn.Identity()  # it looks at the whole map
    moved = (block(x) - block(torch.zeros_like(x))).abs().amax((0, 1, 2))
    assert moved[:6].max() == 0
    assert moved[15:].max() == 0


def test_gradients_reach_every_layer() -> None:
    network = small(ain=True).train()
    network(torch.rand(4, 3, 64, 32)).square().mul(torch.rand(32)).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    assert network.conv1.conv.weight.grad.abs().max() > 0  # type: ignore[union-attr]


def test_what_is_not_an_osnet_is_refused() -> None:
    with pytest.raises(WeightsError, match="OSNet"):
        osnet_of({"fc.weight": torch.zeros(2, 2)})
    state = small().state_dict()
    del state["conv3.0.gate.fc1.bias"]
    with pytest.raises(WeightsError, match="missing"):
        osnet_of(state)


@pytest.mark.parametrize("ain", [False, True])
def test_the_stages_are_all_but_the_last_layer(*, ain: bool) -> None:
    network = small(ain=ain)
    inside = {id(p) for stage in network.stages for p in stage.parameters()}
    outside = {name for name, p in network.named_parameters() if id(p) not in inside}
    assert outside == {name for name, _ in network.named_parameters() if name.startswith("fc.")}
    assert len(network.stages) == 5
