# SPDX-License-Identifier: Apache-2.0
"""What training does to a person crop: geometry, colour, low resolution, occlusion, faces.

Everything is a function of a generator made for the sample, so sample p of a run is always the
same, on any machine and after any interruption.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base import affine
from alphapose_ros.base.skeletons import Skeleton

FloatArray = NDArray[np.float32]
Image = NDArray[np.uint8]


@dataclass(frozen=True)
class AugmentConfig:
    """Strength of the augmentation; probabilities in [0, 1].

    Attributes:
        rotation_deg: standard deviation; used with ``rotation_probability``.
        scale: the crop grows or shrinks by exp(U(-scale, scale)).
        shift: standard deviation of the crop's centre, in crop widths.
        half_body_probability: crop to the upper or lower body of people with many joints.
        low_resolution_probability: shrink the crop by up to 5 and enlarge it again.
        occlusion_probability: cover it with two patches of other pixels or noise.
        face_probability: paste an annotated face onto a frontal head.
    """

    flip_probability: float = 0.5
    rotation_deg: float = 25.0
    rotation_probability: float = 0.6
    scale: float = 0.3
    shift: float = 0.04
    half_body_probability: float = 0.25
    colour: float = 0.3
    low_resolution_probability: float = 0.2
    occlusion_probability: float = 0.25
    face_probability: float = 0.3


@dataclass(frozen=True)
class Crop:
    """A training sample in network coordinates: image (h, w, 3), points (K, 2), labels (K,)."""

    image: Image
    points: FloatArray
    labels: NDArray[np.uint8]


_UPPER = slice(0, 11)  # head and arms of the COCO order that all body sets share
_LOWER = slice(11, 17)


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
    """Cut an augmented crop around a person: half body, scale, shift, rotation, mirror."""
    crop = affine.crop_boxes(_window(box, points, labels, config, rng)[None], input_hw)[0]
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


def degrade(image: Image, config: AugmentConfig, rng: np.random.Generator) -> Image:
    """Colour, low resolution and occlusion, each with its own probability."""
    out = _occluded(image, rng) if rng.random() < config.occlusion_probability else image
    if rng.random() < config.low_resolution_probability:
        factor = rng.uniform(1.5, 5)
        small = max(8, int(image.shape[1] / factor)), max(8, int(image.shape[0] / factor))
        little = cv2.resize(out, small, interpolation=cv2.INTER_AREA)
        out = np.asarray(cv2.resize(little, image.shape[1::-1]), np.uint8)
    gain = np.exp(rng.normal(0, config.colour / 2)) * np.exp(rng.normal(0, config.colour / 5, 3))
    grey = out.mean()
    contrast = np.exp(rng.normal(0, config.colour / 2))
    toned = (out.astype(np.float32) - grey) * contrast + grey
    if rng.random() < 0.05:
        toned = np.repeat(toned.mean(2, keepdims=True), 3, 2)
    return np.clip(toned * gain.astype(np.float32), 0, 255).astype(np.uint8)


def _window(
    box: FloatArray,
    points: FloatArray,
    labels: NDArray[np.uint8],
    config: AugmentConfig,
    rng: np.random.Generator,
) -> FloatArray:
    """The person's box, or that of half of the body (a fifth larger, before the crop's 1.25)."""
    known = labels[:17] > 0
    if known.sum() <= 8 or rng.random() >= config.half_body_probability:
        return box
    part = _UPPER if rng.random() < 0.7 else _LOWER
    chosen = points[part][known[part]]
    if len(chosen) < 3:
        return box
    low, high = chosen.min(0), chosen.max(0)
    grow = 0.1 * np.maximum(high - low, 8)
    return np.concatenate([low - grow, high + grow]).astype(np.float32)


def _occluded(image: Image, rng: np.random.Generator) -> Image:
    """Two rectangles, each filled with another part of the crop or with noise."""
    out = image.copy()
    height, width = image.shape[:2]
    for _ in range(2):
        h, w = int(rng.uniform(0.06, 0.25) * height), int(rng.uniform(0.08, 0.3) * width)
        y, x = int(rng.integers(0, height - h)), int(rng.integers(0, width - w))
        if rng.random() < 0.7:
            v, u = int(rng.integers(0, height - h)), int(rng.integers(0, width - w))
            patch = image[v : v + h, u : u + w][::-1]
        else:
            patch = rng.integers(0, 256, (h, w, 3), dtype=np.uint8)
        out[y : y + h, x : x + w] = patch
    return out
