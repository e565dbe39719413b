# SPDX-License-Identifier: Apache-2.0
"""Pictures with a given number of people who move a little, and where they are."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from alphapose_ros.base.errors import InputError, require
from alphapose_ros.base.records import FloatArray, ImageArray
from alphapose_ros.eval.bench_scene import astronaut_person

SIZES = {"VGA": (480, 640), "720p": (720, 1280), "1080p": (1080, 1920), "4K": (2160, 3840)}
_FILL = 0.86  # of a person's cell of the grid, so that there is room to move
_SWAY = 0.02  # of a person's height


@dataclass(frozen=True)
class Scene:
    """An image (H, W, 3) RGB uint8 and its people's boxes (N, 4), px."""

    image: ImageArray
    boxes: FloatArray


def size_named(name: str) -> tuple[int, int]:
    """(height, width) of ``VGA``, ``4K`` and their like, or of ``640x480``.

    Raises:
        InputError: neither.
    """
    if name in SIZES:
        return SIZES[name]
    width, sign, height = name.partition("x")
    if not (sign and width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise InputError(f"size: expected {', '.join(SIZES)} or 640x480, got {name!r}")
    return int(height), int(width)


def scenes(people: int, size_hw: tuple[int, int], count: int = 4) -> list[Scene]:
    """``count`` pictures of the same people, who sway: the last is followed by the first."""
    background = _background(size_hw)
    person = astronaut_person()
    return [_scene(people, background, person, 2 * math.pi * k / count) for k in range(count)]


def _scene(people: int, background: ImageArray, person: ImageArray, phase: float) -> Scene:
    cv2 = require("cv2", needed_for="the scenes", install="pip install opencv-python-headless")
    image, boxes = background.copy(), np.zeros((people, 4), np.float32)
    rows, columns, height = _grid(people, background.shape[:2], person.shape[:2])
    width = max(1, round(height * person.shape[1] / person.shape[0]))
    for k in range(people):
        tile = cv2.resize(person[:, ::-1] if k % 2 else person, (width, height))
        shift = _SWAY * height * np.array([math.cos(phase + k), math.sin(phase + k)])
        cell = np.array([background.shape[1] / columns, background.shape[0] / rows])
        center = (np.array([k % columns, k // columns]) + 0.5) * cell + shift
        left, top = np.round(center - np.array([width, height]) / 2).astype(int).clip(0)
        image[top : top + height, left : left + width] = tile[
            : image.shape[0] - top, : image.shape[1] - left
        ]
        boxes[k] = left, top, left + width, top + height
    return Scene(image, boxes)


def _grid(
    people: int, size_hw: tuple[int, ...], person_hw: tuple[int, ...]
) -> tuple[int, int, int]:
    """(rows, columns, height of a person, px) in which people are the largest."""
    best = (1, 1, 1)
    for rows in range(1, max(people, 1) + 1):
        columns = math.ceil(max(people, 1) / rows)
        across = size_hw[1] / columns * person_hw[0] / person_hw[1]
        height = max(1, int(_FILL * min(size_hw[0] / rows, across)))
        if height > best[2]:
            best = rows, columns, height
    return best


def _background(size_hw: tuple[int, int]) -> ImageArray:
    """A dim wall with the noise of a camera, so that JPEG has as much to do as with a real one."""
    height, width = size_hw
    ramp = np.linspace(70, 130, width)[None, :, None] + np.linspace(-20, 20, height)[:, None, None]
    noise = np.random.default_rng(0).normal(0, 4, (height, width, 1)).astype(np.float32)
    return np.broadcast_to(ramp + noise, (height, width, 3)).clip(0, 255).astype(np.uint8)
