# SPDX-License-Identifier: Apache-2.0
"""What training does to a person crop: its strength, and the geometry.

Everything is a function of a generator made for the sample, so sample p of a run is always the
same, on any machine and after any interruption. Pixels are spoilt in :mod:`data.degrade`.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base import affine
from alphapose_ros.base.errors import ConfigError
from alphapose_ros.base.settings import check_settings, setting
from alphapose_ros.base.skeletons import Skeleton

FloatArray = NDArray[np.float32]
Image = NDArray[np.uint8]


@dataclass(frozen=True)
class AugmentConfig:
    """Strength of the augmentation; probabilities in [0, 1].

    Attributes:
        flip_probability: of a mirrored crop.
        rotation_deg: standard deviation; used with ``rotation_probability``.
        rotation_probability: of a turned crop.
        scale: the crop grows or shrinks by exp(U(-scale, scale)).
        shift: standard deviation of the crop's centre, in crop widths.
        half_body_probability: crop to the upper or lower body of people with many joints.
        colour: spread of brightness, contrast and white balance.
        low_resolution_probability: shrink the crop by up to 5 and enlarge it again, with the noise
            and the compression of a small picture.
        occlusion_probability: cover it with two patches of other pixels or noise.
        face_probability: paste an annotated face onto a frontal head.
        hand_probability: paste an annotated hand onto a wrist, for each arm.
        person_probability: let another person of the set stand in front.
        blur_probability: of motion or focus blur.
        jpeg_probability: of compression as of a camera's topic.
        dpg_probability: move the box's sides by AlphaPose's constants first.
        proposals: file of fitted proposals; a box is drawn from them in place of scale and shift,
            and parts alone get their place from them. Empty: scale and shift, and an adult's
            proportions.
    """

    flip_probability: float = setting(0.5, low=0, high=1)
    rotation_deg: float = setting(25.0, low=0)
    rotation_probability: float = setting(0.6, low=0, high=1)
    scale: float = setting(0.3, low=0)
    shift: float = setting(0.04, low=0)
    half_body_probability: float = setting(0.25, low=0, high=1)
    colour: float = setting(0.3, low=0)
    low_resolution_probability: float = setting(0.2, low=0, high=1)
    occlusion_probability: float = setting(0.25, low=0, high=1)
    face_probability: float = setting(0.3, low=0, high=1)
    hand_probability: float = setting(0.3, low=0, high=1)
    person_probability: float = setting(0.06, low=0, high=1)
    blur_probability: float = setting(0.1, low=0, high=1)
    jpeg_probability: float = setting(0.15, low=0, high=1)
    dpg_probability: float = setting(0.0, low=0, high=1)
    proposals: str = ""

    def __post_init__(self) -> None:
        check_settings(self, "augment")
        if self.proposals and self.dpg_probability:
            raise ConfigError(
                f"augment.dpg_probability: expected 0 beside augment.proposals, which draw the "
                f"box themselves, got {self.dpg_probability}"
            )

    def scaled(self, strength: float) -> AugmentConfig:
        """All numbers times ``strength``, probabilities at most 1.

        The mirror's, the rotation's and the pasted parts' probabilities stay: they are no
        distortion, or 0 degrees are none.
        """
        kept = {"flip_probability", "rotation_probability", "face_probability",
                "hand_probability", "proposals"}  # fmt: skip
        numbers = {f.name: getattr(self, f.name) * strength for f in fields(self)
                   if f.name not in kept}  # fmt: skip
        for name in numbers:
            if name.endswith("_probability"):
                numbers[name] = min(numbers[name], 1.0)
        return replace(self, **numbers)


@dataclass(frozen=True)
class Crop:
    """A training sample in network coordinates: image (h, w, 3), points (K, 2), labels (K,)."""

    image: Image
    points: FloatArray
    labels: NDArray[np.uint8]


_LEAST_JOINTS = 8  # more must be known for half of a body to remain a person
_LEAST_HALF = 3
_UPPER_PARTS, _LOWER_PARTS = ("face", "left_hand", "right_hand", "hand"), ("feet",)
_LOWER_JOINTS = ("hip", "knee", "ankle", "pelvis", "toe", "heel")


def crop_person(
    image: Image,
    box: FloatArray,
    points: FloatArray,
    labels: NDArray[np.uint8],
    skeleton: Skeleton,
    config: AugmentConfig,
    rng: np.random.Generator,
    input_hw: tuple[int, int] = affine.INPUT_HW,
) -> Crop:
    """Cut an augmented crop around a person: half body, scale, shift, rotation, mirror.

    Joints outside the crop keep their labels: their points say where, outside, they are.
    """
    window = _window(box, points, labels, skeleton, config, rng)
    crop = affine.crop_boxes(window[None], input_hw)[0]
    width = float(crop[2] - crop[0]) * float(np.exp(rng.uniform(-config.scale, config.scale)))
    center = (crop[:2] + crop[2:]) / 2 + rng.normal(0, config.shift, 2) * (crop[2] - crop[0])
    turned = rng.random() < config.rotation_probability
    limit = 2.5 * config.rotation_deg
    angle = float(np.clip(rng.normal(0, config.rotation_deg), -limit, limit)) if turned else 0.0
    matrix = affine.rotated_crop(center, width, angle, input_hw)
    flip = rng.random() < config.flip_probability
    if flip:
        matrix[0] = -matrix[0]
        matrix[0, 2] += input_hw[1] - 1
    moved = affine.apply_affine(matrix, points)
    if flip:
        moved, labels = moved[skeleton.flip_permutation], labels[skeleton.flip_permutation]
    pixels = cv2.warpAffine(image, matrix, input_hw[::-1], flags=cv2.INTER_LINEAR)
    return Crop(np.asarray(pixels, np.uint8), moved, labels)


def halves(skeleton: Skeleton) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Upper and lower half (K,) of a body: face and hands are up, feet are down."""
    lower = np.array([any(word in name for word in _LOWER_JOINTS)
                      for name in skeleton.keypoint_names])  # fmt: skip
    for name, part in skeleton.parts.items():
        if name in _UPPER_PARTS or name in _LOWER_PARTS:
            lower[part] = name in _LOWER_PARTS
    return ~lower, lower


def _window(
    box: FloatArray,
    points: FloatArray,
    labels: NDArray[np.uint8],
    skeleton: Skeleton,
    config: AugmentConfig,
    rng: np.random.Generator,
) -> FloatArray:
    """The person's box, or that of half of the body (a fifth larger, before the crop's 1.25)."""
    known = labels > 0
    fine = np.zeros(len(labels), bool)
    for name in (*_UPPER_PARTS, *_LOWER_PARTS):
        fine[skeleton.parts.get(name, slice(0, 0))] = True
    if (known & ~fine).sum() <= _LEAST_JOINTS or rng.random() >= config.half_body_probability:
        return box
    upper, lower = halves(skeleton)
    half = known & (upper if rng.random() < 0.7 else lower)
    if (half & ~fine).sum() < _LEAST_HALF:
        return box
    low, high = points[half].min(0), points[half].max(0)
    grow = 0.1 * np.maximum(high - low, 8)
    return np.concatenate([low - grow, high + grow]).astype(np.float32)
