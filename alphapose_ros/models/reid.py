# SPDX-License-Identifier: Apache-2.0
"""ReidNet: re-identification with pose-guided attention (AlphaPose, TPAMI 2022, section 3.4).

A light trunk gives a feature map; maps of the person's own pose, drawn from the joints that were
kept, pass one small convolution and become attention maps; the features are weighted by them
residually and averaged, ``sum(x (1 + g a)) / sum(1 + g a)`` with a learned gain g; a linear layer
gives the embedding. Several attention maps look at several parts of the body. Where no joint is
known the attention is the same everywhere, and what is left is the plain mean.

The trunk is the pose network's, up to its ninth block, without norms (they are folded), its
second last stride taken out, so that a crop of 128x64 has a feature map of 16x8.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from alphapose_ros.base.errors import WeightsError
from alphapose_ros.models.light import ConvNorm, LightPose, fold_batch_norm, same_padded
from alphapose_ros.models.state import State, fitted, without_prefix

REID_HW = (128, 64)
FEATURE_STRIDE = 8
FIRST_CELL = 7  # input pixel in the middle of what cell 0 sees: three strides that pad at the end
DIM = 128
# What the guidance maps show: parts of the person's own body, and everybody else's.
GUIDANCE = ("head", "torso", "arms", "thighs", "shins", "others")
# What each attention map looks at before training: the whole body and three parts of it.
_FIRST_LOOK = (
    ("head", "torso", "arms", "thighs", "shins"),
    ("head",),
    ("torso", "arms"),
    ("thighs", "shins"),
)
_BLOCKS, _TRUNK_CHANNELS = 9, 64
_WITHOUT_STRIDE = 7
_START_GAIN = 16.0
_MASKS = "masks_crops"  # a tensor of files whose networks do


@dataclass(frozen=True)
class ReidOutput:
    """What training looks at.

    Attributes:
        attended, plain: (N, D) embeddings before the neck, with and without attention.
        attended_neck, plain_neck: (N, D) behind it; their directions are what the network gives.
        attention: (N, A, h, w) in 0..1.
    """

    attended: Tensor
    plain: Tensor
    attended_neck: Tensor
    plain_neck: Tensor
    attention: Tensor


class PoseAttention(nn.Module):
    """Guidance maps (N, G, h, w) -> attention maps (N, A, h, w) in 0..1, by one 3x3 convolution.

    It starts where it shall end up: more of the part's joints, more attention; more of other
    people, less.
    """

    def __init__(self, maps: int = len(_FIRST_LOOK)) -> None:
        super().__init__()
        self.conv = nn.Conv2d(len(GUIDANCE), maps, 3, padding=1)
        with torch.no_grad():
            cast(Tensor, self.conv.bias).fill_(-4.0)
            for row in range(maps):
                parts = _FIRST_LOOK[row % len(_FIRST_LOOK)]
                for column, name in enumerate(GUIDANCE):
                    weight = -3.0 if name == "others" else 8.0 * (name in parts)
                    self.conv.weight[row, column] = torch.full((3, 3), 0.03 * weight)
                    self.conv.weight[row, column, 1, 1] = 0.76 * weight

    def forward(self, guidance: Tensor) -> Tensor:
        """(N, G, h, w) in 0..1 -> (N, A, h, w) in 0..1."""
        return torch.sigmoid(self.conv(guidance))


class ReidNet(nn.Module):
    """Packed crops (N, 4, H, W) -> unit embeddings (N, dim).

    The input is :func:`packed`: RGB in -1..1 and the guidance maps folded into a fourth plane, so
    that a network of one image input, as every runtime takes it, carries both.

    Args:
        width: channels of the feature map.
        maps: attention maps.
        dim: of the embedding.
        attend: whether the embedding is the one with attention; the other is trained beside it.
        masks: whether it was trained with crops in which all but the person fades, and wants such
            (:func:`~alphapose_ros.reid.masking.masked`). Its file says so.
    """

    def __init__(
        self,
        *,
        width: int = 256,
        maps: int = len(_FIRST_LOOK),
        dim: int = DIM,
        attend: bool = True,
        masks: bool = False,
    ) -> None:
        super().__init__()
        self.features = _trunk()
        self.expand = ConvNorm(_TRUNK_CHANNELS, width, relu=True)
        self.attention = PoseAttention(maps)
        self.gain = nn.Parameter(torch.full((maps,), _START_GAIN))
        self.embed = nn.Linear(maps * width, dim, bias=False)
        self.plain = nn.Linear(width, dim, bias=False)
        self.neck, self.plain_neck = nn.BatchNorm1d(dim), nn.BatchNorm1d(dim)
        for neck in (self.neck, self.plain_neck):  # Luo et al., CVPRW 2019: no shift
            neck.bias.requires_grad_(False)
        self.attend, self.dim, self.masks = attend, dim, masks
        if masks:
            self.register_buffer(_MASKS, torch.ones(()))

    def forward(self, crops: Tensor) -> Tensor:
        """Unit embeddings (N, dim)."""
        features, guidance = self.feature_map(crops), unpacked_guidance(crops)
        if self.attend:
            found = self.neck(self.embed(self._pooled(features, self.attention(guidance))))
        else:
            found = self.plain_neck(self.plain(features.mean((2, 3))))
        return functional.normalize(found, dim=1)

    def both(self, crops: Tensor) -> ReidOutput:
        """Embeddings with and without attention, and the attention, of one pass."""
        features = self.feature_map(crops)
        attention = self.attention(unpacked_guidance(crops))
        attended = self.embed(self._pooled(features, attention))
        plain = self.plain(features.mean((2, 3)))
        necks = self.neck(attended), self.plain_neck(plain)
        return ReidOutput(attended, plain, *necks, attention)

    def feature_map(self, crops: Tensor) -> Tensor:
        """(N, width, H/8, W/8)."""
        x = crops[:, :3]
        for block in self.features:
            x = same_padded(cast(nn.Module, block), x)
        return self.expand(x)

    def _pooled(self, features: Tensor, attention: Tensor) -> Tensor:
        """Weighted means of every attention map, (N, A * width)."""
        weights = 1 + self.gain.clamp_min(0)[:, None, None] * attention
        weights = (weights / weights.sum((2, 3), keepdim=True)).flatten(2)  # (N, A, hw)
        return (weights @ features.flatten(2).transpose(1, 2)).flatten(1)


def packed(crops: Tensor, guidance: Tensor) -> Tensor:
    """RGB (N, 3, H, W) in 0..255 and guidance (N, G, H/8, W/8) -> the network's (N, 4, H, W)."""
    side = FEATURE_STRIDE
    count, maps, height, width = guidance.shape
    cells = functional.pad(guidance, (0, 0, 0, 0, 0, side**2 - maps))
    cells = cells.reshape(count, side, side, height, width).permute(0, 3, 1, 4, 2)
    plane = cells.reshape(count, 1, height * side, width * side)
    return torch.cat([crops / 127.5 - 1, plane.to(crops.dtype)], 1)


