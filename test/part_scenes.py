# SPDX-License-Identifier: Apache-2.0
"""Hands and faces of coloured dots, and networks that find the dots in a crop."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.skeletons import HALPE136
from alphapose_ros.data.part_teachers import Subject

FACE_MIRRORED = HALPE136.flip_permutation[26:94] - 26
SIZE_HW = (300, 400)


def hand_points(wrist: tuple[float, float] = (120, 200), step: float = 11) -> NDArray[np.float32]:
    """An open hand with its fingers up: the wrist below, four joints on each of five rays."""
    rays = np.deg2rad([-60, -25, -5, 15, 35])
    along = step * np.array([1.8, 2.8, 3.8, 4.8])
    fingers = [(r * np.sin(a), -r * np.cos(a)) for a in rays for r in along]
    return (np.array([(0, 0), *fingers]) + wrist).astype(np.float32)


def face_points(middle: tuple[float, float] = (200, 140)) -> NDArray[np.float32]:
    """68 points: two eyes of six, the nose's tip between and below them, the others round them."""
    points = np.zeros((68, 2))
    eye = np.array([(-9, 0), (-4, -5), (4, -5), (9, 0), (4, 5), (-4, 5)])
    points[36:42], points[42:48] = eye - [24, 20], eye - [-24, 20]
    points[30] = 0, 6
    rest = [k for k in range(68) if k != 30 and not 36 <= k < 48]
    turn = np.linspace(0, 2 * np.pi, len(rest), endpoint=False)
    wide = np.where(np.arange(len(rest)) % 2, 62, 52)
    points[rest] = np.column_stack([wide * np.sin(turn), 8 + wide * np.cos(turn)])
    return (points + middle).astype(np.float32)


def dotted(points: NDArray[np.float32], image: NDArray[np.uint8] | None = None) -> np.ndarray:
    """Dot k is red by 3 k + 20 where green is full; a copy of the image, else black."""
    out = np.zeros((*SIZE_HW, 3), np.uint8) if image is None else image.copy()
    rows, columns = np.mgrid[: out.shape[0], : out.shape[1]]
    for k, (x, y) in enumerate(points):
        out[(rows - y) ** 2 + (columns - x) ** 2 <= 4.1] = 3 * k + 20, 255, 0
    return out


class DotNetwork:
    """Finds dots; in a mirrored face it takes the person's right for the left, as a network does.

    A dot that the crop does not show is put into the corner.
    """

    def __init__(self, count: int, presence: float = 0.99, shift: float = 0.0) -> None:
        self.count, self.presence, self.shift = count, presence, shift
        self.input_hw = (224, 224)
        self.asked = 0

    def __call__(self, crop: NDArray[np.uint8]) -> tuple[NDArray[np.float32], float]:
        self.asked += 1
        assert crop.shape == (*self.input_hw, 3)
        rows, columns = np.nonzero(crop[..., 1] == 255)
        kind = (crop[rows, columns, 0].astype(int) - 19) // 3
        many = np.maximum(np.bincount(kind, minlength=self.count), 1)
        sums = [np.bincount(kind, places, self.count) for places in (columns, rows)]
        found = (np.stack(sums, 1) / many[:, None]).astype(np.float32)
        if self.count == 68 and found[36, 0] > found[45, 0]:
            found = found[FACE_MIRRORED]
        return found + np.float32(self.shift), self.presence


def subject(places: dict[str, tuple[float, float]], label: int = 2) -> Subject:
    """A person of whom the named joints are annotated and seen."""
    points, labels = np.zeros((136, 2), np.float32), np.zeros(136, np.uint8)
    for name, place in places.items():
        points[HALPE136.index(name)], labels[HALPE136.index(name)] = place, label
    return Subject(points, labels, labels.copy())
