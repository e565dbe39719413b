# SPDX-License-Identifier: Apache-2.0
"""Person boxes as a detector would give them: part-guided proposals, and AlphaPose's jitter.

A network trained on annotated boxes meets a detector's boxes in the field. RMPE (Fang et al., ICCV
2017, section 3.4) draws boxes from the distribution of the detector's error given the atomic pose;
AlphaPose (Fang et al., TPAMI 2022) from that of the box given the part, so that hands and faces
without a person around them take part in whole-body training at the size they have on one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.boxes import box_iou
from alphapose_ros.base.errors import InputError
from alphapose_ros.base.skeletons import Skeleton
from alphapose_ros.data import atomic_poses
from alphapose_ros.data.mixtures import Mixture

FloatArray = NDArray[np.float32]

FORMAT = "alphapose_ros proposals"
VERSION = 1
MATCH_IOU = 0.5  # a box that overlaps less is no detection of this person
PARTS = ("body", "face", "hand", "feet")
_TRIES = 8
# Mean and deviation of a part's (u, v, log size, log aspect), see `part_features`, and of a palm's
# logarithmic length in forearms: a standing adult's proportions, for parts without data.
_DEFAULT_PARTS = {
    "body": ((0.5, 0.5, -0.1, -0.7), (0.03, 0.03, 0.08, 0.35)),
    "face": ((0.5, 0.09, -1.9, -0.8), (0.12, 0.04, 0.30, 0.35)),
    "hand": ((0.5, 0.5, -1.95, -0.8), (0.30, 0.12, 0.35, 0.35)),
    "feet": ((0.5, 0.96, -1.1, -0.8), (0.08, 0.02, 0.30, 0.35)),
}
_DEFAULT_PALM = (-0.9, 0.15)  # .40 of the forearm


@dataclass(frozen=True)
class ProposalModel:
    """What is known of a detector's boxes and of the parts in them.

    Attributes:
        poses: (C, 13, 2) atomic poses, see :mod:`data.atomic_poses`; C may be 0.
        offsets: per atomic pose the mixture of :func:`side_offsets`.
        pooled: that of all people, for those whose pose cannot be told.
        parts: per name of ``PARTS`` the mixture of :func:`part_features`.
        palm: mean and deviation of log(palm / arm), see :mod:`data.hands`.
        counts: how many people or parts each distribution rests on.
    """

    poses: NDArray[np.float64]
    offsets: tuple[Mixture, ...]
    pooled: Mixture
    parts: Mapping[str, Mixture]
    palm: tuple[float, float]
    counts: Mapping[str, int]

    def __post_init__(self) -> None:
        shape = (len(self.offsets), len(atomic_poses.JOINTS), 2)
        if self.poses.shape != shape or not np.isfinite(self.poses).all():
            raise InputError(f"expected poses {shape}, got {self.poses.shape}")
        mixtures = (*self.offsets, self.pooled, *self.parts.values())
        if set(self.parts) != set(PARTS) or any(m.means.shape[1] != 4 for m in mixtures):
            raise InputError(
                f"expected four-dimensional mixtures for the parts {', '.join(PARTS)}, "
                f"got {', '.join(self.parts) or 'none'}"
            )

    @classmethod
    def default(cls) -> ProposalModel:
        """Exact boxes and the proportions of a standing adult, where nothing was fitted."""
        exact = Mixture(np.ones(1), np.zeros((1, 4)), 1e-5 * np.eye(4)[None])
        none = np.zeros((0, len(atomic_poses.JOINTS), 2))
        return cls(none, (), exact, default_parts(), _DEFAULT_PALM, dict.fromkeys(PARTS, 0))

    def sample(
        self,
        box: FloatArray,
        points: FloatArray,
        labels: NDArray[np.uint8],
        skeleton: Skeleton,
        rng: np.random.Generator,
    ) -> FloatArray:
        """A box (4,) that a detector might give for the person annotated by ``box`` (4,).

        Of eight draws the first that overlaps the annotation by ``MATCH_IOU``; else ``box``.
        """
        pose = atomic_poses.body_poses(box[None], points[None], labels[None], skeleton)
        mixture, mirrored = self.pooled, False
        if len(self.offsets) and pose.usable[0]:
            row, flipped = atomic_poses.assign(pose, self.poses)
            mixture, mirrored = self.offsets[row[0]], bool(flipped[0])
        drawn = mixture.sample(_TRIES, rng)
        return _first_match(box, mirror_offsets(drawn) if mirrored else drawn)

    def around(self, part: str, box: FloatArray, rng: np.random.Generator) -> FloatArray:
        """A person box (4,) that a detector might give around the box (4,) of a part.

        Raises:
            InputError: no such part.
        """
        name = part.removeprefix("left_").removeprefix("right_")
        if name not in self.parts:
            raise InputError(f"part: expected one of {', '.join(PARTS)}, got {part!r}")
        features = self.parts[name].sample(1, rng)
        # Two deviations to each side: beyond lie errors of single annotations.
        low, high = self.parts[name].mean, 2 * self.parts[name].deviation
        features = np.clip(features, low - high, low + high)
        if part.startswith("left_"):
            features[:, 0] = 1 - features[:, 0]
        return person_of(box[None], features)[0]

    def save(self, path: Path) -> None:
        """Write JSON."""
        content = {
            "format": FORMAT,
            "version": VERSION,
            "joints": list(atomic_poses.JOINTS),
            "poses": np.round(self.poses, 5).tolist(),
            "offsets": [mixture.to_json() for mixture in self.offsets],
            "pooled": self.pooled.to_json(),
            "parts": {name: mixture.to_json() for name, mixture in self.parts.items()},
            "palm": list(self.palm),
            "counts": dict(self.counts),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> ProposalModel:
        """Read what :meth:`save` wrote.

        Raises:
            InputError: the file is missing, is something else, or of another version.
        """
        try:
            content = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: cannot read proposals: {error}") from error
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise InputError(f"{path}: expected a file of proposals with format {FORMAT!r}")
        if content.get("version") != VERSION:
            raise InputError(
                f"{path}: expected proposals of version {VERSION}, got {content.get('version')!r}"
            )
        try:
            return _from_json(content)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{path}: damaged proposals: {error}") from error


def _from_json(content: Mapping[str, Any]) -> ProposalModel:
    if tuple(content["joints"]) != atomic_poses.JOINTS:
        raise InputError(f"expected the joints {', '.join(atomic_poses.JOINTS)}")
    mean, deviation = (float(value) for value in content["palm"])
    return ProposalModel(
        np.array(content["poses"], float).reshape(-1, len(atomic_poses.JOINTS), 2),
        tuple(Mixture.from_json(item) for item in content["offsets"]),
        Mixture.from_json(content["pooled"]),
        {str(name): Mixture.from_json(item) for name, item in content["parts"].items()},
        (mean, deviation),
        {str(name): int(count) for name, count in content["counts"].items()},
    )


def default_parts() -> dict[str, Mixture]:
    """A standing adult's proportions, one Gaussian for each part."""
    return {
        name: Mixture(np.ones(1), np.array([mean]), np.diag(np.square(deviation))[None])
        for name, (mean, deviation) in _DEFAULT_PARTS.items()
    }


