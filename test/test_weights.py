# SPDX-License-Identifier: Apache-2.0
"""Weight files are data: nothing in them runs, and damage is told, not loaded."""

from __future__ import annotations

import hashlib
import pickle
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from alphapose_ros.base.errors import WeightsError
from alphapose_ros.detection.config import DetectorConfig
from alphapose_ros.detection.factory import create_detector
from alphapose_ros.models.export import GraphNames, onnx_bytes, with_metadata
from alphapose_ros.pose.config import PoseConfig
from alphapose_ros.pose.factory import create_estimator
from alphapose_ros.registry.bundled import DETECTOR_NANO, POSE_NANO
from alphapose_ros.registry.store import resolve
from alphapose_ros.weights import as_int8, load_tensors, save_tensors, sha256_of


class CreatesFile:
    """Unpickling it creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.path), "w")


@pytest.fixture
def tensors() -> dict[str, torch.Tensor]:
    return {"a.weight": torch.randn(3, 4), "b": torch.arange(5), "c": torch.randn(7).half()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(
        first[k].dtype == second[k].dtype and torch.equal(first[k], second[k]) for k in first
    )


def test_safetensors_round_trip_leaves_no_partial_file(tmp_path: Path, tensors) -> None:
    path = tmp_path / "new" / "weights.safetensors"
    save_tensors(tensors, path)
    assert same(load_tensors(path), tensors)
    assert [p.name for p in path.parent.iterdir()] == ["weights.safetensors"]
    assert path.stat().st_mode & 0o044 == 0o044


def test_int8_is_off_by_half_a_step_of_its_group(tmp_path: Path) -> None:
    across = torch.logspace(-3, 3, 3).repeat_interleave(32)[:, None, None]
    tensors = {
        "conv": torch.randn(5, 4, 3, 3) * torch.logspace(-3, 3, 5).view(-1, 1, 1, 1),
        "half": torch.randn(4, 70).half(),
        "wide": torch.randn(2, 96, 1, 1) * across,
        "depthwise": torch.randn(6, 1, 3, 3),
        "dead": torch.zeros(2, 40),
        "none": torch.zeros(0, 40),
        "bias": torch.randn(5),
        "count": torch.arange(80).view(2, 40),
    }
    stored = as_int8(tensors)
    save_tensors(stored, tmp_path / "a.safetensors")
    found = load_tensors(tmp_path / "a.safetensors")
    assert found.keys() == tensors.keys()
    for name in ("depthwise", "dead", "none", "bias", "count"):
        assert torch.equal(found[name], tensors[name])
    for name, group in (("conv", 36), ("half", 70), ("wide", 32)):
        assert stored[name].dtype == torch.int8
        wanted = tensors[name].float().reshape(-1, group)
        most = wanted.abs().amax(1, keepdim=True)
        error = (found[name].reshape(-1, group) - wanted).abs()
        assert (error <= most / 220).all()
        assert (error > most / 300).any()
    assert stored["conv"].flatten(1).abs().amax(1).tolist() == [127] * 5


@pytest.mark.parametrize("shape", [(4,), (4, 3), (3, 1), (4, 0), (1, 1), (1, 2), ()], ids=str)
def test_int8_whose_scales_do_not_fit_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    values = torch.ones(4, 8, dtype=torch.int8) if shape else torch.tensor(1, dtype=torch.int8)
    save_tensors({"a": values, "a.scale": torch.ones(shape or (1, 1))}, tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match=r"a\.safetensors: not a usable safetensors") as caught:
        load_tensors(tmp_path / "a.safetensors")
    assert "\n" not in str(caught.value)


def test_tensors_that_are_views_are_written_whole(tmp_path: Path) -> None:
    turned = torch.randn(4, 6).T
    save_tensors({"turned": turned}, tmp_path / "w.safetensors")
    assert torch.equal(load_tensors(tmp_path / "w.safetensors")["turned"], turned)


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
def test_checkpoints_are_unwrapped(tmp_path: Path, tensors, wrapper: str | None) -> None:
    content = tensors if wrapper is None else {wrapper: tensors, "epoch": 3}
    torch.save(content, tmp_path / "checkpoint.pth")
    assert same(load_tensors(tmp_path / "checkpoint.pth"), tensors)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("key", [None, "state_dict"])
def test_a_pickle_that_runs_code_is_refused_unrun(
    tmp_path: Path, zipped: bool, key: str | None
) -> None:
    trap, victim = tmp_path / "trap.pt", tmp_path / "created"
    content = CreatesFile(victim) if key is None else {key: {"w": CreatesFile(victim)}}
    torch.save(content, trap, _use_new_zipfile_serialization=zipped)
    with pytest.raises(WeightsError, match="refused"):
        load_tensors(trap)
    assert not victim.exists()
    torch.load(trap, weights_only=False)  # the trap is a real one
    assert victim.exists()


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_bare_pickle_is_refused_in_silence(tmp_path: Path, protocol: int) -> None:
    trap, victim = tmp_path / "trap.pkl", tmp_path / "created"
    trap.write_bytes(pickle.dumps(CreatesFile(victim), protocol))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(WeightsError, match="refused"):
            load_tensors(trap)
    assert not victim.exists()


def test_other_warnings_of_the_reader_pass(tmp_path: Path, monkeypatch) -> None:
    def reader(*_: object, **__: object) -> dict[str, torch.Tensor]:
        warnings.warn("something else", UserWarning, stacklevel=1)
        return {}

    (tmp_path / "w.pt").write_bytes(b"x")
    monkeypatch.setattr(torch, "load", reader)
    with pytest.warns(UserWarning, match="something else"):
        load_tensors(tmp_path / "w.pt")


@pytest.mark.parametrize("content", [[1, 2], {"a": 1}, {"state_dict": 3}, torch.zeros(3)])
def test_what_is_no_table_of_tensors_is_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(WeightsError, match="expected a table of tensors"):
        load_tensors(tmp_path / "other.pt")


def test_missing_files_are_named(tmp_path: Path) -> None:
    for name in ("missing.pt", "missing.safetensors"):
        with pytest.raises(WeightsError, match=name):
            load_tensors(tmp_path / name)
    with pytest.raises(WeightsError, match="there is none"):
        load_tensors(tmp_path)


def of_kind(kind: str, folder: Path) -> Path:
    """A sound file of another kind than is asked for."""
    if kind in ("pose", "detector"):
        return resolve({"pose": POSE_NANO, "detector": DETECTOR_NANO}[kind])
    path = folder / kind
    layer = torch.nn.Conv2d(3, 4, 1)
    if kind == "layer.pth":
        torch.save(
            {f"a.layer.of.some.other.network.{k}.weight": torch.ones(1) for k in range(400)}, path
        )
    else:
        pytest.importorskip("onnx", reason="ONNX NOT CHECKED: no onnx")
        pytest.importorskip("onnxruntime", reason="ONNX NOT CHECKED: no onnxruntime")
        names = GraphNames(("images",), ("boxes",), {"images": {0: "N", 2: "H", 3: "W"}})
        graph = onnx_bytes(layer, torch.rand(1, 3, 64, 64), names)
        path.write_bytes(with_metadata(graph, {"task": Path(kind).stem}))
    return path


@pytest.mark.parametrize(
    ("option", "kind", "says"),
    [
        ("yolox", "pose", "expected the tensors of a YOLOX"),
        ("yolox", "layer.pth", "expected the tensors of a YOLOX"),
        ("yolox", "detection.onnx", r"got an ONNX graph.*detector\.name: onnx"),
        ("fasterrcnn_resnet50", "detector", "of fasterrcnn_resnet50.*and [0-9]+ more"),
        ("ssdlite320", "layer.pth", "of ssdlite320.*and [0-9]+ more"),
        ("ssdlite320", "detection.onnx", r"got an ONNX graph.*detector\.name: onnx"),
        ("efficientdet_d0", "detector", "of efficientdet_d0.*and [0-9]+ more"),
        ("onnx", "pose.onnx", "expected a graph of a detector"),
        ("onnx", "detector", "not a usable ONNX file"),
        ("pose", "detector", "looks like a YOLOX detector"),
        ("pose", "layer.pth", "expected"),
        ("pose", "detection.onnx", "expected a pose network, this file is for detection"),
    ],
)
def test_a_file_of_another_kind_is_refused_in_a_line_with_its_name(
    tmp_path: Path, option: str, kind: str, says: str
) -> None:
    if option.startswith(("fasterrcnn", "ssd")):
        pytest.importorskip("torchvision", reason="TORCHVISION'S DETECTORS NOT CHECKED")
    if option.startswith("efficientdet"):
        pytest.importorskip("effdet", reason="EFFICIENTDET NOT CHECKED: no effdet")
    path = of_kind(kind, tmp_path)
    weights = str(path)

    def create():
        if option == "pose":
            return create_estimator(PoseConfig(weights=weights))
        return create_detector(DetectorConfig(name=option, weights=weights))

    with pytest.raises(WeightsError, match=says) as caught:
        create()
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert len(text.replace(str(path), path.name)) < 400
    assert "\n" not in text
    assert "run code" not in text


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_cut_files_are_refused(tmp_path: Path, tensors, share: float, suffix: str) -> None:
    path = tmp_path / f"weights{suffix}"
    save_tensors(tensors, path) if suffix == ".safetensors" else torch.save(tensors, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(WeightsError, match=r"weights\."):
        load_tensors(path)


@pytest.mark.parametrize("zipped", [True, False])
def test_altered_checkpoints_raise_nothing_else(
    tmp_path: Path, rng: np.random.Generator, zipped: bool
) -> None:
    path = tmp_path / "weights.pt"
    torch.save({"a": torch.zeros(10)}, path, _use_new_zipfile_serialization=zipped)
    good, refused = path.read_bytes(), 0
    for _ in range(150):
        bad = bytearray(good)
        for place in rng.integers(0, min(len(bad), 500), 3):
            bad[place] = rng.integers(256)
        path.write_bytes(bad)
        try:
            load_tensors(path)
        except WeightsError:
            refused += 1
    assert refused > 50


def test_a_hash_is_that_of_the_whole_file(tmp_path: Path, rng: np.random.Generator) -> None:
    content = rng.bytes((1 << 20) + 7)  # longer than one block
    (tmp_path / "w").write_bytes(content)
    assert sha256_of(tmp_path / "w") == hashlib.sha256(content).hexdigest()


def test_hashing_loads_no_torch(root: Path) -> None:
    code = "import sys, alphapose_ros.weights; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=root).returncode == 0
