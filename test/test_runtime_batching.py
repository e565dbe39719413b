# SPDX-License-Identifier: Apache-2.0
"""Where the memory ends a batch is halved; what held is remembered, and more is tried later."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
import torch

from alphapose_ros.base.errors import InputError
from alphapose_ros.runtime.batching import (
    FIRST_WAIT_S,
    LONGEST_WAIT_S,
    BatchLimit,
    is_out_of_memory,
)
from alphapose_ros.runtime.onnx_model import OnnxModel

FULL = torch.cuda.OutOfMemoryError("CUDA out of memory")


class Device:
    """Holds ``room`` rows at once; its clock is set by hand."""

    def __init__(self, room: int, most: int = 64, error: Exception = FULL) -> None:
        self.room, self.error, self.now_s = room, error, 1000.0
        self.limit = BatchLimit(most, "pose", clock=lambda: self.now_s)

    def run(self, count: int) -> list[int]:
        """Sizes of all calls for a batch of ``count``; no row is lost, and none comes twice."""
        calls: list[int] = []

        def forward(part: slice) -> list[int]:
            rows = list(range(part.start, part.stop))
            calls.append(len(rows))
            if len(rows) > self.room:
                raise self.error
            return rows

        found = self.limit.run(count, forward)
        assert [row for part in found for row in part] == list(range(count))
        return calls


def test_where_there_is_room_the_parts_are_as_large_as_allowed() -> None:
    device = Device(room=100, most=4)
    assert device.run(0) == []
    assert device.run(3) == [3]
    assert device.run(9) == [3, 3, 3]


def test_out_of_memory_halves_and_what_held_is_remembered() -> None:
    device = Device(room=3)
    assert device.run(10) == [10, 5, 2, 2, 2, 2, 2]
    assert device.limit.at_once == 2
    for _ in range(100):  # images of the next seconds: nobody hits the end of the memory again
        device.now_s += FIRST_WAIT_S / 200
        assert device.run(5) == [2, 2, 1]


def test_once_there_is_room_again_the_parts_grow_back() -> None:
    device = Device(room=2, most=16)
    device.run(16)
    device.room = 100
    device.now_s += FIRST_WAIT_S
    assert device.run(2) == [2]  # nothing to gain by a larger part
    assert device.run(16) == [4, 8, 4]
    assert device.run(40) == [16, 12, 12]
    assert device.limit.at_once == device.limit.most == 16


def test_a_try_that_fails_costs_one_call_and_the_next_comes_later() -> None:
    device = Device(room=2, most=16)
    device.run(16)
    wait_s = FIRST_WAIT_S
    for _ in range(10):
        device.now_s += wait_s - 0.1
        assert device.run(4) == [2, 2]
        device.now_s += 0.1
        assert device.run(3) == [3, 2, 1]  # the size that is known to hold stays known
        assert device.run(4) == [2, 2]
        wait_s = min(2 * wait_s, LONGEST_WAIT_S)
    assert wait_s == LONGEST_WAIT_S
    device.room = 4  # a try that holds begins anew
    device.now_s += wait_s
    assert device.run(8) == [4, 4]
    assert device.run(8) == [8, 4, 4]
    device.now_s += 2 * FIRST_WAIT_S
    assert device.run(8) == [8, 4, 4]


def test_the_log_says_it_once_each_way(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    device = Device(room=4, most=8)
    for _ in range(5):
        device.run(8)
    device.room = 8
    device.now_s += FIRST_WAIT_S
    for _ in range(5):
        device.run(8)
    assert [record.getMessage() for record in caplog.records] == [
        "pose: out of memory at 8 at once; 4 from now on",
        "pose: room for 8 at once again",
    ]


def test_no_room_for_one_is_said_and_found_again() -> None:
    device = Device(room=0, most=4)
    with pytest.raises(torch.cuda.OutOfMemoryError):
        device.run(4)
    device.room = 1
    assert device.run(2) == [1, 1]


def test_other_errors_halve_nothing() -> None:
    device = Device(room=0, error=RuntimeError("shapes differ"))
    with pytest.raises(RuntimeError, match="shapes differ"):
        device.run(8)
    assert device.limit.at_once == 64


def test_memory_is_given_back_when_nothing_holds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """While an error is handled its traceback holds the tensors of the part that failed."""
    alive: list[int] = []
    seen: list[list[int]] = []

    class Tensors:
        def __init__(self) -> None:
            alive.append(id(self))

        def __del__(self) -> None:
            alive.remove(id(self))

    def forward(part: slice) -> None:
        tensors = Tensors()
        if part.stop - part.start > 2:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        del tensors

    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: seen.append(list(alive)))
    BatchLimit(8, "pose").run(8, forward)
    assert seen == [[], []]


def test_what_the_runtimes_say_is_understood(onnx: Any) -> None:
    """Real refusals, of sizes that no machine has."""
    with pytest.raises(RuntimeError) as of_torch:
        torch.empty(1 << 50)
    with pytest.raises(MemoryError) as of_numpy:
        np.empty(1 << 50)
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Expand", ["x", "size"], ["y"])],
        "large",
        [helper.make_tensor_value_info("x", kind, ["N", 1])],
        [helper.make_tensor_value_info("y", kind, ["N", "M"])],
        [helper.make_tensor("size", onnx.TensorProto.INT64, [2], [1, 1 << 50])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    with pytest.raises(InputError) as of_onnx:
        OnnxModel(model.SerializeToString())(torch.ones(4, 1))
    for caught in (of_torch, of_numpy, of_onnx):
        assert is_out_of_memory(caught.value), caught.value
    for text in (
        "CUDA error: out of memory",
        "CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)",
        "std::bad_alloc",
    ):
        assert is_out_of_memory(RuntimeError(text))
    assert not is_out_of_memory(RuntimeError("CUDA error: device-side assert triggered"))