def side_offsets(boxes: FloatArray, people: FloatArray) -> NDArray[np.float64]:
    """(N, 4) how far each side of ``boxes`` (N, 4) lies from that of ``people`` (N, 4).

    Left and right in widths of the person's box, top and bottom in heights; positive is right
    and down.
    """
    sides = np.tile((people[:, 2:] - people[:, :2]).astype(np.float64), (1, 2))
    return (boxes - people) / np.maximum(sides, 1e-6)


def mirror_offsets(offsets: NDArray[np.float64]) -> NDArray[np.float64]:
    """Offsets (N, 4) of the mirror image."""
    return offsets[:, [2, 1, 0, 3]] * np.array([-1, 1, -1, 1])


def part_features(parts: FloatArray, people: FloatArray) -> NDArray[np.float64]:
    """(N, 4) where parts' boxes (N, 4) lie in people's boxes (N, 4), and how large they are.

    u, v: the part's centre in widths and heights of the person's box from its top-left corner;
    then log(side of the part / side of the person), a side being the root of a box's area; and
    log(width / height) of the person's box.
    """
    part, person = (np.maximum(b[:, 2:] - b[:, :2], 1e-3).astype(float) for b in (parts, people))
    center = ((parts[:, :2] + parts[:, 2:]) / 2 - people[:, :2]) / person
    size = (np.log(part).sum(1) - np.log(person).sum(1)) / 2
    return np.column_stack([center, size, np.log(person[:, 0] / person[:, 1])])


def person_of(parts: FloatArray, features: NDArray[np.float64]) -> FloatArray:
    """The people's boxes (N, 4) in which ``parts`` (N, 4) have these features."""
    part = np.maximum(parts[:, 2:] - parts[:, :2], 1e-3).astype(float)
    side = np.sqrt(part.prod(1)) / np.exp(features[:, 2])
    stretch = np.exp(features[:, 3] / 2)
    sides = np.stack([side * stretch, side / stretch], 1)
    low = (parts[:, :2] + parts[:, 2:]) / 2 - features[:, :2] * sides
    return np.concatenate([low, low + sides], 1).astype(np.float32)


def perturbed(box: FloatArray, image_hw: tuple[int, int], rng: np.random.Generator) -> FloatArray:
    """AlphaPose's detection-perturbed box (4,): its published constants, whatever the pose.

    With probability .15 a box of .85 to 1 of the sides somewhere inside; else each side moves by
    a Gaussian of its own and stays in the image.
    """
    sides = box[2:] - box[:2]
    share = rng.random()
    if share > 0.85:
        low = box[:2] + rng.random(2) * (1 - share) * sides
        return np.concatenate([low, low + share * sides]).astype(np.float32)
    offsets = rng.normal((-0.0142, 0.0043, 0.0154, -0.0013), (0.1158, 0.068, 0.1337, 0.0711))
    moved = box + offsets * np.tile(sides, 2)
    limits = np.array([image_hw[1] - 3, image_hw[0] - 3], np.float64)
    low = np.clip(moved[:2], 1, np.maximum(limits - 2, 1))
    high = np.maximum(np.minimum(moved[2:], limits), low + 2)
    return np.concatenate([low, high]).astype(np.float32)


def _first_match(box: FloatArray, offsets: NDArray[np.float64]) -> FloatArray:
    sides = np.tile(box[2:] - box[:2], 2)
    boxes = (box + offsets * sides).astype(np.float32)
    good = np.flatnonzero(box_iou(box[None], boxes)[0] >= MATCH_IOU)
    return boxes[good[0]] if len(good) else box
