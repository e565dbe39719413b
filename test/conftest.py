# SPDX-License-Identifier: Apache-2.0
"""Every test starts from the same random state, however busy the machine is."""

from __future__ import annotations

import random
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from file_server import FileServer
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"

# No deadline: a test fails on what is wrong, not on how busy the machine is.
settings.register_profile(
    "default", deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("default")

# A shell without job control starts what runs in the background deaf to SIGINT, and so would be
# every process that the tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def seeded() -> None:
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 (libraries draw from the global state)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Networks run on one thread: on a busy machine threads mostly wait for each other."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def onnx() -> Any:
    """The package onnx, where ONNX Runtime is beside it."""
    pytest.importorskip("onnxruntime", reason="ONNX NOT CHECKED: onnxruntime is absent")
    return pytest.importorskip("onnx", reason="ONNX NOT CHECKED: onnx is absent")


@pytest.fixture
def open_model_zoo(tmp_path: Path) -> Path:
    """An .xml with its .bin, of one crop (3, 64, 32) as Open Model Zoo's: each channel's mean."""
    openvino = pytest.importorskip("openvino", reason="OPENVINO NOT CHECKED: it is absent")
    ops = openvino.opset13
    given = ops.parameter([1, 3, 64, 32], name="data")
    mean = ops.reduce_mean(given, ops.constant([2, 3]), keep_dims=True)
    path = tmp_path / "person-reidentification.xml"
    openvino.save_model(openvino.Model([mean], [given]), str(path), False)
    return path


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def root() -> Path:
    """The source tree."""
    return ROOT


@pytest.fixture(scope="session")
def shared() -> Path:
    """Reference data beside the source tree; the test is skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f"REFERENCE DATA IS ABSENT: {SHARED}")
    return SHARED


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    """What they share can be imported."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


@pytest.fixture
def skimage() -> None:
    pytest.importorskip("skimage.data", reason="NO PEOPLE TO PASTE: scikit-image is absent")


@pytest.fixture
def server() -> Iterator[FileServer]:
    """Serves files as a model's host does, and as one that misbehaves."""
    with FileServer() as server:
        yield server


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where fetched models lie during the test; not pytest's own cache."""
    monkeypatch.setenv("ALPHAPOSE_ROS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "cache"


@pytest.fixture
def content(rng: np.random.Generator) -> bytes:
    """Of a file that is served: several blocks."""
    return rng.bytes(300_000)