def unpacked_guidance(crops: Tensor) -> Tensor:
    """The guidance maps (N, G, H/8, W/8) of :func:`packed` crops, N = 0 included."""
    side = FEATURE_STRIDE
    height, width = crops.shape[2] // side, crops.shape[3] // side
    cells = crops[:, 3].reshape(crops.shape[0], height, side, width, side).permute(0, 2, 4, 1, 3)
    return cells.reshape(crops.shape[0], side * side, height, width)[:, : len(GUIDANCE)]


def is_reid_net(state: State) -> bool:
    """Whether a state dict is that of a :class:`ReidNet`."""
    return "attention.conv.weight" in state and "gain" in state


def reid_net_of(state: State, *, attend: bool = True) -> ReidNet:
    """The :class:`ReidNet` of a file, its sizes read from the shapes.

    Raises:
        WeightsError: not such a file, or tensors are missing or left over.
    """
    state = without_prefix(state)
    if not is_reid_net(state):
        raise WeightsError("expected weights of a ReidNet, they have no attention")
    dim, width = state["plain.weight"].shape
    maps = len(state["gain"])
    masks = _MASKS in state
    return fitted(
        lambda: ReidNet(width=width, maps=maps, dim=dim, attend=attend, masks=masks), state
    )


def take_trunk(network: ReidNet, pose: LightPose) -> None:
    """Start from the trunk of a pose network whose norms are folded."""
    own = network.features.state_dict()
    theirs = pose.features.state_dict()
    network.features.load_state_dict({key: theirs[key] for key in own})


def _trunk() -> nn.Sequential:
    """Stride 8, 64 channels."""
    features = fold_batch_norm(LightPose(1)).features[:_BLOCKS]
    for module in features[_WITHOUT_STRIDE].modules():
        if isinstance(module, nn.Conv2d) and module.stride == (2, 2):
            module.stride, module.padding = (1, 1), (1, 1)
    return features.train()
