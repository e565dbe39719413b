# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from alphapose_ros.models.export import DecodedPose, onnx_bytes
from alphapose_ros.models.fastpose import FastPose, FastPoseHead
from alphapose_ros.models.light import LightPose
from alphapose_ros.models.resnet import Bottleneck
from alphapose_ros.pose.heatmap import HeatmapDecoder
from alphapose_ros.pose.sikr import SikrDecoder

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    # of torch's tracing exporter, about itself
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Constant folding"),
]
HALF = (0.5, 0.5, 0.5)


pytest.importorskip("onnx", reason="ONNX EXPORT NOT CHECKED: no onnx")


def onnx_run(path: Path, crops: torch.Tensor) -> list[np.ndarray]:
    runtime = pytest.importorskip("onnxruntime", reason="ONNX EXPORT NOT CHECKED: no onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return session.run(["keypoints", "scores"], {"crops": crops.numpy()})


def spread(network: nn.Module, crops: torch.Tensor, mean: Sequence[float]) -> nn.Module:
    """Random networks answer almost nothing: give them peaks as high as a trained one's."""
    last = [m for m in network.modules() if isinstance(m, nn.Conv2d)][-1]
    with torch.inference_mode():
        maps = DecodedPose(network, nn.Identity(), mean=mean, std=HALF).eval().maps(crops)
    with torch.no_grad():
        last.weight *= 3 / maps.std()
    return network


@pytest.mark.parametrize(
    ("decode", "dtype"),
    [
        (HeatmapDecoder(), torch.float32),
        (SikrDecoder(), torch.float32),
        (SikrDecoder(tail_cut=0.1, window=4.0), torch.uint8),
    ],
    ids=["heatmap", "sikr", "sikr_cut"],
)
def test_exported_graph_equals_torch(
    decode: nn.Module, dtype: torch.dtype, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    crops = torch.randint(0, 256, (3, 3, 128, 96)).to(dtype)
    network = spread(LightPose(26), crops, HALF)
    module = DecodedPose(network, decode, mean=HALF, std=HALF).eval()
    (tmp_path / "pose.onnx").write_bytes(
        onnx_bytes(module, torch.zeros((2, 3, 128, 96), dtype=dtype))
    )
    for count in (3, 1, 0):
        with torch.inference_mode():
            expected = module(crops[:count])
        points, scores = onnx_run(tmp_path / "pose.onnx", crops[:count])
        assert points.shape == (count, 26, 2)
        assert scores.shape == (count, 26)
        np.testing.assert_allclose(points, expected[0].numpy(), atol=1e-3)
        np.testing.assert_allclose(scores, expected[1].numpy(), atol=1e-4)


def test_pixel_shuffles_and_gates_export(tmp_path: Path) -> None:
    torch.manual_seed(0)
    crops = torch.randint(0, 256, (2, 3, 64, 48)).float()
    trunk = Bottleneck(3, 4, stride=2, se=True, unshuffle=True)
    network = FastPose(trunk, FastPoseHead(16, 17, mid_dim=8, conv_dim=8))
    module = DecodedPose(spread(network, crops, HALF), SikrDecoder(), mean=HALF, std=HALF)
    (tmp_path / "pose.onnx").write_bytes(onnx_bytes(module, torch.zeros((2, 3, 64, 48))))
    with torch.inference_mode():
        expected = module.eval()(crops)
    points, scores = onnx_run(tmp_path / "pose.onnx", crops)
    assert points.shape == (2, 17, 2)
    np.testing.assert_allclose(points, expected[0].numpy(), atol=1e-3)
    np.testing.assert_allclose(scores, expected[1].numpy(), atol=1e-4)


class Recorder(nn.Module):
    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return images, images


def test_normalisation_is_part_of_the_graph() -> None:
    module = DecodedPose(
        nn.Identity(), Recorder(), mean=(0.406, 0.457, 0.480), std=(1.0, 0.5, 1.0)
    )
    crops = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 3, 1, 1)
    seen, _ = module(crops)
    torch.testing.assert_close(seen.flatten(), torch.tensor([-0.406, (0.2 - 0.457) / 0.5, 0.52]))
    torch.testing.assert_close(module(crops.float())[0], seen)
    torch.testing.assert_close(module.maps(crops), seen)
    assert crops.flatten().tolist() == [0, 51, 255]


def test_state_dict_holds_the_network_alone() -> None:
    network = nn.Conv2d(3, 4, 1)
    keys = DecodedPose(network, SikrDecoder(), mean=HALF).state_dict()
    assert set(keys) == {"network.weight", "network.bias"}


def test_export_leaves_the_training_mode() -> None:
    pytest.importorskip("onnx", reason="ONNX EXPORT NOT CHECKED: no onnx")
    module = DecodedPose(nn.Conv2d(3, 4, 1), HeatmapDecoder()).train()
    assert onnx_bytes(module, torch.zeros((2, 3, 8, 6)))
    assert module.training
