# SPDX-License-Identifier: Apache-2.0
"""``doctor``: what it says of packages, those that are there and broken too, and its advice."""

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


@pytest.mark.parametrize("part", ["scipy.optimize", "rosbags.highlevel"])
def test_a_package_whose_used_part_is_broken_is_not_ok(
    monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    pytest.importorskip(part)

    def broken(name: str) -> None:
        if name == part:
            raise ImportError("cannot import name 'Inf' from 'numpy'")

    monkeypatch.setattr(doctor.importlib, "import_module", broken)
    found = doctor._package(next(p for p in PACKAGES if p.module == part.partition(".")[0]))
    assert found.state == "installed but broken (cannot import name 'Inf' from 'numpy')"
    assert "numpy<2" in found.remedy


def test_beside_ros_nothing_that_wants_numpy_2_comes_without_a_limit() -> None:
    wanting = {"onnxruntime", "onnx", "openvino", "matplotlib", "rerun"}
    for package in (p for p in PACKAGES if p.module in wanting):
        assert "numpy<2" in package.with_ros or "environment of its own" in package.with_ros


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


def test_doctor_names_the_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few = [p for p in PACKAGES if p.module in ("numpy", "onnxruntime")]
    monkeypatch.setattr(doctor, "PACKAGES", few)  # importing all of them takes ten seconds
    problems = {"pose_nano": "", "detector_nano": "bad", "yolox_s": "half of it"}
    monkeypatch.setattr("alphapose_ros.cli.models.verify_all", lambda: problems)
    real = doctor.find_spec
    monkeypatch.setattr(
        doctor, "find_spec", lambda name: None if name == "onnxruntime" else real(name)
    )
    for name in doctor._VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ROS_DOMAIN_ID", "42")
    assert cli.main(["doctor"]) == 1  # a damaged weight file concerns everybody
    out = capsys.readouterr().out
    assert "onnxruntime: pip install 'onnxruntime>=1.15'" in out
    assert "ROS_DOMAIN_ID  42" in out
    assert "weights pose_nano" in out
    assert "install the package again" in out
    assert "alphapose-ros models fetch yolox_s" in out
    monkeypatch.setattr("alphapose_ros.cli.models.verify_all", lambda: {"pose_nano": ""})
    assert cli.main(["doctor"]) == 0


def test_doctor_knows_apts_packages_where_there_is_ros(monkeypatch: pytest.MonkeyPatch) -> None:
    opencv = next(p for p in PACKAGES if p.module == "cv2")
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    for distributions, remedy in (([], "pip install"), (["humble"], "sudo apt install python3-")):
        monkeypatch.setattr(doctor, "installed_ros", lambda d=distributions: d)
        assert remedy in doctor._package(opencv).remedy


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (ImportError("numpy.core.multiarray failed to import"), "pip install 'numpy<2'"),
        (AttributeError("_ARRAY_API not found"), "pip install 'numpy<2'"),
        (ImportError("libboost_python310.so: no such file"), "ros-$ROS_DISTRO-cv-bridge"),
    ],
)
def test_doctor_knows_a_package_of_numpy_1(
    monkeypatch: pytest.MonkeyPatch, error: Exception, remedy: str
) -> None:
    def fail(name: str) -> None:
        raise error

    bridge = next(p for p in PACKAGES if p.module == "cv_bridge")
    monkeypatch.setattr(doctor, "find_spec", lambda name: object())
    monkeypatch.setattr(doctor.importlib, "import_module", fail)
    found = doctor._package(bridge)
    assert not found.good
    assert remedy in found.remedy


def test_doctors_advice_asks_pip_for_what_the_package_declares(root: Path) -> None:
    """Not for an extra: what colcon built has none, and PyPI's package of a name is whoever's."""
    declared = (root / "pyproject.toml").read_text(encoding="utf-8")
    commands = [p.install for p in PACKAGES if p.install.startswith("pip install '")]
    assert len(commands) > 8
    for command in commands:
        wanted = command.removeprefix("pip install '").removesuffix("'")
        assert f'"{wanted}' in declared, command
    words = " ".join(p.install + p.with_ros for p in PACKAGES)
    assert "alphapose" not in words
