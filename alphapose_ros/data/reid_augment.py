# SPDX-License-Identifier: Apache-2.0
"""Views of a person for re-identification: what changes between two meetings, and what does not.

Clothes stay; box, light, sharpness, background, things in front and people beside change. A
second person is pasted with a known pose, so that what the network is asked is who stands under
this pose, not who stands in this box.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.settings import check_settings, setting
from alphapose_ros.base.skeletons import Skeleton
from alphapose_ros.data.augment import AugmentConfig, Crop, crop_person
from alphapose_ros.data.degrade import body_mask, degrade
from alphapose_ros.data.reid_sets import Sightings

FloatArray = NDArray[np.float32]
Image = NDArray[np.uint8]

STILL = AugmentConfig(
    flip_probability=0, rotation_probability=0, scale=0, shift=0, half_body_probability=0,
    colour=0, low_resolution_probability=0, occlusion_probability=0, blur_probability=0,
    jpeg_probability=0,
)  # fmt: skip
_TIGHTER = 1.1 / 1.25  # re-identification's margin over that which crop_person puts on
_COVERED = 0.5  # of the other person's mask at a joint, from which the joint is hidden


def _crops() -> AugmentConfig:
    return AugmentConfig(
        rotation_deg=6, rotation_probability=0.4, scale=0.2, half_body_probability=0.15,
        colour=0.2, low_resolution_probability=0.25, occlusion_probability=0.35,
        face_probability=0, hand_probability=0, person_probability=0,
    )  # fmt: skip


@dataclass(frozen=True)
class ReidAugment:
    """Strength of the augmentation; probabilities in [0, 1].

    Attributes:
        crops: geometry, light and sharpness.
        background_probability: of other pixels behind the person.
        person_probability: of a second person in the box.
        front_probability: that the second person stands in front, not behind.
        other_known_probability: that the second person's pose is known too.
        joint_noise: standard deviation of the joints, in crop heights.
        least_sure: a view's scores are this to 1 times as high, each joint's a third of what is
            missing to 1 more or less; 1 leaves them as they are.
        joint_loss_probability: that a joint is not found.
        pose_loss_probability: that no joint is found.
    """

    crops: AugmentConfig = field(default_factory=_crops)
    background_probability: float = setting(0.6, low=0, high=1)
    person_probability: float = setting(0.4, low=0, high=1)
    front_probability: float = setting(0.5, low=0, high=1)
    other_known_probability: float = setting(0.7, low=0, high=1)
    joint_noise: float = setting(0.012, low=0)
    least_sure: float = setting(0.4, low=0, high=1)
    joint_loss_probability: float = setting(0.08, low=0, high=1)
    pose_loss_probability: float = setting(0.03, low=0, high=1)

    def __post_init__(self) -> None:
        check_settings(self, "augment")


@dataclass(frozen=True)
class View:
    """One crop: pixels (h, w, 3), the person's joints, and a second person's.

    Attributes:
        points, scores: (K, 2) crop pixels and (K,) in 0..1, 0 for unknown.
        other_points, other_scores: the same of the second person; all 0 where nobody is known.
    """

    image: Image
    points: FloatArray
    scores: FloatArray
    other_points: FloatArray
    other_scores: FloatArray


def person_crop(
    image: Image,
    people: Sightings,
    row: int,
    config: AugmentConfig,
    rng: np.random.Generator,
    input_hw: tuple[int, int],
) -> Crop:
    """A sighting's crop; its ``labels`` are the scores in steps of 1/255, mirrored with it."""
    box = box_or_whole(people.boxes[row], image)
    middle = np.tile((box[:2] + box[2:]) / 2, 2)
    tight = (middle + (box - middle) * _TIGHTER).astype(np.float32)
    levels = np.rint(people.scores[row] * 255).astype(np.uint8)
    points = people.keypoints[row]
    return crop_person(image, tight, points, levels, people.skeleton, config, rng, input_hw)


def box_or_whole(box: FloatArray, image: Image) -> FloatArray:
    """The box (4,), or where it is four zeros, the whole picture's."""
    height, width = image.shape[:2]
    return box if box.any() else np.array([0, 0, width, height], np.float32)


def still_crop(image: Image, people: Sightings, row: int, input_hw: tuple[int, int]) -> Crop:
    """A sighting's crop as it is; a picture that is a crop already is stretched to the size."""
    if people.boxes[row].any():
        # Nothing is random in a still crop.
        return person_crop(image, people, row, STILL, np.random.default_rng(0), input_hw)
    height, width = image.shape[:2]
    pixels = cv2.resize(image, input_hw[::-1], interpolation=cv2.INTER_LINEAR)
    factor = np.array([input_hw[1] / width, input_hw[0] / height], np.float32)
    levels = np.rint(people.scores[row] * 255).astype(np.uint8)
    return Crop(np.asarray(pixels, np.uint8), people.keypoints[row] * factor, levels)


