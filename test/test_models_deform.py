# SPDX-License-Identifier: Apache-2.0
"""Deformable convolution: the compiled operator, the plain one and a loop say the same."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from alphapose_ros.models import deform
from alphapose_ros.models.deform import (
    OFFSETS,
    DeformableConv2d,
    deformable_convolution,
    has_operator,
    sampled_convolution,
)
from alphapose_ros.models.fastpose import FastPose, FastPoseHead, fastpose_resnet
from alphapose_ros.models.resnet import Bottleneck

pytestmark = pytest.mark.usefixtures("one_thread")

WAYS = (deformable_convolution, sampled_convolution)
Way = Callable[..., Tensor]


def needs_operator() -> None:
    if not has_operator():
        pytest.skip("COMPILED DEFORMABLE CONVOLUTION NOT CHECKED: torchvision lacks its operators")


def inputs(
    size_hw: tuple[int, int], *, stride: int = 1, count: int = 2, scale: float = 1.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Features of 3 channels, offsets of ``scale`` px, weights to 4 channels."""
    out_hw = [(size - 1) // stride + 1 for size in size_hw]
    features, weight = torch.randn(count, 3, *size_hw), torch.randn(4, 3, 3, 3)
    return features, scale * torch.randn(count, OFFSETS, *out_hw), weight


def looped(features: Tensor, offsets: Tensor, weight: Tensor, stride: int) -> np.ndarray:
    """Section 2.1 of the paper, one output value at a time."""
    x, o, w = (t.double().numpy() for t in (features, offsets, weight))

    def at(image: np.ndarray, y: float, x: float) -> np.ndarray:
        value = np.zeros(image.shape[0])
        for row in (int(np.floor(y)), int(np.floor(y)) + 1):
            for column in (int(np.floor(x)), int(np.floor(x)) + 1):
                if 0 <= row < image.shape[1] and 0 <= column < image.shape[2]:
                    part = (1 - abs(y - row)) * (1 - abs(x - column))
                    value += part * image[:, row, column]
        return value

    out = np.zeros((len(x), len(w), *o.shape[2:]))
    for n, _, row, column in np.ndindex(len(x), 1, *o.shape[2:]):
        for tap in range(9):
            dy, dx = o[n, 2 * tap : 2 * tap + 2, row, column]
            y, x_ = row * stride - 1 + tap // 3 + dy, column * stride - 1 + tap % 3 + dx
            out[n, :, row, column] += w[:, :, tap // 3, tap % 3] @ at(x[n], y, x_)
    return out


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("stride", [1, 2])
def test_equals_a_loop_over_all_taps(way: Way, stride: int) -> None:
    features, offsets, weight = inputs((5, 4), stride=stride, scale=2.0)
    expected = looped(features, offsets, weight, stride)
    out = way(features, offsets, weight, stride=stride)
    np.testing.assert_allclose(out.numpy(), expected, atol=2e-5)


@given(
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.sampled_from([1, 2]),
    st.integers(0, 3),
    st.sampled_from([0.0, 0.3, 3.0, 30.0, 1e6, 1e20]),
)
def test_both_ways_are_equal(
    size_hw: tuple[int, int], stride: int, count: int, scale: float
) -> None:
    needs_operator()
    case = inputs(size_hw, stride=stride, count=count, scale=scale)
    expected = deformable_convolution(*case, stride=stride)
    out = sampled_convolution(*case, stride=stride)
    assert out.shape == expected.shape
    torch.testing.assert_close(out, expected, atol=3e-5, rtol=1e-4)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("stride", "size_hw"), [(1, (6, 7)), (2, (6, 7)), (2, (1, 1))])
def test_without_offsets_it_is_a_convolution(
    way: Way, stride: int, size_hw: tuple[int, int]
) -> None:
    features, offsets, weight = inputs(size_hw, stride=stride, scale=0.0)
    expected = functional.conv2d(features, weight, stride=stride, padding=1)
    torch.testing.assert_close(way(features, offsets, weight, stride=stride), expected)


@pytest.mark.parametrize("way", WAYS)
def test_offsets_are_rows_then_columns(way: Way) -> None:
    """The centre tap alone, moved two rows down and one column to the left."""
    features = torch.randn(1, 1, 6, 5)
    weight = torch.zeros(1, 1, 3, 3)
    weight[..., 1, 1] = 1
    offsets = torch.zeros(1, OFFSETS, 6, 5)
    offsets[:, 8], offsets[:, 9] = 2, -1
    out = way(features, offsets, weight)
    torch.testing.assert_close(out[..., :4, 1:], features[..., 2:, :-1])
    assert out[..., 4:, :].abs().max() < 1e-5
    assert out[..., 0].abs().max() < 1e-5


@pytest.mark.parametrize("way", WAYS)
def test_far_outside_is_nothing(way: Way) -> None:
    features, offsets, weight = inputs((4, 4))
    assert not way(features, torch.full_like(offsets, 50.0), weight).any()
    assert not way(features, torch.full_like(offsets, -50.0), weight).any()


@pytest.mark.parametrize("way", WAYS)
def test_nobody_in_the_picture(way: Way) -> None:
    features, offsets, weight = inputs((9, 7), stride=2, count=0)
    assert way(features, offsets, weight, stride=2).shape == (0, 4, 5, 4)


@pytest.mark.parametrize("stride", [1, 2])
def test_gradients_of_both_ways_are_equal(stride: int) -> None:
    needs_operator()
    case = [t.requires_grad_() for t in inputs((8, 5), stride=stride, scale=1.5)]
    expected = deformable_convolution(*case, stride=stride)
    towards = torch.randn_like(expected)
    gradients = [torch.autograd.grad(way(*case, stride=stride), case, towards) for way in WAYS]
    for first, second in zip(*gradients, strict=True):
        assert first.abs().max() > 0
        torch.testing.assert_close(first, second, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("way", WAYS)
def test_gradient_is_the_slope(way: Way) -> None:
    case = [t.double().requires_grad_() for t in inputs((3, 4), count=1, scale=0.4)]
    assert torch.autograd.gradcheck(way, case, eps=1e-7, atol=1e-4)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [(torch.float16, 0.05), (torch.bfloat16, 0.4), (torch.float64, 1e-5)],
)
def test_other_precisions(
    dtype: torch.dtype, tolerance: float, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not compiled:
        monkeypatch.setattr(deform, "has_operator", lambda: False)
    case = inputs((6, 5))
    out = deformable_convolution(*(t.to(dtype) for t in case))
    assert out.dtype == dtype
    torch.testing.assert_close(out.float(), sampled_convolution(*case), atol=tolerance, rtol=0)


@pytest.mark.parametrize("compiled", [True, False])
def test_autocast_takes_halves(compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not compiled:
        monkeypatch.setattr(deform, "has_operator", lambda: False)
    block = Bottleneck(8, 4, stride=2, deformable=True).eval()
    features = torch.randn(2, 8, 9, 7)
    with torch.inference_mode():
        expected = block(features)
        with torch.autocast("cpu", torch.bfloat16):
            out = block(features)
    torch.testing.assert_close(out.float(), expected, atol=0.1, rtol=0.05)


class Refuses:
    """Stands for torchvision's operators without kernels for this device."""

    @staticmethod
    def deform_conv2d(*_: object, **__: object) -> Tensor:
        raise NotImplementedError("no kernel")


def test_an_operator_without_kernel_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deform, "has_operator", lambda: True)
    monkeypatch.setitem(sys.modules, "torchvision.ops", Refuses)
    case = inputs((5, 4), stride=2)
    out = deformable_convolution(*case, stride=2)
    assert torch.equal(out, sampled_convolution(*case, stride=2))


def test_without_torchvision_the_plain_way_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchvision.ops", None)  # importing it fails
    assert not has_operator.__wrapped__()
    monkeypatch.setattr(deform, "has_operator", has_operator.__wrapped__)
    case = inputs((5, 4))
    assert torch.equal(deformable_convolution(*case), sampled_convolution(*case))


def test_a_new_trunk_begins_as_an_ordinary_one() -> None:
    network = fastpose_resnet(num_joints=2, conv_dim=4, dcn=True).eval()
    plain = fastpose_resnet(num_joints=2, conv_dim=4).eval()
    state = {k: v for k, v in network.state_dict().items() if "conv2_offset" not in k}
    assert len(network.state_dict()) - len(state) == 26
    plain.load_state_dict(state, strict=True)
    crops = torch.randn(2, 3, 64, 32)
    with torch.inference_mode():
        torch.testing.assert_close(network(crops), plain(crops), atol=1e-5, rtol=1e-3)
        assert network(crops[:0]).shape == (0, 2, 16, 8)


def test_training_reaches_the_offsets() -> None:
    block = Bottleneck(8, 4, stride=2, deformable=True)
    assert isinstance(block.conv2, DeformableConv2d)
    assert block.conv2_offset is not None
    block(torch.randn(2, 8, 9, 7)).square().sum().backward()
    for name, parameter in block.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


@pytest.mark.filterwarnings("ignore:.*torch.jit.trace")
@pytest.mark.filterwarnings("ignore:Converting a tensor to a Python boolean")
def test_a_traced_graph_takes_any_number_of_crops() -> None:
    block = Bottleneck(3, 4, stride=2, deformable=True).eval()
    traced = torch.jit.trace(block, torch.randn(1, 3, 9, 7))
    features = torch.randn(3, 3, 9, 7)
    for count in (3, 0):
        torch.testing.assert_close(traced(features[:count]), block(features[:count]))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Constant folding")
@pytest.mark.parametrize("input_hw", [(64, 48), (36, 20)])
def test_exported_graph_equals_torch(
    input_hw: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx = pytest.importorskip("onnx", reason="ONNX EXPORT NOT CHECKED: no onnx")
    runtime = pytest.importorskip("onnxruntime", reason="ONNX EXPORT NOT CHECKED: no onnxruntime")
    from alphapose_ros.models.export import DecodedPose, onnx_bytes

    class Maps(nn.Module):
        def forward(self, maps: Tensor) -> tuple[Tensor, Tensor]:
            return maps, maps.amax((2, 3))

    block = Bottleneck(3, 4, stride=2, deformable=True)
    assert block.conv2_offset is not None
    nn.init.normal_(block.conv2_offset.weight, std=0.7)  # type: ignore[arg-type]
    nn.init.normal_(block.conv2_offset.bias, std=0.7)  # type: ignore[arg-type]
    head = FastPoseHead(16, 17, mid_dim=8, conv_dim=8)
    nn.init.normal_(head.get_submodule("conv_out").weight)  # type: ignore[arg-type]
    module = DecodedPose(FastPose(block, head), Maps()).eval()
    path = tmp_path / "pose.onnx"
    with monkeypatch.context() as patched:
        patched.setattr(deform, "has_operator", lambda: pytest.fail("asked for in a trace"))
        path.write_bytes(onnx_bytes(module, torch.zeros((2, 3, *input_hw))))
    used = {node.op_type for node in onnx.load(str(path)).graph.node}
    assert "GridSample" in used
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    crops = torch.randint(0, 256, (3, 3, *input_hw)).float()
    for count in (3, 1, 0):
        with torch.inference_mode():
            expected, _ = module(crops[:count])
        maps, _ = session.run(None, {"crops": crops[:count].numpy()})
        assert maps.shape == expected.shape
        np.testing.assert_allclose(maps, expected.numpy(), atol=1e-3, rtol=1e-3)
    assert expected.shape[1:] == (17, *(4 * size for size in input_hw))
