# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from alphapose_ros.base.skeletons import COCO17, SKELETONS, Skeleton
from alphapose_ros.pose.flip import FlipTested, flip_average, flip_maps, mirror, shift_right

every_skeleton = pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS)


def position_network(crops: Tensor) -> Tensor:
    """Equivariant maps: the crop itself, once per joint."""
    return crops[:, :1].expand(-1, 17, -1, -1)


@every_skeleton
def test_mirroring_twice_is_nothing(skeleton: Skeleton) -> None:
    maps = torch.randn(2, len(skeleton), 6, 5)
    twice = flip_maps(flip_maps(maps, skeleton.flip_permutation), skeleton.flip_permutation)
    assert torch.equal(twice, maps)
    assert torch.equal(mirror(mirror(maps)), maps)


def test_left_and_right_change_places() -> None:
    maps = torch.zeros(1, 17, 4, 6)
    maps[0, COCO17.index("left_wrist"), 1, 0] = 1
    maps[0, COCO17.index("nose"), 2, 1] = 2
    flipped = flip_maps(maps, COCO17.flip_permutation)
    assert flipped[0, COCO17.index("right_wrist"), 1, 5] == 1
    assert flipped[0, COCO17.index("nose"), 2, 4] == 2
    assert flipped.count_nonzero() == 2


def test_shift_on_a_ramp() -> None:
    ramp = torch.arange(48.0).expand(2, 17, 64, 48)
    expected = torch.tensor([0.0, *range(47)]).expand_as(ramp)
    assert torch.equal(shift_right(ramp), expected)


def test_average_of_an_equivariant_network_is_its_own_output() -> None:
    crops = torch.randn(3, 3, 8, 6)
    maps = position_network(crops)
    plain = flip_average(position_network, crops, COCO17.flip_permutation, shift=False)
    torch.testing.assert_close(plain, maps)
    shifted = flip_average(position_network, crops, COCO17.flip_permutation)
    torch.testing.assert_close(shifted[..., 1:], (maps[..., 1:] + maps[..., :-1]) / 2)
    torch.testing.assert_close(shifted[..., 0], maps[..., 0])


def test_average_by_hand() -> None:
    swap = torch.tensor([1, 0])
    crops = torch.tensor([[[[1.0, 2.0, 3.0]], [[10.0, 20.0, 30.0]]]])
    out = flip_average(lambda x: x * torch.tensor([1.0, 2.0, 4.0]), crops, swap)
    # joint 0: own 1 4 12; the mirrored joint 1 answers 30 40 40, mirrored 40 40 30, moved 40 40 40
    assert out[0, 0, 0].tolist() == [20.5, 22, 26]
    # joint 1: own 10 40 120; the mirrored joint 0 answers 3 4 4, mirrored 4 4 3, moved 4 4 4
    assert out[0, 1, 0].tolist() == [7, 22, 62]


def test_arguments_are_not_changed() -> None:
    crops, maps = torch.randn(2, 3, 8, 6), torch.randn(2, 17, 8, 6)
    permutation = COCO17.flip_permutation.copy()
    before = crops.clone(), maps.clone()
    flip_average(lambda _: maps, crops, permutation)
    flip_maps(maps, permutation)
    shift_right(maps)
    assert torch.equal(crops, before[0])
    assert torch.equal(maps, before[1])
    assert (permutation == COCO17.flip_permutation).all()


def test_nobody() -> None:
    out = flip_average(position_network, torch.zeros(0, 3, 8, 6), COCO17.flip_permutation)
    assert out.shape == (0, 17, 8, 6)


def test_a_flip_tested_network_decodes_the_average() -> None:
    """It decodes the average of both looks, for nobody too."""

    class Blob(torch.nn.Module):
        def maps(self, crops: torch.Tensor) -> torch.Tensor:
            return crops[:, :2]

        def decode(self, maps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return maps, maps.amax((-2, -1))

    crops = torch.rand((3, 3, 8, 6), generator=torch.Generator().manual_seed(0))
    tested = FlipTested(Blob(), np.array([1, 0]))
    expected = flip_average(lambda x: x[:, :2], crops, np.array([1, 0]))
    assert torch.equal(tested(crops)[0], expected)
    assert tested(torch.zeros((0, 3, 8, 6)))[1].shape == (0, 2)


def test_the_average_is_decoded_in_single_precision() -> None:
    """Whatever the network runs in: sums over half-precision maps move joints."""
    seen: list[torch.dtype] = []

    class Decoded(torch.nn.Module):
        def maps(self, crops: Tensor) -> Tensor:
            return torch.nn.functional.conv2d(crops, torch.ones(17, 3, 1, 1))

        def decode(self, maps: Tensor) -> tuple[Tensor, Tensor]:
            product = maps.flatten(2) @ torch.ones(maps[0, 0].numel(), 2)
            seen.extend((maps.dtype, product.dtype))
            return product, product[..., 0]

    network = FlipTested(Decoded(), COCO17.flip_permutation)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        network(torch.rand(2, 3, 8, 6))
    assert seen == [torch.float32, torch.float32]
