# SPDX-License-Identifier: Apache-2.0
"""``doctor`` where packages are there and broken: each is a line, whatever it raises."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import alphapose_ros.cli as cli
from alphapose_ros.cli import doctor
from alphapose_ros.cli.packages import PACKAGES

# What torchvision says beside another torch, a build for another NumPy, an old protobuf, and
# what a library that is missing makes of an import.
BROKEN = [
    RuntimeError("operator torchvision::nms does not exist"),
    ValueError("numpy.dtype size changed, may indicate binary incompatibility"),
    TypeError("Descriptors cannot be created directly"),
    OSError("libcudart.so.12: cannot open shared object file"),
]


@pytest.fixture
def others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose packages come before all others; nothing of this one is looked at."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(doctor, "PACKAGES", [])
    monkeypatch.setattr(doctor, "installed_ros", list)
    monkeypatch.setattr(doctor, "_weights", list)
    monkeypatch.setattr(doctor, "_detectors", list)
    return tmp_path


def installed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, module: str, error: Exception
) -> None:
    monkeypatch.delitem(sys.modules, module, raising=False)
    (folder / f"{module}.py").write_text(f"raise {error!r}\n")


@pytest.mark.parametrize("error", BROKEN, ids=lambda error: type(error).__name__)
def test_a_broken_package_is_a_line(
    others: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    error: Exception,
) -> None:  # fmt: skip
    for module in ("torch", "torchvision"):
        installed(others, monkeypatch, module, error)
    chosen = [p for p in PACKAGES if p.module in ("torch", "torchvision")]
    monkeypatch.setattr(doctor, "PACKAGES", chosen)
    assert cli.main(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    (line,) = [line for line in lines if "torchvision  " in line]
    assert f"installed but broken ({error})" in line
    (line,) = [line for line in lines if "GPU" in line]
    assert f"unknown, torch is broken ({error})" in line


def test_a_gpu_that_cannot_be_asked_is_a_line(
    others: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> str:
        raise RuntimeError("CUDA error: unknown error")

    there = SimpleNamespace(is_available=lambda: True, get_device_name=fail)
    monkeypatch.setattr(doctor, "find_spec", lambda name: object() if name == "torch" else None)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=there))
    assert cli.main(["doctor"]) == 0
    assert "unknown, torch is broken (CUDA error: unknown error)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("error", "shown", "remedy"),
    [
        # The long way in which NumPy 2 says it, which begins with a line break.
        (
            ImportError("\nA module that was compiled using NumPy 1.x cannot be run\nin 2.2"),
            "A module that was compiled using NumPy 1.x cannot be run",
            "numpy<2",
        ),
        (ImportError("cannot import\nnumpy.core.multiarray"), "cannot import", "numpy<2"),
        (ImportError("\n "), "ImportError", "opencv"),
        (ImportError(), "ImportError", "opencv"),
    ],
)
def test_the_reason_is_the_first_line_that_says_something(
    others: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, shown: str, remedy: str
) -> None:
    installed(others, monkeypatch, "cv2", error)
    found = doctor._package(next(p for p in PACKAGES if p.module == "cv2"))
    assert found.state == f"installed but broken ({shown})"
    assert remedy in found.remedy


def test_a_remedy_of_several_is_said_once(
    others: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    monkeypatch.setattr(
        doctor, "PACKAGES", [p for p in PACKAGES if p.module in ("torch", "torchvision", "tqdm")]
    )
    assert cli.main(["doctor"]) == 1
    _, _, advice = capsys.readouterr().out.partition("To get what is missing:\n")
    first, second = advice.splitlines()
    assert first.startswith("  torch, torchvision: pip install torch torchvision")
    assert second == "  tqdm: pip install tqdm"
