# SPDX-License-Identifier: Apache-2.0
"""Every runtime's refusal halves the batch, and no part is ever larger than allowed."""

from __future__ import annotations

import pytest
import torch
from test_runtime_batching import Device

from alphapose_ros.base.errors import InputError
from alphapose_ros.runtime.batching import FIRST_WAIT_S, is_out_of_memory


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes"),
        InputError("network: Failed to allocate memory for requested buffer of size 9"),
        MemoryError("Unable to allocate 9 bytes"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whoever_is_out_of_memory_goes_on_with_half(error: Exception) -> None:
    assert is_out_of_memory(error)
    device = Device(room=4, error=error)
    assert device.run(9) == [9, 3, 3, 3]


def test_parts_grow_to_what_is_allowed_and_no_further() -> None:
    """Also where that is no power of two times what held."""
    device = Device(room=2, most=5)
    assert device.run(5) == [5, 2, 2, 1]
    device.room = 100
    device.now_s += FIRST_WAIT_S
    assert device.run(20) == [4, 5, 4, 4, 3]
    assert device.limit.at_once == 5
