# SPDX-License-Identifier: Apache-2.0
"""A face or hand on its own, placed where and as large as it is on a person.

The part-guided proposals give the person box in which the part would have its place; around the
part's picture that box is filled with something that shows nothing, and all other joints stay
unlabelled. So a part-only set takes part in whole-body training (multi-domain knowledge
distillation; Fang et al., TPAMI 2022).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base import affine
from alphapose_ros.base.skeletons import Skeleton
from alphapose_ros.data.pasting import scale_of, softened
from alphapose_ros.data.proposals import ProposalModel

FloatArray = NDArray[np.float32]
Image = NDArray[np.uint8]

_ALONE = ("face", "left_hand", "right_hand", "feet")
_ROOM = 1.8  # sides of the scene in crops: augmentation turns and shifts the crop in it


@dataclass(frozen=True)
class Scene:
    """A picture (h, w, 3) in which a person box (4,) stands, and the joints (K, 2) in it, px."""

    image: Image
    box: FloatArray
    points: FloatArray


def part_alone(labels: NDArray[np.uint8], skeleton: Skeleton) -> str | None:
    """The part that somebody without any labelled body joint is labelled in, or None.

    Of several the one with the most labels; None too where the skeleton has no body.
    """
    if "body" not in skeleton.parts or labels[skeleton.parts["body"]].any():
        return None
    known = {
        name: int((labels[skeleton.parts[name]] > 0).sum())
        for name in _ALONE
        if name in skeleton.parts
    }
    best = max(known, key=lambda name: known[name], default="")
    return best if known.get(best, 0) >= 2 else None


def place_part(
    image: Image,
    points: FloatArray,
    labels: NDArray[np.uint8],
    skeleton: Skeleton,
    model: ProposalModel,
    rng: np.random.Generator,
    input_hw: tuple[int, int] = affine.INPUT_HW,
) -> Scene:
    """The scene around somebody of whom :func:`part_alone` knows one part.

    The person crop of the scene's box has about as many pixels as ``input_hw``.
    """
    part = part_alone(labels, skeleton)
    assert part is not None, "place_part: call it for people with a part alone"
    joints = np.arange(len(skeleton))[skeleton.parts[part]]
    known = points[joints[labels[joints] > 0]]
    extent = np.concatenate([known.min(0), known.max(0)])
    box = model.around(part, extent, rng)
    crop = affine.crop_boxes(box[None], input_hw)[0]
    room = round(input_hw[0] * _ROOM), round(input_hw[1] * _ROOM)
    wide = np.concatenate([crop[:2] + crop[2:] - _ROOM * (crop[2:] - crop[:2]),
                           crop[:2] + crop[2:] + _ROOM * (crop[2:] - crop[:2])]) / 2  # fmt: skip
    matrix = affine.image_to_input(wide[None].astype(np.float32), room)[0]
    corners = affine.apply_affine(matrix, box.reshape(2, 2)).reshape(4)
    return Scene(_filled(image, matrix, room, rng), corners, affine.apply_affine(matrix, points))


def _filled(
    image: Image, matrix: FloatArray, size_hw: tuple[int, int], rng: np.random.Generator
) -> Image:
    """The image moved by ``matrix``, soft at its edges, on a background that shows nothing."""
    size = size_hw[1], size_hw[0]
    moved = cv2.warpAffine(
        softened(image, matrix), matrix, size, flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    ones = np.ones(image.shape[:2], np.float32)
    inside = cv2.warpAffine(ones, matrix, size, flags=cv2.INTER_NEAREST)
    edge = 0.05 * scale_of(matrix) * min(image.shape[:2])
    if edge >= 0.5:
        # Eroded before it is blurred, so that nothing beyond the image shines through.
        reach = 2 * round(2 * edge) + 1
        inside = cv2.erode(
            inside, np.ones((reach, reach), np.uint8), borderType=cv2.BORDER_REPLICATE
        )
        inside = cv2.GaussianBlur(inside, (0, 0), edge)
    under = _background(image, np.asarray(moved, np.uint8), size, rng).astype(np.float32)
    mixed = under + (moved - under) * inside[..., None]
    return np.clip(mixed, 0, 255).astype(np.uint8)


def _background(
    image: Image, moved: Image, size: tuple[int, int], rng: np.random.Generator
) -> Image:
    """One colour, soft clouds, the image out of all focus, or its edges drawn out and blurred."""
    kind = int(rng.integers(4))
    mean = image.mean((0, 1))
    if kind == 0:
        colour = np.clip(mean + rng.normal(0, 30, 3), 0, 255)
        return np.broadcast_to(colour.astype(np.uint8), (size[1], size[0], 3))
    if kind == 1:
        few = np.clip(mean + rng.normal(0, 50, (6, 5, 3)), 0, 255).astype(np.uint8)
        return np.asarray(cv2.resize(few, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    if kind == 2:
        few = cv2.resize(image, (5, 6), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(few, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    return np.asarray(cv2.GaussianBlur(moved, (0, 0), size[0] / 25), np.uint8)
