# SPDX-License-Identifier: Apache-2.0
"""The stream of pose training samples: sets mixed by ratio, sample p a function of (seed, p)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from alphapose_ros.base.affine import INPUT_HW
from alphapose_ros.base.errors import InputError
from alphapose_ros.base.skeletons import HALPE136, Skeleton
from alphapose_ros.data.augment import AugmentConfig, Crop, crop_person, degrade
from alphapose_ros.data.coco import read_image
from alphapose_ros.data.faces import eyes_of, paste_face
from alphapose_ros.data.people import Annotation, People, read_people


@dataclass(frozen=True)
class SetSpec:
    """``ANNOTATIONS@IMAGES=RATIO``: a COCO-format file, its image folder, its share of a batch."""

    annotations: Path
    images: Path
    ratio: float

    @classmethod
    def parse(cls, text: str) -> SetSpec:
        """Read the three parts; the ratio may be left out and is then 1.

        Raises:
            InputError: no file, no image folder, or the ratio is not a positive number.
        """
        files, _, ratio = text.partition("=")
        annotations, _, images = files.partition("@")
        try:
            share = float(ratio or 1)
        except ValueError:
            share = 0.0
        if not annotations or not images or not 0 < share < float("inf"):
            raise InputError(f"data set: expected ANNOTATIONS@IMAGES=RATIO, got {text!r}")
        return cls(Path(annotations), Path(images), share)

    def read(self, skeleton: Skeleton) -> People:
        """The people of this set that are fit for training."""
        return read_people(self.annotations, self.images, skeleton, trusted)


def trusted(item: Annotation) -> bool:
    """Leave out labels that their data set marks as doubtful, and people with a single joint."""
    if item.get("lr_suspect") or item.get("teacher_oks", 1.0) < 0.15:
        return False
    return sum(v > 0 for v in item["keypoints"][2::3]) >= 2


class PoseSamples(Dataset[dict[str, Tensor]]):
    """Endless augmented person crops.

    Args:
        sets: data sets with their ratios.
        faces: a face-only set for pasting, or None.
        augment: strength.
        seed: another seed, another stream.

    Item p is a dict: ``image`` (h, w, 3) uint8 RGB, ``points`` (K, 2) float32 in input pixels,
    ``labels`` (K,) uint8.

    Raises:
        InputError: no set at all, or one without people.
    """

    def __init__(
        self,
        sets: Sequence[tuple[People, float]],
        faces: People | None,
        augment: AugmentConfig,
        *,
        seed: int,
        skeleton: Skeleton = HALPE136,
        input_hw: tuple[int, int] = INPUT_HW,
    ) -> None:
        self._sets = [people for people, _ in sets]
        sizes = [len(people) for people in (*self._sets, *([] if faces is None else [faces]))]
        if not self._sets or 0 in sizes:
            raise InputError(
                f"training sets: expected people with usable keypoints in each, got {sizes}"
            )
        shares = np.array([ratio for _, ratio in sets])
        self._shares = shares / shares.sum()
        self._faces, self._augment, self._seed = faces, augment, seed
        self._skeleton, self._input_hw = skeleton, input_hw

    def __len__(self) -> int:
        return 2**31

    def __getitem__(self, position: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([self._seed, position])
        people = self._sets[int(rng.choice(len(self._sets), p=self._shares))]
        crop = self._crop(people, int(rng.integers(len(people))), rng)
        if self._faces is not None and rng.random() < self._augment.face_probability:
            crop = self._with_face(crop, rng)
        return {
            "image": torch.from_numpy(degrade(crop.image, self._augment, rng)),
            "points": torch.from_numpy(crop.points),
            "labels": torch.from_numpy(crop.labels.copy()),
        }

    def _crop(self, people: People, row: int, rng: np.random.Generator) -> Crop:
        return crop_person(
            read_image(people.images[people.image_rows[row]]),
            people.boxes[row],
            people.keypoints[row],
            people.labels[row],
            self._skeleton,
            self._augment,
            rng,
            self._input_hw,
        )

    def _with_face(self, crop: Crop, rng: np.random.Generator) -> Crop:
        eyes = eyes_of(self._skeleton, crop)
        if eyes is None or self._faces is None:
            return crop
        row = int(rng.integers(len(self._faces)))
        face = read_image(self._faces.images[self._faces.image_rows[row]])
        part = self._skeleton.parts["face"]
        return paste_face(crop, eyes, face, self._faces.keypoints[row, part], self._skeleton)


def one_thread(_: int) -> None:
    """A loader's worker must not start OpenCV threads of its own on a small machine."""
    cv2.setNumThreads(0)


def as_input(images: Tensor, device: Any) -> Tensor:
    """(B, h, w, 3) uint8 -> (B, 3, h, w) float32 in [-1, 1]."""
    return images.to(device).permute(0, 3, 1, 2).float().div_(127.5).sub_(1)
