# SPDX-License-Identifier: Apache-2.0
"""Crop geometry: which part of the image the pose network sees, and the way back.

Integer coordinates are pixel centres. The network input is ``input_hw``; its maps have a quarter
of that size, and index k of a map stands for input pixel 4k.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import ArrayLike, NDArray

from alphapose_ros.base.errors import ConfigError

FloatArray = NDArray[np.float32]

INPUT_HW = (256, 192)
STRIDE = 4
SIDE_STEP = 32  # px; the strides of a network multiply to that
PADDING = 1.25


def parse_input_hw(text: str, name: str) -> tuple[int, int]:
    """The size of a crop as a setting writes it, "224x160" -> height and width.

    Raises:
        ConfigError: ``name``'s text is no size, or not of multiples of 32.
    """
    found = re.fullmatch(r"([0-9]{1,5})x([0-9]{1,5})", text)
    sides = tuple(map(int, found.groups())) if found else ()
    if not sides or any(side == 0 or side % SIDE_STEP for side in sides):
        raise ConfigError(
            f"{name}: expected height x width, multiples of {SIDE_STEP}, as 224x160, got {text!r}"
        )
    return sides[0], sides[1]


def crop_boxes(
    boxes: FloatArray, input_hw: tuple[int, int] = INPUT_HW, padding: float = PADDING
) -> FloatArray:
    """Person boxes (N, 4) -> crop boxes (N, 4) of the network's aspect, enlarged, not clipped.

    The short side grows until the aspect fits, then both sides grow by ``padding`` about the
    centre (AlphaPose's test-time crop).
    """
    aspect = input_hw[1] / input_hw[0]
    center = (boxes[:, :2] + boxes[:, 2:]) / 2
    width, height = (boxes[:, 2:] - boxes[:, :2]).T
    height = np.maximum(height, width / aspect)
    half = np.stack([height * aspect, height], 1) * (padding / 2)
    return np.concatenate([center - half, center + half], 1).astype(np.float32)


def image_to_input(crops: FloatArray, input_hw: tuple[int, int] = INPUT_HW) -> FloatArray:
    """Affine maps (N, 2, 3) taking image pixels into the network input; the scale is W / width."""
    scale = input_hw[1] / (crops[:, 2] - crops[:, 0])
    center = (crops[:, :2] + crops[:, 2:]) / 2
    middle = np.array([input_hw[1] / 2, input_hw[0] / 2], np.float32)
    out = np.zeros((len(crops), 2, 3), np.float32)
    out[:, 0, 0] = out[:, 1, 1] = scale
    out[:, :, 2] = middle - scale[:, None] * center
    return out


def map_to_image(
    points: NDArray[np.floating], crops: FloatArray, map_hw: tuple[int, int]
) -> FloatArray:
    """Heatmap points (N, K, 2) -> image pixels, by the crop's width (AlphaPose's decoding)."""
    scale = ((crops[:, 2] - crops[:, 0]) / map_hw[1])[:, None, None]
    center = ((crops[:, :2] + crops[:, 2:]) / 2)[:, None]
    middle = np.array([map_hw[1] / 2, map_hw[0] / 2], np.float32)
    return ((points - middle) * scale + center).astype(np.float32)


def rotated_crop(
    center: ArrayLike, width: float, angle_deg: float, input_hw: tuple[int, int] = INPUT_HW
) -> FloatArray:
    """Affine map (2, 3), image -> input, of a crop of ``width`` px turned by ``angle_deg``.

    Positive angles turn the crop window clockwise on the screen, so its content turns the other
    way.
    """
    scale = input_hw[1] / width
    radians = np.deg2rad(angle_deg)
    cosine, sine = scale * np.cos(radians), scale * np.sin(radians)
    linear = np.array([[cosine, sine], [-sine, cosine]])
    middle = np.array([input_hw[1] / 2, input_hw[0] / 2])
    shift = middle - linear @ np.asarray(center, np.float64)
    return np.concatenate([linear, shift[:, None]], 1).astype(np.float32)


def apply_affine(matrices: FloatArray, points: NDArray[np.floating]) -> FloatArray:
    """(..., 2, 3) maps on (..., K, 2) points."""
    moved = points @ np.swapaxes(matrices[..., :2], -1, -2) + matrices[..., None, :, 2]
    return moved.astype(np.float32)


def invert_affine(matrices: FloatArray) -> FloatArray:
    """The maps that take the points of :func:`apply_affine` back, (..., 2, 3)."""
    linear = np.linalg.inv(matrices[..., :2].astype(np.float64))
    shift = -linear @ matrices[..., 2:].astype(np.float64)
    return np.concatenate([linear, shift], -1).astype(np.float32)
