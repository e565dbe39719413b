# SPDX-License-Identifier: Apache-2.0
"""A teacher of ``train reid``: what another network says of everybody, each in several colours.

It sees everybody once, alone and as he is; the student sees him before other backgrounds and
beside others, and shall say the same. So the teacher runs once and its answers are kept.
"""

from __future__ import annotations

import hashlib
import logging
import os
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from alphapose_ros.base.errors import WeightsError
from alphapose_ros.base.skeletons import Skeleton
from alphapose_ros.data.augment import Crop
from alphapose_ros.data.recolour import person_colours, recoloured
from alphapose_ros.data.reid_augment import still_crop
from alphapose_ros.data.reid_sets import Sightings
from alphapose_ros.models.reid import ReidNet
from alphapose_ros.registry.store import resolve
from alphapose_ros.reid.config import ReidConfig
from alphapose_ros.reid.embedder import Embedder, ReidNetwork
from alphapose_ros.reid.factory import load_reid
from alphapose_ros.reid.masking import masked
from alphapose_ros.weights import parts_of, sha256_of

log = logging.getLogger(__name__)

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Teacher:
    """Who answers; ``digest`` stands for all that the answers depend on."""

    embedder: Embedder
    digest: str

    def __call__(self, crops: Sequence[Crop], skeleton: Skeleton) -> FloatArray:
        """Unit embeddings (N, D)."""
        pixels = np.stack([each.image for each in crops]).transpose(0, 3, 1, 2)
        points = np.stack([each.points for each in crops]).astype(np.float32)
        scores = np.stack([each.labels for each in crops]).astype(np.float32) / np.float32(255)
        return self.embedder.embed_crops(pixels, points, scores, skeleton)


def load_teacher(weights: str, *, masks: bool = False) -> Teacher:
    """OSNet's or OSNet-AIN's weights, or an .xml of Open Model Zoo's person-reidentification.

    Args:
        weights: the file, or the name of a known model.
        masks: it sees the person alone, all else fades by the joints.

    Raises:
        WeightsError: no such file, or a network that wants poses.
        MissingDependencyError: openvino is not installed.
    """
    path = resolve(weights)
    network, input_hw, dim = load_reid(path)
    if isinstance(network, ReidNet):
        raise WeightsError(f"{path}: expected a teacher that sees pixels alone, got a ReidNet")
    alone = ReidNetwork(lambda crops: (network(crops),), input_hw, dim, masked if masks else None)
    digest = [*map(sha256_of, parts_of(path)), *(["masked"] if masks else [])]
    return Teacher(Embedder(alone, ReidConfig()), " ".join(digest))


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
    stored = _stored(kept, asked, len(sets))
    if stored is not None:
        return stored
    found = [_answers(teacher, people, number, seed, read) for people in sets]
    arrays: dict[str, Any] = {f"set{at}": each for at, each in enumerate(found)}
    kept.parent.mkdir(parents=True, exist_ok=True)
    part = kept.with_name(f"{kept.name}.partial")
    with part.open("wb") as file:
        np.savez(file, asked=asked, **arrays)
    part.replace(kept)
    return found


def projected(found: Sequence[FloatArray], dim: int) -> list[FloatArray]:
    """The same as unit rows of ``dim`` numbers, without what all of them have in common.

    That says nothing of anybody, and a student that is not sure would say it first: everybody
    would look alike to it. Where the answers have more numbers, these are the coordinates along
    the directions in which people differ most. People of another domain may differ least there: on
    PKU-Reid, half of the numbers of person-reidentification-retail-0287 are worth 80 % of its mAP.
    """
    sizes = {each.shape[-1] for each in found if len(each)}
    if not sizes:
        return [np.zeros((*each.shape[:2], dim), np.float32) for each in found]
    size = sizes.pop()
    flat = np.concatenate([each.reshape(-1, size) for each in found if len(each)])
    mean = flat.mean(0)
    basis = np.eye(size, dtype=np.float32)
    if dim < size:
        basis = np.linalg.eigh((flat - mean).T @ (flat - mean))[1][:, ::-1][:, :dim]
        # Either sign is an eigenvector: a run goes on with the one that it began with.
        largest = np.abs(basis).argmax(0)
        basis = basis * np.sign(basis[largest, np.arange(dim)])
    out = []
    for each in found:
        if not len(each):
            out.append(np.zeros((*each.shape[:2], dim), np.float32))
            continue
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
        crop = still_crop(pixels, people, row, teacher.embedder.network.input_hw)
        chosen = (person_colours(people, row, k, seed) for k in range(number))
        shown = [replace(crop, image=recoloured(crop, people.skeleton, each)) for each in chosen]
        rows.append(teacher(shown, people.skeleton))
    return np.array(rows, np.float32) if rows else np.zeros((0, number, 0), np.float32)


def _stored(kept: Path, asked: str, sets: int) -> list[FloatArray] | None:
    """The answers of a file, where it holds those to this question."""
    if not kept.is_file():
        return None
    try:
        with np.load(kept, allow_pickle=False) as stored:
            if str(stored["asked"]) == asked:
                return [stored[f"set{at}"] for at in range(sets)]
        log.info("%s: answers of other people or of another teacher, asked anew", kept)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        log.warning("%s: no answers can be read (%r), asked anew", kept, error)
    return None


def _question(teacher: Teacher, sets: Sequence[Sightings], number: int, seed: int) -> str:
    """What the answers depend on, as one digest."""
    digest = hashlib.sha256(f"{teacher.digest} {number} {seed}".encode())
    for people in sets:
        for path in people.images:
            digest.update(os.fsencode(path))
            if path.is_file():
                now = path.stat()
                digest.update(f"{now.st_size} {now.st_mtime_ns}".encode())
        for values in (
            people.image_rows, people.boxes, people.identities, people.keypoints, people.scores,
        ):  # fmt: skip
            digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()
