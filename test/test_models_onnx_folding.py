# SPDX-License-Identifier: Apache-2.0
"""Folding a padding into its convolution changes no output, and what is something else stays."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from alphapose_ros.models.export import GraphNames, onnx_bytes
from alphapose_ros.models.onnx_folding import fold_padding

onnx = pytest.importorskip("onnx")
reference = pytest.importorskip("onnx.reference")
pytestmark = pytest.mark.usefixtures("one_thread")

NAMES = GraphNames(("x",), ("y",), {"x": {0: "N"}, "y": {0: "N"}})


class Padded(nn.Module):
    """``pad``, then a convolution with a padding of its own."""

    def __init__(self, pad: Callable[[Tensor], Tensor], padding: int, *, again: bool = False):
        super().__init__()
        self.pad, self.again = pad, again
        self.conv = nn.Conv2d(3, 4, 3, stride=2, padding=padding)

    def forward(self, x: Tensor) -> Tensor:
        padded = self.pad(x)
        out = self.conv(padded)
        return out + padded.mean() if self.again else out


def unfolded(module: nn.Module, example: Tensor, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """The exporter's own graph."""
    with monkeypatch.context() as patch:
        patch.setattr("alphapose_ros.models.export.fold_padding", lambda graph: graph)
        return onnx_bytes(module, example, NAMES)


def pads_left(graph: bytes) -> int:
    nodes = onnx.load_from_string(graph).graph.node
    return sum(node.op_type == "Pad" for node in nodes)


def run(graph: bytes, x: Tensor) -> np.ndarray:
    evaluator = reference.ReferenceEvaluator(onnx.load_from_string(graph))
    return evaluator.run(None, {"x": x.numpy()})[0]


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("sides", [(0, 1, 0, 1), (1, 0, 2, 3), (0, 0, 0, 0)])
def test_a_zero_padding_becomes_the_convolutions(
    sides: tuple[int, ...], padding: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = Padded(lambda x: functional.pad(x, sides), padding).eval()
    x = torch.rand(2, 3, 10, 14)
    before = unfolded(module, x, monkeypatch)
    after = fold_padding(before)
    assert pads_left(before) == 1
    assert pads_left(after) == 0
    np.testing.assert_allclose(run(after, x), run(before, x), atol=1e-6)
    np.testing.assert_allclose(run(after, x), module(x).detach(), atol=1e-5)


@pytest.mark.parametrize(
    ("pad", "again"),
    [
        (lambda x: functional.pad(x, (0, 1, 0, 1), value=2.0), False),
        (lambda x: functional.pad(x, (1, 1, 1, 1), mode="reflect"), False),
        (lambda x: functional.pad(x, (-1, 0, 0, 1)), False),
        (lambda x: functional.pad(x, (0, 1, 0, 1)), True),
    ],
)
def test_what_a_convolution_cannot_do_stays(
    pad: Callable[[Tensor], Tensor], again: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, x = Padded(pad, 0, again=again).eval(), torch.rand(1, 3, 9, 9)
    before = unfolded(module, x, monkeypatch)
    assert pads_left(before) == 1
    assert onnx.load_from_string(fold_padding(before)) == onnx.load_from_string(before)
