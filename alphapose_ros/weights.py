# SPDX-License-Identifier: Apache-2.0
"""Weight files: what is bundled, where it came from, and how it is read without running code."""

from __future__ import annotations

import hashlib
import pickle
import struct
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from alphapose_ros.base.errors import WeightsError

POSE_NANO = "pose_nano"
DETECTOR_NANO = "detector_nano"
_FOLDER = Path(__file__).parent / "bundled"
_FEET = tuple(
    f"{side}_{point}" for side in ("left", "right") for point in ("big_toe", "small_toe", "heel")
)


@dataclass(frozen=True)
class WeightSpec:
    """One bundled weight file: what it is, where it comes from, what was measured.

    Attributes:
        file: name in the package. sha256: of the file.
        task: pose or detection. skeleton: keypoint set of a pose network, else empty.
        input_hw: of the network. channels: their order at its input.
        mean, std: a pixel p of 0..255 enters as (p / 255 - mean) / std.
        untaught: joints that training never supervised; their score is always 0.
        licence: of the file, with the notices of what it grew from.
        origin: the weights that training started from.
        data: what it was trained on.
        recipe: how.
        metrics: measured numbers. measured_on: data and command that gave them.
    """

    file: str
    sha256: str
    task: str
    input_hw: tuple[int, int]
    licence: str
    origin: str
    data: str
    recipe: str
    skeleton: str = ""
    channels: str = "RGB"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    untaught: tuple[str, ...] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    measured_on: str = ""


# What PyTorch's reader raises on files that were cut short or altered.
_DAMAGED = (
    RuntimeError, EOFError, OSError, ValueError, LookupError, TypeError, AttributeError,
    AssertionError, struct.error,
)  # fmt: skip

WEIGHTS: dict[str, WeightSpec] = {
    POSE_NANO: WeightSpec(
        file="pose_nano.safetensors",
        sha256="dcfbee6175ff7d47d3c75b274dce47ab00210325954f4cf073ed765fc4efbee7",
        task="pose",
        skeleton="halpe136",
        input_hw=(256, 192),
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        untaught=_FEET,
        licence="Apache-2.0; grown from MoveNet, Copyright Google LLC, Apache-2.0",
        origin="this project's own pose136_mbv2: MoveNet Lightning's trunk and decoder trained on "
        "for 136 joints on the same data (1.39 million crops, batch 256)",
        data="4,274 people of COCO val2017 images (of them 938 pseudo-labelled faces and 914 "
        "hands), 353 pseudo-labelled people of the same images, 8,191 people of LSPet, 3,221 "
        "faces of YouTube Faces pasted onto heads",
        recipe="config/train_pose_nano.yaml in two schedules of 500 and, from its end, 800 steps "
        "of 32 crops: AdamW, heatmap term and SIKR with the symmetric gradient; the average at "
        "the end of the second is the file, norms folded, float16",
        metrics={
            "mean OKS": 0.672,
            "AP": 0.466,
            "AUROC of the joint score": 0.824,
            "face error / box side (pseudo labels)": 0.0161,
            "the same of a mean face in the head box": 0.0378,
            "PCK@0.1 on LSPet": 0.831,
        },
        measured_on="744 people in 257 other COCO val2017 images (a subset, not COCO val AP), "
        "annotated boxes, 17 joints, only annotated ones: alphapose-ros eval pose --annotations "
        "coco_person/val.json --images coco_person/images; LSPet: 483 people, --annotations "
        "lspet/val.json --images lspet/images --without lr_suspect",
    ),
    DETECTOR_NANO: WeightSpec(
        file="detector_nano.safetensors",
        sha256="a223932ecfcf5a760840b532df7a7f8b882a7a48521e3ffeb2fcf393511fa20c",
        task="detection",
        input_hw=(416, 416),
        channels="BGR",
        std=(1 / 255, 1 / 255, 1 / 255),
        licence="Apache-2.0; grown from YOLOX, Copyright Megvii Inc., Apache-2.0",
        origin="YOLOX-nano by Megvii (COCO train2017), from its ONNX export; of the 80 classes "
        "the person's row, the folded norms restored with measured moments",
        data="1,888 COCO val2017 images with a person, long side <= 512 px, crowds ignored",
        recipe="config/train_detector_nano.yaml in two schedules: 900 steps with the trunk fixed, "
        "then 600 steps from their end with the trunk at 0.3 of the rate; the average at the end "
        "of the second is the file",
        metrics={
            "AP50": 0.686,
            "AP": 0.399,
            "AP50 of the start in the same run": 0.679,
            "recall at precision 0.8, people taller than 96 px": 0.902,
        },
        measured_on="300 other COCO val2017 images (a subset, not COCO val AP), long side <= 512 "
        "px: alphapose-ros eval detector --annotations coco_person/val.json --images "
        "coco_person/images --teacher yolox_nano.onnx",
    ),
}


def bundled_path(name: str, specs: Mapping[str, WeightSpec] | None = None) -> Path:
    """The file of a bundled weight, its hash verified.

    Raises:
        WeightsError: no such weight, the file is missing, or it is not the one that was measured.
    """
    known = WEIGHTS if specs is None else specs
    if name not in known:
        raise WeightsError(f"weights {name!r}: expected one of {', '.join(known)}")
    path = _FOLDER / known[name].file
    if not path.is_file():
        raise WeightsError(f"{path}: the bundled weights {name!r} are missing from this install")
    found = sha256_of(path)
    if known[name].sha256 and found != known[name].sha256:
        raise WeightsError(f"{path}: expected SHA-256 {known[name].sha256}, got {found}")
    return path


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Named tensors from a safetensors file or a PyTorch checkpoint, in their stored precision.

    Only tensors are read: a pickle that would run code is refused.

    Raises:
        WeightsError: missing, damaged, or not a table of tensors.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: expected a weight file, there is none")
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise WeightsError(f"{path}: not a usable safetensors file: {error}") from error
    content = load_checkpoint(path)
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        raise WeightsError(f"{path}: expected a table of tensors, got {type(content).__name__}")
    return content


def load_checkpoint(path: Path) -> Any:
    """The content of a PyTorch checkpoint: tensors, numbers, text and containers of them.

    Raises:
        WeightsError: missing, damaged, or a pickle that would run code.
    """
    try:
        with warnings.catch_warnings():
            # Of a file that is about to be refused, and the error below says it better.
            warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path}: refused, the file is not plain tensors (it may run code when loaded)"
        ) from error
    except _DAMAGED as error:
        raise WeightsError(
            f"{path}: not a usable checkpoint: {type(error).__name__}: {error}"
        ) from error


def save_tensors(tensors: dict[str, Tensor], path: Path) -> None:
    """Write a safetensors file; an interrupted write leaves no half file under ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, partial)
    partial.chmod(0o644)  # the writer makes it private
    partial.replace(path)


def sha256_of(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
