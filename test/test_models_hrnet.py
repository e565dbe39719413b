# SPDX-License-Identifier: Apache-2.0
"""HRNet and SimplePose: the original networks' keys and outputs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from alphapose_reference import (
    assert_output_is_the_original_one,
    key_list,
    needs_shared,
    stated_state,
)
from torch import nn

from alphapose_ros.models.hrnet import ExchangeUnit, HRNet
from alphapose_ros.models.simplepose import SimplePose

pytestmark = pytest.mark.usefixtures("one_thread")

BUILDERS: dict[str, Callable[[], nn.Module]] = {
    "hrnet_w32_coco17": partial(HRNet, num_joints=17),
    "simplepose_res50_coco17": partial(SimplePose, num_joints=17),
}


@needs_shared
@pytest.mark.parametrize("name", BUILDERS)
def test_state_dict_and_outputs_are_those_of_the_original(name: str) -> None:
    with torch.device("meta"):
        network = BUILDERS[name]()
    assert {k: tuple(v.shape) for k, v in network.state_dict().items()} == key_list(name)
    network.load_state_dict(stated_state(name), strict=True, assign=True)
    assert_output_is_the_original_one(network, name)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("hrnet_w32_coco17", 28_536_113), ("simplepose_res50_coco17", 33_999_697)],
)
def test_parameter_count(name: str, parameters: int) -> None:
    with torch.device("meta"):
        network = BUILDERS[name]()
    assert sum(p.numel() for p in network.parameters()) == parameters


@pytest.mark.parametrize("build", [partial(HRNet, width=4), SimplePose])
def test_any_number_of_crops_and_joints(build: Callable[..., nn.Module]) -> None:
    network = build(num_joints=5).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 3, 64, 96)).shape == (1, 5, 16, 24)
        assert network(torch.zeros(0, 3, 64, 32)).shape == (0, 5, 16, 8)


def test_every_branch_hears_every_other() -> None:
    torch.manual_seed(0)
    unit = ExchangeUnit((2, 4, 8), outputs=3).eval()
    sizes = (8, 4, 2)
    maps = [torch.randn(1, 2 * 2**i, size, size) for i, size in enumerate(sizes)]
    with torch.inference_mode():
        plain = unit(maps)
        for source in range(3):
            changed = [m + 1.0 if i == source else m for i, m in enumerate(maps)]
            for before, after in zip(plain, unit(changed), strict=True):
                assert (before != after).any()
    assert [tuple(m.shape) for m in plain] == [(1, 2 * 2**i, s, s) for i, s in enumerate(sizes)]


def test_fusing_does_not_edit_the_maps() -> None:
    torch.manual_seed(0)
    unit = ExchangeUnit((2, 4), outputs=1).eval()
    maps = [torch.randn(1, 2, 4, 4), torch.randn(1, 4, 2, 2)]
    before = [m.clone() for m in maps]
    with torch.inference_mode():
        (fused,) = unit(maps)
        (again,) = unit(maps)
    assert torch.equal(fused, again)
    assert all(torch.equal(a, b) for a, b in zip(maps, before, strict=True))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Constant folding")
@pytest.mark.parametrize("build", [partial(HRNet, width=4), SimplePose])
def test_graphs_export(build: Callable[..., nn.Module], tmp_path: Path) -> None:
    pytest.importorskip("onnx", reason="ONNX EXPORT NOT CHECKED: no onnx")
    runtime = pytest.importorskip("onnxruntime", reason="ONNX EXPORT NOT CHECKED: no onnxruntime")
    from alphapose_ros.models.export import DecodedPose, onnx_bytes
    from alphapose_ros.pose.sikr import SikrDecoder

    torch.manual_seed(0)
    module = DecodedPose(build(num_joints=3), SikrDecoder()).eval()
    (tmp_path / "pose.onnx").write_bytes(onnx_bytes(module, torch.zeros((2, 3, 64, 32))))
    session = runtime.InferenceSession(
        str(tmp_path / "pose.onnx"), providers=["CPUExecutionProvider"]
    )
    crops = torch.rand(3, 3, 64, 32) * 255
    for count in (3, 0):
        with torch.inference_mode():
            expected = module(crops[:count])
        points, scores = session.run(None, {"crops": crops[:count].numpy()})
        np.testing.assert_allclose(points, expected[0].numpy(), atol=1e-3)
        np.testing.assert_allclose(scores, expected[1].numpy(), atol=1e-4)
