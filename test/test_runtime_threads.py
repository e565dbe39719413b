# SPDX-License-Identifier: Apache-2.0
"""A robot keeps a core for itself unless somebody says otherwise."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest
import torch

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.config import PipelineConfig
from alphapose_ros.detection.config import DetectorConfig
from alphapose_ros.pipeline import PosePipeline
from alphapose_ros.runtime import threads
from alphapose_ros.runtime.config import RuntimeOptions
from alphapose_ros.runtime.onnx_model import _waiting


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
    assert threads.threads_for(0) == taken
    assert threads.threads_for(5) == 5


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Eight cores, and the system's files in a folder."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(threads, "_GROUPS", tmp_path)
    monkeypatch.setattr(threads, "_OWN_GROUPS", tmp_path / "own")
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")


@pytest.mark.parametrize(
    ("own", "files", "taken"),
    [
        ("0::/", {"cpu.max": "300000 100000"}, 2),  # docker run --cpus 3
        ("0::/", {"cpu.max": "50000 100000"}, 1),
        ("0::/", {"cpu.max": "max 100000"}, 4),
        ("0::/", {}, 4),
        ("0::/a/b", {"cpu.max": "max 100000", "a/cpu.max": "200000 100000",
                     "a/b/cpu.max": "400000 100000"}, 1),  # the narrowest around counts
        ("0::/a/b", {"a/b/cpu.max": "390000 130000"}, 2),
        ("0::/a", {"c/cpu.max": "100000 100000"}, 4),  # another's
        ("4:cpu,cpuacct:/x", {"cpu/cpu.cfs_quota_us": "200000",
                              "cpu/cpu.cfs_period_us": "100000"}, 1),  # version 1, in a container
        ("4:cpu,cpuacct:/x", {"cpu/x/cpu.cfs_quota_us": "-1",
                              "cpu/x/cpu.cfs_period_us": "100000"}, 4),
        ("4:cpuset:/x", {"cpu/x/cpu.cfs_quota_us": "100000",
                         "cpu/x/cpu.cfs_period_us": "100000"}, 4),
        ("0::/", {"cpu.max": "100000 0"}, 4),
        ("0::/", {"cpu.max": "nonsense"}, 4),
        ("nonsense", {"cpu.max": "100000 100000"}, 4),
    ],
)  # fmt: skip
def test_a_containers_share_of_time_counts_as_cores(
    groups: Path, own: str, files: dict[str, str], taken: int
) -> None:
    write(groups / "own", own)
    for name, text in files.items():
        write(groups / name, text)
    assert threads.threads_for(0) == taken


def test_a_system_without_control_groups_has_all_its_cores(groups: Path) -> None:
    assert threads.threads_for(0) == threads.MOST


def test_the_variable_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
    monkeypatch.setattr(threads, "_AT_FIRST", 7)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert threads.threads_for(0) == 7
    assert threads.threads_for(2) == 2


@pytest.mark.parametrize(
    ("runtime", "detector", "shared"),
    [
        ("torch", "yolox", 3),
        ("onnxruntime", "yolox", 1),
        ("onnxruntime", "ssdlite320", 3),
    ],
)
def test_pytorch_keeps_one_thread_where_another_runtime_runs_the_networks(
    runtime: str, detector: str, shared: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if runtime == "onnxruntime":
        pytest.importorskip("onnxruntime", reason="NOT CHECKED: onnxruntime is absent")
        pytest.importorskip("onnx", reason="NOT CHECKED: onnx is absent")
    given: list[int] = []

    def stop(config: object, device: object, options: RuntimeOptions) -> object:
        given.append(options.threads)
        raise ConfigError("threads are set by now")

    monkeypatch.setattr("alphapose_ros.pipeline.create_estimator", stop)
    config = PipelineConfig(
        device="cpu", runtime=runtime, threads=3, detector=DetectorConfig(name=detector)
    )
    with pytest.raises(ConfigError, match="by now"):
        PosePipeline(config)
    assert given == [3]
    assert (torch.get_num_threads(), cv2.getNumThreads()) == (shared, shared)


@pytest.mark.parametrize("version", ["1.26.0", "1.32.1", "1.27.0.dev20261101", "2.0.0"])
def test_threads_without_work_wait_awake_for_a_moment_and_never_beyond_a_run(version: str) -> None:
    waiting = _waiting(version)
    assert waiting["session.intra_op.allow_spinning"] == "1"
    assert 0 < int(waiting["session.intra_op.spin_duration_us"]) < 1000
    assert waiting["session.force_spinning_stop"] == "1"


@pytest.mark.parametrize("version", ["1.15.1", "1.25.1", "1.9.0", "0.9"])
def test_where_the_moment_cannot_be_bounded_threads_sleep(version: str) -> None:
    assert _waiting(version) == {"session.intra_op.allow_spinning": "0"}
