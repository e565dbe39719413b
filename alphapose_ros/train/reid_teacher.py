# SPDX-License-Identifier: Apache-2.0
"""A teacher of ``train reid``: what another network says of everybody, each in several colours.

It sees everybody once, alone and as he is; the student sees him before other backgrounds and
beside others, and shall say the same. So the teacher runs once and its answers are kept.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm

from alphapose_ros.base.errors import WeightsError
from alphapose_ros.data.recolour import person_colours, recoloured
from alphapose_ros.data.reid_augment import still_crop
from alphapose_ros.data.reid_sets import Sightings
from alphapose_ros.models.reid import ReidNet
from alphapose_ros.registry.store import resolve
from alphapose_ros.reid.factory import load_reid
from alphapose_ros.reid.open_model_zoo import SUFFIX

log = logging.getLogger(__name__)

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Teacher:
    """``network`` takes RGB crops (N, 3, h, w) in 0..255 of ``input_hw``, gives unit (N, D)."""

    network: nn.Module
    input_hw: tuple[int, int]
    digest: str

    @torch.inference_mode()
    def __call__(self, crops: Sequence[NDArray[np.uint8]]) -> FloatArray:
        """Unit embeddings (N, D) of crops (h, w, 3)."""
        pixels = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float()
        return np.asarray(self.network(pixels).numpy(), np.float32)


def load_teacher(weights: str) -> Teacher:
    """OSNet's or OSNet-AIN's weights, or an .xml of Open Model Zoo's person-reidentification.

    Raises:
        WeightsError: no such file, or a network that wants poses.
        MissingDependencyError: openvino is not installed.
    """
    path = resolve(weights)
    network, input_hw, _ = load_reid(path)
    if isinstance(network, ReidNet):
        raise WeightsError(f"{path}: expected a teacher that sees pixels alone, got a ReidNet")
    parts = [path, path.with_suffix(".bin")] if path.suffix.lower() == SUFFIX else [path]
    digest = hashlib.sha256(b"".join(part.read_bytes() for part in parts)).hexdigest()
    return Teacher(network, input_hw, digest)


def taught(
    teacher: Teacher,
    sets: Sequence[Sightings],
    *,
    number: int,
    seed: int,
    read: Callable[[Path], NDArray[np.uint8]],
    kept: Path,
) -> list[FloatArray]:
    """Unit embeddings (N, ``number``, D) of each set's sightings in that many colourings.

    Args:
        teacher: what is asked.
        sets: whom.
        number: of colourings, the first as they are.
        seed: of the colours.
        read: how an image's path becomes its RGB pixels.
        kept: file (.npz) of the answers; one that is there is read, where it answers the same.
    """
    asked = _question(teacher, sets, number, seed)
    if kept.is_file():
        with np.load(kept) as stored:
            if str(stored["asked"]) == asked:
                return [stored[f"set{at}"] for at in range(len(sets))]
        log.info("%s: answers of other people or of another teacher, asked anew", kept)
    found = [_answers(teacher, people, number, seed, read) for people in sets]
    kept.parent.mkdir(parents=True, exist_ok=True)
    arrays: dict[str, Any] = {f"set{at}": each for at, each in enumerate(found)}
    np.savez(kept, asked=asked, **arrays)
    return found


def projected(found: Sequence[FloatArray], dim: int) -> list[FloatArray]:
    """The same as unit rows of ``dim`` numbers, without what all of them have in common.

    That says nothing of anybody, and a student that is not sure would say it first: everybody
    would look alike to it. Where the answers have more numbers, these are the coordinates along
    the directions in which people differ most. People of another domain may differ least there: on
    PKU-Reid, half of the numbers of person-reidentification-retail-0287 are worth 80 % of its mAP.
    """
    size = found[0].shape[-1]
    flat = np.concatenate([each.reshape(-1, size) for each in found])
    mean = flat.mean(0)
    basis = np.eye(size, dtype=np.float32)
    if dim < size:
        basis = np.linalg.eigh((flat - mean).T @ (flat - mean))[1][:, ::-1][:, :dim]
    out = []
    for each in found:
        short = (each - mean) @ basis
        length = np.maximum(np.linalg.norm(short, axis=-1, keepdims=True), 1e-12)
        padding = ((0, 0), (0, 0), (0, max(0, dim - size)))
        out.append(np.pad(short / length, padding).astype(np.float32))
    return out


def _answers(
    teacher: Teacher,
    people: Sightings,
    number: int,
    seed: int,
    read: Callable[[Path], NDArray[np.uint8]],
) -> FloatArray:
    rows: list[FloatArray] = []
    for row in tqdm(range(len(people)), desc="teacher", unit="person"):
        pixels = read(people.images[int(people.image_rows[row])])
        crop = still_crop(pixels, people, row, teacher.input_hw)
        chosen = (person_colours(people, row, k, seed) for k in range(number))
        rows.append(teacher([recoloured(crop, people.skeleton, each) for each in chosen]))
    return np.array(rows, np.float32)


def _question(teacher: Teacher, sets: Sequence[Sightings], number: int, seed: int) -> str:
    """What the answers depend on, as one digest."""
    digest = hashlib.sha256(f"{teacher.digest} {number} {seed}".encode())
    for people in sets:
        digest.update("\n".join(map(str, people.images)).encode())
        for values in (people.image_rows, people.boxes, people.keypoints, people.scores):
            digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()
