# SPDX-License-Identifier: Apache-2.0
"""A robot keeps a core for itself unless somebody says otherwise."""

from __future__ import annotations

import os
from collections.abc import Iterator

import cv2
import pytest
import torch

from alphapose_ros.runtime import threads


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before, opencv = torch.get_num_threads(), cv2.getNumThreads()
    yield
    torch.set_num_threads(before)
    cv2.setNumThreads(opencv)


@pytest.mark.parametrize(("cores", "taken"), [(1, 1), (2, 1), (3, 2), (4, 3), (6, 4), (64, 4)])
def test_a_core_is_left_free(cores: int, taken: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)), raising=False)
    monkeypatch.setattr(threads, "_AT_FIRST", torch.get_num_threads())
    assert threads.use_threads(0) == taken
    assert torch.get_num_threads() == taken
    assert cv2.getNumThreads() == taken


def test_a_number_counts() -> None:
    assert threads.use_threads(2) == 2
    assert torch.get_num_threads() == 2
    assert threads.use_threads(0) == 2  # the program has said it


def test_the_variable_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
    torch.set_num_threads(3)
    monkeypatch.setattr(threads, "_AT_FIRST", 3)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads.use_threads(0) == 3
