# SPDX-License-Identifier: Apache-2.0
"""Attention at the input: crops in which whatever is not the person fades to grey.

For networks that know of no pose. The person is whatever lies near their own joints, other people
what lies nearer to theirs. A grey of ImageNet's mean colour is what such networks take for
nothing; it is mixed in softly, since poses say where a body is, not where its outline runs.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from alphapose_ros.models.reid import FEATURE_STRIDE, packed, unpacked_guidance
from alphapose_ros.registry.spec import IMAGENET_MEAN

# Of the own map, whose highest value counts as 1; chosen on PKU-Reid with Open Model Zoo's 0287.
_OUTLINE = 0.1
_SOFTNESS = 10.0
_KNOWN = 0.2  # a map that is nowhere higher says nothing of the person
_SOMEBODY = 0.3  # of the others' map, from which there is somebody
# The maps' cells are drawn about half a cell to the right and below of their middles.
_SHIFT = FEATURE_STRIDE // 2


def masked(crops: Tensor, guidance: Tensor) -> Tensor:
    """RGB crops (N, 3, H, W) in 0..255 and their guidance (N, G, H/8, W/8) -> crops alike.

    Args:
        crops: of one person each.
        guidance: as :func:`~alphapose_ros.reid.render.with_others` has it. Where no joint of the
            person is known, only other people fade.
    """
    grey = 255 * torch.tensor(IMAGENET_MEAN, device=crops.device).view(3, 1, 1)
    return grey + (crops - grey) * _kept(guidance, (crops.shape[2], crops.shape[3])).to(crops)


def masked_and_packed(crops: Tensor, guidance: Tensor) -> Tensor:
    """What a ReidNet takes that was trained with masked crops, see :func:`models.reid.packed`."""
    return packed(masked(crops, guidance), guidance)


def masked_again(crops: Tensor) -> Tensor:
    """Packed crops (N, 4, H, W) -> the same, masked."""
    return masked_and_packed((crops[:, :3] + 1) * 127.5, unpacked_guidance(crops))


def _kept(guidance: Tensor, size_hw: tuple[int, int]) -> Tensor:
    """(N, 1, H, W) in 0..1: how much of a pixel stays."""
    maps = torch.stack([guidance[:, :-1].amax(1), guidance[:, -1]], 1)
    maps = functional.interpolate(maps, scale_factor=FEATURE_STRIDE, mode="bilinear")
    after = _SHIFT, FEATURE_STRIDE  # whatever is left of a size that is no multiple
    maps = functional.pad(maps, after * 2, mode="replicate")[..., : size_hw[0], : size_hw[1]]
    own, others = maps[:, :1], maps[:, 1:]
    top = own.amax((2, 3), keepdim=True)
    person = torch.sigmoid(_SOFTNESS * (own / top.clamp_min(_KNOWN) - _OUTLINE))
    nearer = torch.sigmoid(_SOFTNESS * (others - own))
    somebody = torch.sigmoid(_SOFTNESS * (others - _SOMEBODY))
    return torch.where(top > _KNOWN, person, 1.0) * (1 - nearer * somebody)
