# SPDX-License-Identifier: Apache-2.0
"""Upright square crops of hands and faces, and what several networks say about one.

The networks were taught on parts that stand upright (fingers and forehead up) and fill about half
of the crop's side, so a crop is turned and sized by the joints that are annotated, then once more
by what was found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base import affine
from alphapose_ros.data.tflite import PointNetwork

FloatArray = NDArray[np.float32]

# In lengths of the unshortened forearm. A hand's longer side is .64 of a forearm in the median of
# a thousand labelled ones, .8 at the upper quarter; its middle lies half a hand past the wrist.
_HAND_SIDE, _HAND_SHIFT = 1.2, 0.34
# In distances of the eyes, or nose to eyes where the face is turned: 68 points are 2.3 of them.
_FACE_SIDE, _FACE_SHIFT, _EYES_PER_NOSE = 3.6, 0.55, 1.6
_AROUND_HAND, _AROUND_FACE = 1.75, 1.6  # side of the next crop in longer sides of what was found
_BROWS_TO_MIDDLE = 0.08  # 68 points end at the brows; the crop's middle lies higher by this share
_WRIST, _MIDDLE_ROOT = 0, 9
_RIGHT_EYE, _LEFT_EYE = slice(36, 42), slice(42, 48)


@dataclass(frozen=True, eq=False)
class Window:
    """A square of the image: its middle (2,) and side in px, and the direction (2,) that is up."""

    center: FloatArray
    side: float
    up: FloatArray

    def matrix(self, input_hw: tuple[int, int]) -> FloatArray:
        """(2, 3) image px -> crop px of a crop as wide as ``input_hw``."""
        degrees = float(np.rad2deg(np.arctan2(self.up[0], -self.up[1])))
        return affine.rotated_crop(self.center, self.side, degrees, input_hw)


@dataclass(frozen=True, eq=False)
class Answer:
    """What several networks say about one part.

    Attributes:
        points: (K, 2) mean of all answers, image px.
        presence: mean chance that the part is there.
        spread: mean distance of the answers from their mean, in longer sides of the points' box.
    """

    points: FloatArray
    presence: float
    spread: float

    @property
    def size(self) -> float:
        """The longer side of the points' box, px."""
        return longer_side(self.points)


def longer_side(points: FloatArray) -> float:
    """Of the upright box of points (K, 2), px."""
    return float(np.ptp(points, 0).max())


def ask(
    networks: Sequence[PointNetwork],
    image: NDArray[np.uint8],
    window: Window,
    mirrored: NDArray[np.intp],
) -> Answer:
    """Every network's answer on the window and on its mirror image.

    Args:
        networks: one or more, of the same K points.
        image: (H, W, 3) uint8 RGB; black outside.
        window: where to look.
        mirrored: (K,) point k of the mirror image is point ``mirrored[k]`` of the part.
    """
    answers: list[FloatArray] = []
    presences: list[float] = []
    for network in networks:
        height, width = network.input_hw
        matrix = window.matrix(network.input_hw)
        crop = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR)
        back = affine.invert_affine(matrix)
        for flip in (False, True):
            seen = np.ascontiguousarray(crop[:, ::-1]) if flip else crop
            points, presence = network(np.asarray(seen, np.uint8))
            if flip:
                points = points[mirrored]
                points[:, 0] = width - 1 - points[:, 0]
            answers.append(affine.apply_affine(back, points))
            presences.append(presence)
    stacked = np.stack(answers)
    mean = stacked.mean(0)
    apart = float(np.linalg.norm(stacked - mean, axis=-1).mean())
    return Answer(mean, float(np.mean(presences)), apart / max(longer_side(mean), 1e-6))


def ask_twice(
    networks: Sequence[PointNetwork],
    image: NDArray[np.uint8],
    first: Window,
    around: Callable[[FloatArray], Window],
    mirrored: NDArray[np.intp],
) -> Answer:
    """Ask on a window, then on the one round what was found there; the surer answer counts."""
    found = ask(networks, image, first, mirrored)
    again = ask(networks, image, around(found.points), mirrored)
    return found if found.presence > again.presence else again


def hand_window(wrist: FloatArray, direction: FloatArray, arm: float) -> Window:
    """Past the wrist (2,) along the forearm's unit direction (2,); ``arm`` is its length, px."""
    center = wrist + direction * np.float32(_HAND_SHIFT * arm)
    return Window(center, _HAND_SIDE * arm, direction)


def window_round_hand(points: FloatArray) -> Window:
    """Round 21 points (21, 2), the root of the middle finger above the wrist."""
    return _round(points, points[_MIDDLE_ROOT] - points[_WRIST], _AROUND_HAND)


def face_window(nose: FloatArray, left_eye: FloatArray, right_eye: FloatArray) -> Window:
    """Round a face of which nose and eyes (2,) are known; left and right are the person's."""
    between = (left_eye + right_eye) / 2
    scale = max(
        float(np.hypot(*(left_eye - right_eye))),
        _EYES_PER_NOSE * float(np.hypot(*(nose - between))),
    )
    up = _up_of_eyes(left_eye, right_eye, between - nose)
    return Window(between - up * np.float32(_FACE_SHIFT * scale), _FACE_SIDE * scale, up)


def window_round_face(points: FloatArray) -> Window:
    """Round 68 points (68, 2), the eyes level."""
    left, right = points[_LEFT_EYE].mean(0), points[_RIGHT_EYE].mean(0)
    up = _up_of_eyes(left, right, (left + right) / 2 - points[30])
    plain = _round(points, up, _AROUND_FACE)
    lift = np.float32(_BROWS_TO_MIDDLE * longer_side(points))
    return Window(plain.center + plain.up * lift, plain.side, plain.up)


def _up_of_eyes(left: FloatArray, right: FloatArray, fallback: NDArray[np.floating]) -> FloatArray:
    """Square to the line through the eyes; seen from the side it is from the nose to the eyes."""
    across = left - right
    # With the person's left eye on the image's right, up is a quarter turn to the left of it.
    square: NDArray[np.floating] = np.array([across[1], -across[0]])
    if np.hypot(*across) < 0.5 * np.hypot(*fallback):
        square = fallback
    return _unit(square)


def _round(points: FloatArray, up: FloatArray, sides: float) -> Window:
    """The middle is that of the points' box turned upright."""
    unit = _unit(up)
    axes = np.array([[-unit[1], unit[0]], unit], np.float32)  # to the right, up
    turned = points @ axes.T
    low, high = turned.min(0), turned.max(0)
    center = ((low + high) / 2) @ axes
    return Window(center.astype(np.float32), max(float((high - low).max()) * sides, 1.0), unit)


def _unit(vector: NDArray[np.floating]) -> FloatArray:
    """Of length 1; the vector without a length points up."""
    length = float(np.hypot(*vector))
    if length < 1e-6:
        return np.array([0, -1], np.float32)
    return (vector / length).astype(np.float32)
