# SPDX-License-Identifier: Apache-2.0
"""FastPose (AlphaPose, TPAMI 2022): a trunk of stride 32 and a head of pixel shuffles.

A network is the plain sequence ``preact`` (the trunk), ``shuffle``, ``duc1``, ``duc2``,
``conv_out``. These are the names of AlphaPose's checkpoints, whose state dicts fit as they are.
Input (N, 3, H, W), normalised; output (N, K, H / 4, W / 4), raw.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.models.layers import DUC, output_convolution, shuffle_then_convolve
from alphapose_ros.models.resnet import ResNet

Stages = OrderedDict[str, nn.Module]


class FastPoseHead(nn.Sequential):
    """(N, C, h, w) of any trunk -> (N, K, 8h, 8w), one raw map per joint.

    Args:
        in_channels: C, a multiple of 4.
        num_joints: K.
        mid_dim: channels after the first DUC.
        conv_dim: channels after the second DUC, AlphaPose's CONV_DIM.
    """

    def __init__(
        self, in_channels: int, num_joints: int, *, mid_dim: int = 256, conv_dim: int = 128
    ) -> None:
        _check_channels(in_channels)
        super().__init__(
            Stages(
                shuffle=nn.PixelShuffle(2),
                duc1=DUC(in_channels // 4, mid_dim),
                duc2=DUC(mid_dim, conv_dim),
                conv_out=output_convolution(conv_dim, num_joints),
            )
        )


class FastPoseDUCHead(nn.Sequential):
    """The deeper head of FastPose-DUC: three shuffles with several convolutions after each."""

    def __init__(self, in_channels: int, num_joints: int) -> None:
        _check_channels(in_channels)
        super().__init__(
            Stages(
                duc1=shuffle_then_convolve(in_channels, (512, 512, 512, 1024)),
                duc2=shuffle_then_convolve(1024, (256, 512)),
                duc3=shuffle_then_convolve(512, (256,)),
                conv_out=output_convolution(256, num_joints),
            )
        )


class FastPose(nn.Sequential):
    """A trunk and the stages of a head, side by side under the names of the checkpoints."""

    def __init__(self, trunk: nn.Module, head: nn.Sequential) -> None:
        super().__init__(Stages([("preact", trunk), *head.named_children()]))


def fastpose_resnet(
    *,
    depth: int = 50,
    num_joints: int,
    conv_dim: int = 128,
    se: bool = True,
    dcn: bool = False,
) -> FastPose:
    """FastPose on a (SE-)ResNet, ``dcn`` with deformable convolutions in layers 2 to 4.

    AlphaPose's networks of 17 and 26 joints have ``conv_dim`` 128 and all others 256, but for
    two on ResNet-50 trained by regression, for 133 joints and for the multi-domain 136: these
    have 128.
    """
    trunk = ResNet(depth, se=se, dcn=dcn)
    return FastPose(trunk, FastPoseHead(trunk.out_channels, num_joints, conv_dim=conv_dim))


def fastpose_duc_resnet(
    *, depth: int = 50, num_joints: int, se: bool = True, unshuffle: bool = False
) -> FastPose:
    """FastPose-DUC; the published ResNet-50 has ``unshuffle``, the ResNet-152 has not."""
    trunk = ResNet(depth, se=se, unshuffle=unshuffle)
    return FastPose(trunk, FastPoseDUCHead(trunk.out_channels, num_joints))


def _check_channels(in_channels: int) -> None:
    if in_channels % 4:
        raise ConfigError(f"in_channels: expected a multiple of 4 to shuffle, got {in_channels}")
