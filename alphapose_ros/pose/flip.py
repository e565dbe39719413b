# SPDX-License-Identifier: Apache-2.0
"""Flip test: a network looks at the crop and at its mirror image, and the raw maps are averaged.

Nothing is done in place: the shift below overlaps its own source, and copied in place it smears.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from numpy.typing import NDArray
from torch import Tensor, nn


def mirror(images: Tensor) -> Tensor:
    """(..., W) turned left for right."""
    return images.flip(-1)


def flip_maps(maps: Tensor, permutation: Tensor | NDArray) -> Tensor:
    """Maps (N, K, H, W) of a mirrored crop as maps of the crop, and the other way round.

    Args:
        maps: one per joint.
        permutation: (K,) :attr:`Skeleton.flip_permutation`.
    """
    index = torch.as_tensor(permutation, device=maps.device)
    return mirror(maps).index_select(1, index)


def shift_right(maps: Tensor) -> Tensor:
    """Maps (..., W) moved one cell to the right; column 0 stays.

    Cell k stands for input pixel 4k, the first of its four, and for the last of them in the
    mirror: a mirrored map lies three quarters of a cell too far left (the matter of Huang et al.,
    "The Devil is in the Details", CVPR 2020).
    """
    return torch.cat([maps[..., :1], maps[..., :-1]], -1)


def flip_average(
    network: Callable[[Tensor], Tensor],
    crops: Tensor,
    permutation: Tensor | NDArray,
    *,
    shift: bool = True,
) -> Tensor:
    """Mean of the network's raw maps (N, K, H, W) for the crops and their mirror images.

    Args:
        network: (N, 3, H, W) -> (N, K, h, w).
        crops: (N, 3, H, W).
        permutation: (K,) :attr:`Skeleton.flip_permutation`.
        shift: move the mirrored maps by one cell, as AlphaPose does.
    """
    mirrored = flip_maps(network(mirror(crops)), permutation)
    return (network(crops) + (shift_right(mirrored) if shift else mirrored)) / 2


class FlipTested(nn.Module):
    """A decoded pose network that also looks into the mirror; twice the time of the network.

    Args:
        decoded: with ``maps(crops)`` and ``decode(maps)`` (``models.export.DecodedPose``).
        permutation: (K,) :attr:`Skeleton.flip_permutation`.
    """

    permutation: Tensor

    def __init__(self, decoded: nn.Module, permutation: NDArray) -> None:
        super().__init__()
        self.decoded = decoded
        self.register_buffer("permutation", torch.as_tensor(permutation), persistent=False)

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        """What ``decode`` gives of the averaged maps."""
        maps: Callable[[Tensor], Tensor] = self.decoded.maps  # type: ignore[assignment]
        decode: Callable[[Tensor], tuple[Tensor, ...]] = self.decoded.decode  # type: ignore[assignment]
        averaged = flip_average(maps, crops, self.permutation)
        with torch.autocast(averaged.device.type, enabled=False):  # sums over maps need all bits
            return decode(averaged.float())
