# SPDX-License-Identifier: Apache-2.0
"""The stream of pose training samples: sets mixed by ratio, sample p a function of (seed, p)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from alphapose_ros.base.affine import INPUT_HW
from alphapose_ros.base.errors import InputError
from alphapose_ros.base.skeletons import COCO17, HALPE136, Skeleton
from alphapose_ros.data.augment import AugmentConfig, Crop, crop_person
from alphapose_ros.data.coco import read_image
from alphapose_ros.data.degrade import degrade, person_in_front
from alphapose_ros.data.faces import Face, eyes_of, face_labelled, paste_face
from alphapose_ros.data.hands import Arm, Hand, arms_of, hand_points, paste_hand
from alphapose_ros.data.parts import part_alone, place_part
from alphapose_ros.data.people import Annotation, People
from alphapose_ros.data.proposals import ProposalModel, perturbed
from alphapose_ros.data.readers import read_set


@dataclass(frozen=True)
class SetSpec:
    """``ANNOTATIONS@IMAGES=RATIO``: a set of any format, its images, its share of a batch."""

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
        return read_set(self.annotations, self.images, skeleton, keep=trusted)


def trusted(item: Annotation) -> bool:
    """Leave out labels that their data set marks as doubtful, and bodies with a single joint.

    One joint may be all that a set labels which has fewer than a body: it is somebody's own.
    """
    if item.get("lr_suspect") or item.get("teacher_oks", 1.0) < 0.15:
        return False
    labels = item["keypoints"][2::3]
    return sum(v > 0 for v in labels) >= (2 if len(labels) >= len(COCO17) else 1)


class PoseSamples(Dataset[dict[str, Tensor]]):
    """Endless augmented person crops.

    People of whom a set knows a face or a hand alone are placed in a person-size crop.

    Args:
        sets: data sets with their ratios.
        faces: a face-only set for pasting, or None.
        augment: strength.
        seed: another seed, another stream.
        hands: a hand-only set for pasting, of the same skeleton or of 21 points, or None.
        easy: whether an item also holds ``easy``, the image before it was spoilt.
        sizes: height and width of the crops, in turn.
        turn: crops of one size in a row.
        read: how an image's path becomes its RGB pixels, which are never written into.

    Item p is a dict: ``image`` (h, w, 3) uint8 RGB, ``points`` (K, 2) float32 in input pixels,
    ``labels`` (K,) uint8.

    Raises:
        InputError: no set at all, or one without people; proposals that cannot be read.
    """

    def __init__(
        self,
        sets: Sequence[tuple[People, float]],
        faces: People | None,
        augment: AugmentConfig,
        *,
        seed: int,
        skeleton: Skeleton = HALPE136,
        sizes: Sequence[tuple[int, int]] = (INPUT_HW,),
        turn: int = 1,
        hands: People | None = None,
        easy: bool = False,
        read: Callable[[Path], NDArray[np.uint8]] = read_image,
    ) -> None:
        self._sets = [people for people, _ in sets]
        extra = [people for people in (faces, hands) if people is not None]
        counts = [len(people) for people in (*self._sets, *extra)]
        if not self._sets or 0 in counts:
            raise InputError(
                f"training sets: expected people with usable keypoints in each, got {counts}"
            )
        shares = np.array([ratio for _, ratio in sets])
        self._shares = shares / shares.sum()
        self._faces, self._hands, self._seed, self._read = faces, hands, seed, read
        self._augment, self._skeleton, self._easy = augment, skeleton, easy
        self._sizes, self._turn = sizes, turn
        fitted = augment.proposals
        self._proposals = ProposalModel.load(Path(fitted)) if fitted else ProposalModel.default()

    def __len__(self) -> int:
        return 2**31

    def __getitem__(self, position: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([self._seed, position])
        input_hw = self._sizes[position // self._turn % len(self._sizes)]
        people = self._sets[int(rng.choice(len(self._sets), p=self._shares))]
        row = int(rng.integers(len(people)))
        crop = self._crop(people, row, input_hw, rng)
        if part_alone(people.labels[row], self._skeleton) is None:
            crop = self._dressed(crop, people, rng)
        sample = {
            "image": torch.from_numpy(degrade(crop.image, self._augment, rng)),
            "points": torch.from_numpy(crop.points),
            "labels": torch.from_numpy(crop.labels.copy()),
        }
        return sample | {"easy": torch.from_numpy(crop.image)} if self._easy else sample

    def _crop(
        self, people: People, row: int, input_hw: tuple[int, int], rng: np.random.Generator
    ) -> Crop:
        image = self._read(people.images[people.image_rows[row]])
        box, points, labels = people.boxes[row], people.keypoints[row], people.labels[row]
        config, skeleton = self._augment, self._skeleton
        if part_alone(labels, skeleton) is not None:
            scene = place_part(image, points, labels, skeleton, self._proposals, rng, input_hw)
            image, box, points = scene.image, scene.box, scene.points
        elif config.proposals:
            box = self._proposals.sample(box, points, labels, skeleton, rng)
        elif config.dpg_probability and rng.random() < config.dpg_probability:
            box = perturbed(box, (image.shape[0], image.shape[1]), rng)
        if config.proposals:
            config = replace(config, scale=0.0, shift=0.0)  # the box is a detector's already
        return crop_person(image, box, points, labels, skeleton, config, rng, input_hw)

    def _dressed(self, crop: Crop, people: People, rng: np.random.Generator) -> Crop:
        """The crop with parts of other sets and people put onto it."""
        if self._faces is not None and rng.random() < self._augment.face_probability:
            crop = self._with_face(crop, rng)
        if self._hands is not None:
            for arm in arms_of(self._skeleton, crop):
                if rng.random() < self._augment.hand_probability:
                    crop = self._with_hand(crop, arm, rng)
        if rng.random() < self._augment.person_probability:
            size = crop.image.shape[0], crop.image.shape[1]
            other = self._crop(people, int(rng.integers(len(people))), size, rng)
            image = person_in_front(crop.image, other, self._skeleton, rng)
            crop = replace(crop, image=image)
        return crop

    def _with_face(self, crop: Crop, rng: np.random.Generator) -> Crop:
        eyes = eyes_of(self._skeleton, crop)
        if eyes is None or self._faces is None:
            return crop
        row = int(rng.integers(len(self._faces)))
        part = self._skeleton.parts["face"]
        points, labels = self._faces.keypoints[row, part], self._faces.labels[row, part]
        if not face_labelled(points, labels):
            return crop
        image = self._read(self._faces.images[self._faces.image_rows[row]])
        return paste_face(crop, eyes, Face(image, points, labels), self._skeleton)

    def _with_hand(self, crop: Crop, arm: Arm, rng: np.random.Generator) -> Crop:
        assert self._hands is not None
        row = int(rng.integers(len(self._hands)))
        ratio = float(np.exp(np.clip(rng.normal(), -2, 2) * self._proposals.palm[1]
                             + self._proposals.palm[0]))  # fmt: skip
        turn = float(np.clip(rng.normal(0, 25), -60, 60))
        found = hand_points(
            self._hands.keypoints[row], self._hands.labels[row], self._hands.skeleton
        )
        if found is None:
            return crop
        side, points, labels = found
        image = self._read(self._hands.images[self._hands.image_rows[row]])
        return paste_hand(crop, arm, Hand(image, points, labels, side), ratio, turn,
                          self._skeleton)  # fmt: skip


def one_thread(_: int) -> None:
    """A loader's worker must not start OpenCV threads of its own on a small machine."""
    cv2.setNumThreads(0)
