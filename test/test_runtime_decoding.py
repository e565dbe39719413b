# SPDX-License-Identifier: Apache-2.0
"""Decoding is part of the graphs: every runtime takes all of it, and int8 none of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from alphapose_ros.detection.config import DetectorConfig
from alphapose_ros.detection.factory import DETECTOR_GRAPH, detector_network
from alphapose_ros.models.export import POSE_NAMES, DecodedPose, onnx_bytes, pose_names
from alphapose_ros.pose.combined import CombinedDecoder
from alphapose_ros.pose.heatmap import HeatmapDecoder
from alphapose_ros.pose.sikr import SikrDecoder
from alphapose_ros.runtime.config import RuntimeOptions
from alphapose_ros.runtime.factory import accelerate
from alphapose_ros.runtime.quantise import quantise

pytestmark = pytest.mark.usefixtures("one_thread")

DECODERS: dict[str, tuple[int, Callable[[], nn.Module]]] = {
    "heatmap": (17, HeatmapDecoder),
    "sikr": (136, partial(SikrDecoder, "sigmoid", 0.3, 6.0)),
    "spread": (136, partial(SikrDecoder, "sigmoid", 0.3, 6.0, spread=True)),
    "softmax": (17, partial(SikrDecoder, "softmax")),
    "combined 68": (68, partial(CombinedDecoder, 68)),
    "combined 133": (133, partial(CombinedDecoder, 133)),
    "combined 136": (136, partial(CombinedDecoder, 136)),
}


def crops(count: int, seed: int = 1) -> torch.Tensor:
    return torch.rand(count, 3, 64, 48, generator=torch.Generator().manual_seed(seed)) * 255


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("decoder", DECODERS)
def test_decoders_run_everywhere(runtime: str, decoder: str) -> None:
    pytest.importorskip(runtime, reason=f"RUNTIME NOT CHECKED: no {runtime}")
    pytest.importorskip("onnx", reason="RUNTIME NOT CHECKED: no onnx")
    joints, build = DECODERS[decoder]
    module = DecodedPose(nn.Conv2d(3, joints, 4, 4), build()).eval()
    names = pose_names(spread=decoder == "spread")
    run = accelerate(module, crops(2), RuntimeOptions(runtime), names, max_batch=4)
    for count in (1, 3):
        with torch.inference_mode():
            expected = module(crops(count))
        for a, b in zip(run(crops(count)), expected, strict=True):
            torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize(
    "build",
    [HeatmapDecoder, SikrDecoder, partial(CombinedDecoder, 68)],
    ids=["heatmap", "sikr", "combined"],
)
def test_int8_leaves_the_decoding_of_poses_alone(
    onnx: Any, build: Callable[[], nn.Module]
) -> None:
    layers = nn.Sequential(nn.Conv2d(3, 8, 4, 4), nn.ReLU(), nn.Conv2d(8, 68, 3, padding=1))
    graph = onnx_bytes(DecodedPose(layers, build()).eval(), crops(2), POSE_NAMES)
    assert_decoded_in_floats(onnx, quantise(graph, crops(6).split(2)), convolutions=2)


def test_int8_leaves_the_decoding_of_boxes_alone(onnx: Any) -> None:
    """With the bundled weights: layers of random ones answer nothing that has a range."""
    graph = onnx_bytes(
        detector_network(DetectorConfig()), torch.zeros(1, 3, 64, 64), DETECTOR_GRAPH
    )
    given = torch.rand(4, 3, 64, 64) * 255
    assert_decoded_in_floats(onnx, quantise(graph, given.split(1)), convolutions=9)


def assert_decoded_in_floats(onnx: Any, graph: bytes, *, convolutions: int) -> None:
    """Behind the last convolutions, at least so many of all, 8 bits hold maps alone."""
    content = onnx.load_from_string(graph).graph
    maker = {name: node for node in content.node for name in node.output}
    assert sum(node.op_type == "Conv" for node in content.node) >= convolutions
    assert any(node.op_type == "DequantizeLinear" for node in content.node)
    waiting, seen = [output.name for output in content.output], set()
    while waiting:  # from the outputs back to the convolutions
        node = maker.get(waiting.pop())
        if node is None or node.op_type == "Conv" or node.name in seen:
            continue
        seen.add(node.name)
        if node.op_type == "DequantizeLinear":
            source = maker[maker[node.input[0]].input[0]]
            assert source.op_type == "Conv", f"{source.name} is quantised"
        waiting.extend(node.input)
    assert len(seen) > 3
