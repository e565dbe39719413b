# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from alphapose_reference import (
    assert_output_is_the_original_one,
    key_list,
    needs_shared,
    stated_state,
)
from torch import nn

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.models.fastpose import (
    FastPose,
    FastPoseHead,
    fastpose_duc_resnet,
    fastpose_resnet,
)
from alphapose_ros.models.resnet import Bottleneck, ResNet

pytestmark = pytest.mark.usefixtures("one_thread")

BUILDERS: dict[str, Callable[[], FastPose]] = {
    "fastpose_res50_coco17": partial(fastpose_resnet, num_joints=17),
    "fastpose_res50_halpe26": partial(fastpose_resnet, num_joints=26),
    "fastpose_res50_halpe136_heatmap": partial(fastpose_resnet, num_joints=136, conv_dim=256),
    "fastpose_res50_halpe136_regression": partial(fastpose_resnet, num_joints=136, conv_dim=256),
    "fastpose_res50_multidomain136_regression": partial(fastpose_resnet, num_joints=136),
    "fastpose_res50_wholebody133_regression": partial(fastpose_resnet, num_joints=133),
    "fastpose_res50_wholebody133_combined": partial(fastpose_resnet, num_joints=133, conv_dim=256),
    "fastpose_res152_halpe136": partial(fastpose_resnet, depth=152, num_joints=136, conv_dim=256),
    "fastpose_res152_wholebody133": partial(
        fastpose_resnet, depth=152, num_joints=133, conv_dim=256
    ),
    "fastpose_res50_dcn_coco17": partial(fastpose_resnet, num_joints=17, dcn=True),
    "fastpose_res50_dcn_halpe136": partial(
        fastpose_resnet, num_joints=136, conv_dim=256, dcn=True
    ),
    "fastpose_res50_dcn_multidomain136_combined": partial(
        fastpose_resnet, num_joints=136, conv_dim=256, dcn=True
    ),
    "fastpose_res50_dcn_wholebody133": partial(
        fastpose_resnet, num_joints=133, conv_dim=256, dcn=True
    ),
    "fastpose_res50_dcn_halpe68noface": partial(
        fastpose_resnet, num_joints=68, conv_dim=256, dcn=True
    ),
    "fastpose_res50_dcn_singlehand21": partial(
        fastpose_resnet, num_joints=21, conv_dim=256, dcn=True
    ),
    "fastpose_duc_res50_unshuffle_coco17": partial(
        fastpose_duc_resnet, num_joints=17, unshuffle=True
    ),
    "fastpose_duc_res152_coco17": partial(fastpose_duc_resnet, depth=152, num_joints=17),
}
WITH_OUTPUT = (
    "fastpose_res50_coco17",
    "fastpose_res50_halpe136_regression",
    "fastpose_duc_res50_unshuffle_coco17",
)


@needs_shared
@pytest.mark.parametrize("name", BUILDERS)
def test_state_dict_has_the_keys_and_shapes_of_the_checkpoint(name: str) -> None:
    with torch.device("meta"):
        network = BUILDERS[name]()
    assert {k: tuple(v.shape) for k, v in network.state_dict().items()} == key_list(name)


@needs_shared
@pytest.mark.parametrize("name", WITH_OUTPUT)
def test_outputs_equal_the_original_networks(name: str) -> None:
    with torch.device("meta"):
        network = BUILDERS[name]()
    network.load_state_dict(stated_state(name), strict=True, assign=True)
    assert_output_is_the_original_one(network, name)


@pytest.mark.parametrize(("depth", "parameters"), [(50, 40_577_745), (152, 75_213_521)])
def test_parameter_count(depth: int, parameters: int) -> None:
    with torch.device("meta"):
        network = fastpose_resnet(depth=depth, num_joints=17)
    assert sum(p.numel() for p in network.parameters()) == parameters


def test_only_the_first_block_of_a_layer_is_gated() -> None:
    with torch.device("meta"):
        plain, gated = ResNet(101, se=False), ResNet(101)
    assert not any(".se." in key for key in plain.state_dict())
    assert {k.rsplit(".se.", 1)[0] for k in gated.state_dict() if ".se." in k} == {
        f"layer{i}.0" for i in range(1, 5)
    }


def test_stride_is_on_the_spatial_convolution() -> None:
    block = Bottleneck(8, 4, stride=2, se=False, unshuffle=False)
    assert (block.conv1.stride, block.conv2.stride, block.conv3.stride) == ((1, 1), (2, 2), (1, 1))


def test_output_convolution_starts_as_almost_nothing() -> None:
    torch.manual_seed(0)
    layer = FastPoseHead(16, 136, mid_dim=4).get_submodule("conv_out")
    assert isinstance(layer, nn.Conv2d)
    assert layer.weight.std().item() == pytest.approx(1e-3, rel=0.02)
    assert layer.bias is not None
    assert not layer.bias.any()


@pytest.mark.parametrize(
    "build",
    [
        lambda: FastPoseHead(18, 17),
        lambda: fastpose_resnet(depth=34, num_joints=17),
        lambda: Bottleneck(8, 4, stride=2, unshuffle=True, deformable=True),
    ],
)
def test_impossible_shapes_are_refused(build: Callable[[], nn.Module]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        build()
