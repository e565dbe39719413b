# SPDX-License-Identifier: Apache-2.0
"""Faces pasted onto heads: a face-only set teaches the face as large as it is on a person.

A face crop on its own fills the network's input; on a person crop it is some 30 pixels wide. The
face is placed by the similarity that takes its eyes onto the person's annotated eyes, matched in
colour and blended with a soft ellipse; its 68 points become the sample's face labels.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base import affine
from alphapose_ros.base.skeletons import Skeleton
from alphapose_ros.data.augment import Crop

FloatArray = NDArray[np.float32]

_RIGHT_EYE, _LEFT_EYE = slice(36, 42), slice(42, 48)  # iBUG order; the person's own sides


def eyes_of(skeleton: Skeleton, crop: Crop) -> FloatArray | None:
    """(2, 2) right and left eye of a head that faces the camera, or None.

    Frontal: nose and both eyes annotated, the nose between the eyes along their line.
    """
    index = [skeleton.index(name) for name in ("right_eye", "left_eye", "nose")]
    if (crop.labels[index] != 2).any():
        return None
    right, left, nose = crop.points[index]
    line = left - right
    distance = float(np.hypot(*line))
    if distance < 5:
        return None
    along = float((nose - right) @ line) / distance**2
    return np.stack([right, left]) if 0.2 < along < 0.8 else None


def paste_face(
    crop: Crop,
    eyes: FloatArray,
    face: NDArray[np.uint8],
    points: FloatArray,
    skeleton: Skeleton,
) -> Crop:
    """Put ``face`` (h, w, 3) with its 68 ``points`` onto the eyes (2, 2) of a person crop.

    Args:
        crop: the person, in network coordinates, mirrored already where it is mirrored.
        eyes: right and left eye in the crop.
        face: face image, RGB. points: (68, 2) iBUG points in it.
        skeleton: one with a ``face`` part of 68 joints.
    """
    source = np.stack([points[_RIGHT_EYE].mean(0), points[_LEFT_EYE].mean(0)])
    matrix = _similarity(source, eyes)
    scale = float(np.hypot(matrix[0, 0], matrix[1, 0]))
    height, width = crop.image.shape[:2]
    # A strongly shrunken source is averaged first: bilinear sampling alone would alias.
    softened = cv2.GaussianBlur(face, (0, 0), 0.4 / scale) if scale < 0.7 else face
    moved = cv2.warpAffine(softened, matrix, (width, height), flags=cv2.INTER_LINEAR)
    landmarks = affine.apply_affine(matrix, points)
    mask = _soft_ellipse(landmarks, (height, width))
    inside = cv2.warpAffine(
        np.ones(face.shape[:2], np.float32), matrix, (width, height), flags=cv2.INTER_NEAREST
    )
    mask = mask * inside
    image = _blend(crop.image, np.asarray(moved, np.uint8), mask)
    joints, labels = crop.points.copy(), crop.labels.copy()
    part = skeleton.parts["face"]
    joints[part], labels[part] = landmarks, 2
    return Crop(image, joints, labels)


def _similarity(source: FloatArray, target: FloatArray) -> FloatArray:
    """The rotation, scale and shift (2, 3) taking two points onto two points."""
    a, b = source[1] - source[0], target[1] - target[0]
    ratio = complex(*b) / complex(*a)
    linear = np.array([[ratio.real, -ratio.imag], [ratio.imag, ratio.real]])
    shift = target[0] - linear @ source[0]
    return np.concatenate([linear, shift[:, None]], 1).astype(np.float32)


def _soft_ellipse(landmarks: FloatArray, size_hw: tuple[int, int]) -> FloatArray:
    """1 inside the face, falling to 0 over a tenth of its size."""
    low, high = landmarks.min(0), landmarks.max(0)
    center, half = (low + high) / 2, np.maximum((high - low) / 2, 2)
    ys, xs = np.mgrid[: size_hw[0], : size_hw[1]].astype(np.float32)
    radius = np.hypot((xs - center[0]) / (half[0] * 1.08), (ys - center[1]) / (half[1] * 1.08))
    return np.clip((1.1 - radius) / 0.2, 0, 1).astype(np.float32)


def _blend(
    under: NDArray[np.uint8], over: NDArray[np.uint8], mask: FloatArray
) -> NDArray[np.uint8]:
    """``over`` on ``under``, its mean and spread per channel matched where the mask is full."""
    core = mask > 0.9
    if not core.any():
        return under
    a, b = under[core].astype(np.float32), over[core].astype(np.float32)
    gain = np.clip((a.std(0) + 4) / (b.std(0) + 4), 0.5, 1.5)
    matched = (over.astype(np.float32) - b.mean(0)) * gain + a.mean(0)
    mixed = under * (1 - mask[..., None]) + matched * mask[..., None]
    return np.clip(mixed, 0, 255).astype(np.uint8)
