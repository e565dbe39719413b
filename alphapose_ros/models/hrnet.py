# SPDX-License-Identifier: Apache-2.0
"""HRNet (Sun et al., CVPR 2019): branches of strides 4 to 32 side by side, fused again and again.

Module names are those of the public checkpoints. Input (N, 3, H, W), normalised, sides multiples
of 32; output (N, K, H / 4, W / 4), raw.
"""

from __future__ import annotations

from torch import Tensor, nn

from alphapose_ros.models.layers import output_convolution
from alphapose_ros.models.resnet import EXPANSION, Bottleneck

_STEM = 64
_MODULES = (1, 4, 3)  # exchange units in stages 2, 3 and 4
_BLOCKS = 4


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside an identity shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        out = self.relu(self.bn1(self.conv1(features)))
        return self.relu(self.bn2(self.conv2(out)) + features)


class ExchangeUnit(nn.Module):
    """Four blocks on each branch, then every branch receives the sum of all.

    Args:
        widths: channels of the branches, fine to coarse.
        outputs: how many branches, from the finest, are fused and returned.
    """

    def __init__(self, widths: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(BasicBlock(width) for _ in range(_BLOCKS))) for width in widths
        )
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_path(widths, source, target) for source in range(len(widths)))
            for target in range(outputs)
        )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Maps of all branches, fine to coarse -> the fused ones."""
        maps = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        fused: list[Tensor] = []
        for paths in self.fuse_layers:
            assert isinstance(paths, nn.ModuleList)
            first, *others = (path(x) for path, x in zip(paths, maps, strict=True))
            fused.append(self.relu(sum(others, start=first)))
        return fused


class HRNet(nn.Module):
    """The network of top-down pose estimation; only the finest branch reaches the output.

    Args:
        num_joints: K.
        width: channels of the finest branch; each coarser one has twice as many.
    """

    def __init__(self, *, num_joints: int, width: int = 32) -> None:
        super().__init__()
        widths = tuple(width * 2**branch for branch in range(4))
        trunk = EXPANSION * _STEM
        self.conv1 = nn.Conv2d(3, _STEM, 3, 2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(_STEM)
        self.conv2 = nn.Conv2d(_STEM, _STEM, 3, 2, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(_STEM)
        self.relu = nn.ReLU(inplace=True)
        inputs = (_STEM, *[trunk] * (_BLOCKS - 1))
        self.layer1 = nn.Sequential(*(Bottleneck(c, _STEM, stride=1) for c in inputs))
        self.transition1 = nn.ModuleList(
            [_convolution(trunk, widths[0]), _new_branch(trunk, widths[1])]
        )
        self.stage2 = _stage(widths[:2], _MODULES[0])
        self.transition2 = _transition(widths[:3])
        self.stage3 = _stage(widths[:3], _MODULES[1])
        self.transition3 = _transition(widths[:4])
        self.stage4 = _stage(widths, _MODULES[2], outputs=1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        self.final_layer = output_convolution(width, num_joints, kernel=1)

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) -> (N, K, H / 4, W / 4)."""
        out = self.relu(self.bn1(self.conv1(images)))
        out = self.layer1(self.relu(self.bn2(self.conv2(out))))
        maps = self.stage2([begin(out) for begin in self.transition1])
        maps = self.stage3(_begin_branch(self.transition2, maps))
        maps = self.stage4(_begin_branch(self.transition3, maps))
        return self.final_layer(maps[0])


def _begin_branch(transition: nn.ModuleList, maps: list[Tensor]) -> list[Tensor]:
    """The old branches as they are and a new one from the coarsest of them."""
    return [*maps, transition[-1](maps[-1])]


def _transition(widths: tuple[int, ...]) -> nn.ModuleList:
    """Identities that keep the checkpoints' numbering, and the way to the new branch."""
    kept = (nn.Identity() for _ in widths[:-1])
    return nn.ModuleList([*kept, _new_branch(widths[-2], widths[-1])])


def _new_branch(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(_convolution(inputs, outputs, stride=2))


def _stage(widths: tuple[int, ...], count: int, outputs: int = 0) -> nn.Sequential:
    """``count`` units; the last one returns the first ``outputs`` branches (0: all)."""
    counts = [*[len(widths)] * (count - 1), outputs or len(widths)]
    return nn.Sequential(*(ExchangeUnit(widths, kept) for kept in counts))


def _path(widths: tuple[int, ...], source: int, target: int) -> nn.Module:
    """From branch ``source`` to the size and width of branch ``target``."""
    if source == target:
        return nn.Identity()
    if source > target:
        return nn.Sequential(
            nn.Conv2d(widths[source], widths[target], 1, bias=False),
            nn.BatchNorm2d(widths[target]),
            nn.Upsample(scale_factor=2 ** (source - target), mode="nearest"),
        )
    wide = widths[source]
    halvings = [_convolution(wide, wide, stride=2) for _ in range(target - source - 1)]
    last = _convolution(wide, widths[target], stride=2, relu=False)
    return nn.Sequential(*halvings, last)


def _convolution(
    inputs: int, outputs: int, *, stride: int = 1, relu: bool = True
) -> nn.Sequential:
    """3x3 convolution, BN and, unless the sum follows, ReLU."""
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, *([nn.ReLU(inplace=True)] if relu else []))