def make_view(
    crop: Crop,
    other: Crop | None,
    behind: Image | None,
    skeleton: Skeleton,
    config: ReidAugment,
    rng: np.random.Generator,
) -> View:
    """A view of ``crop``: another background, a second person, spoilt pixels, joints as found.

    Args:
        crop: of the person.
        other: a second person's crop to paste, or None.
        behind: (h, w, 3) pixels to put behind, or None.
        skeleton: of both.
        config: strengths.
        rng: of this view alone. The person's own light, noise and joints do not depend on whether
            there is a second one.
    """
    beside_rng, joints_rng, spoil_rng = _spawned(rng, 3)
    image, levels = crop.image, crop.labels
    mask = body_mask(crop, skeleton) if behind is not None or other is not None else None
    if behind is not None and mask is not None:
        image = over(behind, image, mask)
    moved: Crop | None = None
    if other is not None:
        moved = beside(other, beside_rng)
        in_front = beside_rng.random() < config.front_probability or mask is None
        theirs = body_mask(moved, skeleton)
        if theirs is None:
            moved = None
        else:
            pasted = over(image, moved.image, theirs)
            image = pasted if in_front or mask is None else over(pasted, image, mask)
            if in_front:
                levels = _dimmed(crop.points, levels, theirs)
    found = _found(crop.points, levels, config, joints_rng)
    nobody = np.zeros_like(found[0]), np.zeros_like(found[1])
    known = moved is not None and beside_rng.random() < config.other_known_probability
    second = _found(moved.points, moved.labels, config, beside_rng) if moved and known else nobody
    return View(degrade(image, config.crops, spoil_rng), *found, *second)


def beside(other: Crop, rng: np.random.Generator) -> Crop:
    """The second person's crop, grown or shrunk, moved by 0.25 to 0.6 widths to one side."""
    height, width = other.image.shape[:2]
    scale = rng.uniform(0.8, 1.15)
    side = 1 if rng.random() < 0.5 else -1
    shift = np.array([side * rng.uniform(0.25, 0.6) * width, rng.uniform(-0.1, 0.2) * height])
    middle = np.array([width, height]) / 2
    offset = middle - scale * middle + shift
    matrix = np.array([[scale, 0, offset[0]], [0, scale, offset[1]]], np.float32)
    pixels = cv2.warpAffine(other.image, matrix, (width, height), flags=cv2.INTER_LINEAR)
    points = (other.points * scale + offset).astype(np.float32)
    return replace(other, image=np.asarray(pixels, np.uint8), points=points)


def over(under: Image, above: Image, mask: FloatArray) -> Image:
    """``above`` on ``under`` by ``mask`` (h, w) in 0..1."""
    below = under.astype(np.float32)
    return np.asarray(below + (above - below) * mask[..., None], np.uint8)


def _dimmed(points: FloatArray, levels: NDArray[np.uint8], mask: FloatArray) -> NDArray[np.uint8]:
    """Joints behind the second person are found with a quarter of their score."""
    height, width = mask.shape
    columns = np.rint(points[:, 0]).clip(0, width - 1).astype(int)
    rows = np.rint(points[:, 1]).clip(0, height - 1).astype(int)
    return np.where(mask[rows, columns] > _COVERED, levels // 4, levels).astype(np.uint8)


def _found(
    points: FloatArray, levels: NDArray[np.uint8], config: ReidAugment, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Joints and scores as a pose network gives them: near their place, more or less sure."""
    height_noise = config.joint_noise * float(np.ptp(points[levels > 0, 1]) if levels.any() else 0)
    noisy = points + rng.normal(0, 1, points.shape) * height_noise
    unsure = 1 - config.least_sure
    sure = 1 - unsure * rng.uniform() + unsure / 3 * rng.uniform(-1, 1, len(levels))
    scores = levels / 255 * sure.clip(0.05, 1)
    scores[rng.random(len(levels)) < config.joint_loss_probability] = 0
    if rng.random() < config.pose_loss_probability:
        scores[:] = 0
    return noisy.astype(np.float32), scores.astype(np.float32)


def _spawned(rng: np.random.Generator, count: int) -> list[np.random.Generator]:
    """``rng.spawn(count)``, which NumPy has since 1.25."""
    bits: Any = rng.bit_generator
    seeds = bits.seed_seq if hasattr(bits, "seed_seq") else bits._seed_seq
    return [np.random.default_rng(each) for each in seeds.spawn(count)]
