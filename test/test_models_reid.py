# SPDX-License-Identifier: Apache-2.0
"""The re-identification network: packed guidance, attention, pooling by hand, gradients, files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from alphapose_ros.base.errors import WeightsError
from alphapose_ros.models.checkpoint import load_light_state
from alphapose_ros.models.light import same_padded
from alphapose_ros.models.reid import (
    FEATURE_STRIDE,
    FIRST_CELL,
    GUIDANCE,
    ReidNet,
    packed,
    reid_net_of,
    take_trunk,
    unpacked_guidance,
)
from alphapose_ros.registry.store import resolve
from alphapose_ros.reid.factory import REID_NAMES
from alphapose_ros.runtime.config import RuntimeOptions
from alphapose_ros.runtime.factory import accelerate
from alphapose_ros.weights import load_tensors, save_tensors

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def network() -> ReidNet:
    torch.manual_seed(3)
    return ReidNet(width=32, dim=16).eval()


def crops(count: int, guidance: torch.Tensor | None = None) -> torch.Tensor:
    generator = torch.Generator().manual_seed(count)
    pixels = torch.rand(count, 3, 128, 64, generator=generator) * 255
    if guidance is None:
        guidance = torch.rand(count, len(GUIDANCE), 16, 8, generator=generator)
    return packed(pixels, guidance)


def test_guidance_survives_the_packing() -> None:
    guidance = torch.rand(3, len(GUIDANCE), 16, 8)
    found = crops(3, guidance)
    assert found.shape == (3, 4, 128, 64)
    torch.testing.assert_close(unpacked_guidance(found), guidance)
    assert found[:, :3].abs().max() <= 1


def test_embeddings_are_unit_vectors_and_nobody_is_nobody(network: ReidNet) -> None:
    found = network(crops(4))
    assert found.shape == (4, 16)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(4))
    assert network(crops(0)).shape == (0, 16)


def test_the_pooling_is_the_weighted_mean(network: ReidNet) -> None:
    x = crops(2)
    features, attention = network.feature_map(x), network.both(x).attention
    expected = np.zeros((2, len(network.gain), 32))
    for n, a in np.ndindex(2, len(network.gain)):
        weights = 1 + network.gain[a].item() * attention[n, a].detach().numpy()
        total = sum(
            weights[y, x] * features[n, :, y, x].detach().numpy()
            for y in range(16)
            for x in range(8)
        )
        expected[n, a] = total / weights.sum()
    found = network._pooled(features, attention).detach().numpy()
    np.testing.assert_allclose(found, expected.reshape(2, -1), rtol=1e-4, atol=1e-5)


def test_attention_begins_on_the_person_and_off_others(network: ReidNet) -> None:
    guidance = torch.zeros(1, len(GUIDANCE), 16, 8)
    guidance[0, GUIDANCE.index("torso"), 6:10, 2:4] = 1
    guidance[0, GUIDANCE.index("others"), 4:12, 5:7] = 1
    whole = network.attention(guidance)[0, 0]
    assert whole[7, 2] > 5 * whole[0, 0]
    assert whole[7, 6] < whole[0, 0]
    assert 0 <= whole.min() <= whole.max() <= 1


def test_without_joints_every_map_is_the_plain_mean(network: ReidNet) -> None:
    x = crops(2, torch.zeros(2, len(GUIDANCE), 16, 8))
    features = network.feature_map(x)
    pooled = network._pooled(features, torch.full((2, 4, 16, 8), 0.3))
    torch.testing.assert_close(pooled, features.mean((2, 3)).repeat(1, 4))


def test_a_cell_sees_the_pixels_about_its_centre(network: ReidNet) -> None:
    x = crops(1).requires_grad_(True)
    network.feature_map(x)[0, :, 8, 4].sum().backward()
    assert x.grad is not None
    seen = x.grad[0, :3].abs().sum(0)
    for axis, cell in ((1, 8), (0, 4)):
        weight = seen.sum(axis)
        centre = (weight * torch.arange(len(weight))).sum() / weight.sum()
        # Random weights are not symmetric; half a cell off would be seen.
        assert abs(centre - (cell * FEATURE_STRIDE + FIRST_CELL)) < 3


def test_attention_off_is_the_plain_embedding(network: ReidNet) -> None:
    state = network.state_dict()
    plain = reid_net_of(state, attend=False)
    x = crops(3)
    both = network.both(x)
    torch.testing.assert_close(plain(x), torch.nn.functional.normalize(both.plain_neck, dim=1))
    torch.testing.assert_close(
        network(x), torch.nn.functional.normalize(both.attended_neck, dim=1)
    )
    without = plain(packed((x[:, :3] + 1) * 127.5, torch.zeros(3, len(GUIDANCE), 16, 8)))
    torch.testing.assert_close(without, plain(x), atol=1e-5, rtol=1e-4)


def test_gradients_reach_attention_and_trunk(network: ReidNet) -> None:
    network.train()
    out = network.both(crops(4))
    (out.attended_neck * torch.rand(16) + out.plain_neck * torch.rand(16)).sum(
        1
    ).square().mean().backward()
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name
    assert network.attention.conv.weight.grad.abs().max() > 0  # type: ignore[union-attr]
    assert network.gain.grad.abs().max() > 0  # type: ignore[union-attr]


def test_a_file_gives_the_same_network(network: ReidNet, tmp_path: Path) -> None:
    path = tmp_path / "reid.safetensors"
    save_tensors(network.state_dict(), path)
    loaded = reid_net_of(load_tensors(path))
    torch.testing.assert_close(loaded(crops(2)), network(crops(2)))
    with pytest.raises(WeightsError, match="attention"):
        reid_net_of({"fc.weight": torch.zeros(1)})
    state = network.state_dict()
    del state["neck.weight"]
    with pytest.raises(WeightsError, match=r"neck\.weight"):
        reid_net_of(state)


def test_a_file_says_that_its_network_wants_masked_crops(tmp_path: Path) -> None:
    path = tmp_path / "reid.safetensors"
    for masks in (False, True):
        save_tensors(ReidNet(width=16, dim=8, masks=masks).state_dict(), path)
        again = reid_net_of(load_tensors(path))
        assert again.masks is masks
        assert again.state_dict().keys() == load_tensors(path).keys()


def test_the_pose_networks_trunk_fits(network: ReidNet) -> None:
    pose = load_light_state(load_tensors(resolve("pose_nano")))
    take_trunk(network, pose)
    theirs = pose.features.state_dict()
    assert all(torch.equal(v, theirs[k]) for k, v in network.features.state_dict().items())
    x = torch.rand(1, 3, 128, 64) * 2 - 1
    mine, other = x, x
    for block, same in zip(network.features[:7], pose.features[:7], strict=True):
        mine, other = same_padded(block, mine), same_padded(same, other)
    torch.testing.assert_close(mine, other)
    assert network.feature_map(crops(1)).shape == (1, 32, 16, 8)


def test_the_graph_is_the_network(network: ReidNet, onnx: object) -> None:
    run = accelerate(network, crops(2), RuntimeOptions("onnxruntime"), REID_NAMES)
    for count in (1, 3):
        (found,) = run(crops(count))
        torch.testing.assert_close(found, network(crops(count)).detach(), atol=1e-5, rtol=1e-4)
