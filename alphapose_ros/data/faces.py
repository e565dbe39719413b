# SPDX-License-Identifier: Apache-2.0
"""Faces pasted onto heads: a face-only set teaches the face as large as it is on a person.

A face crop on its own fills the network's input; on a person crop it is some 30 pixels wide. The
face is placed by the similarity that takes its eyes onto the person's annotated eyes, matched in
colour and blended with a soft ellipse; its labelled points become the sample's face labels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base import affine
from alphapose_ros.base.skeletons import Skeleton
from alphapose_ros.data.augment import Crop
from alphapose_ros.data.pasting import paste, similarity, soft_ellipse

FloatArray = NDArray[np.float32]

_RIGHT_EYE, _LEFT_EYE = slice(36, 42), slice(42, 48)  # iBUG order; the person's own sides
_LEAST_EYES_PX = 5.0  # between the eyes; less shows no face


@dataclass(frozen=True)
class Face:
    """An annotated face: image (h, w, 3) RGB, iBUG's points (68, 2) in it, labels (68,)."""

    image: NDArray[np.uint8]
    points: FloatArray
    labels: NDArray[np.uint8]

    @property
    def eyes(self) -> FloatArray:
        """(2, 2) the middles of right and left eye."""
        return np.stack([self.points[_RIGHT_EYE].mean(0), self.points[_LEFT_EYE].mean(0)])


def face_labelled(points: FloatArray, labels: NDArray[np.uint8]) -> bool:
    """Whether a face can be placed: both eyes of its 68 points labelled, and of some size."""
    if not (labels[_RIGHT_EYE.start : _LEFT_EYE.stop] > 0).all():
        return False
    line = points[_LEFT_EYE].mean(0) - points[_RIGHT_EYE].mean(0)
    return float(np.hypot(*line)) >= _LEAST_EYES_PX


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
    if distance < _LEAST_EYES_PX:
        return None
    along = float((nose - right) @ line) / distance**2
    return np.stack([right, left]) if 0.2 < along < 0.8 else None


def paste_face(crop: Crop, eyes: FloatArray, face: Face, skeleton: Skeleton) -> Crop:
    """Put ``face`` onto the eyes (2, 2) of a person crop.

    Args:
        crop: the person, in network coordinates, mirrored already where it is mirrored.
        eyes: right and left eye in the crop.
        face: one of which :func:`face_labelled` is true.
        skeleton: one with a ``face`` part of 68 joints.
    """
    matrix = similarity(face.eyes, eyes)
    landmarks = affine.apply_affine(matrix, face.points)
    known = face.labels > 0
    mask = soft_ellipse(landmarks[known], (crop.image.shape[0], crop.image.shape[1]))
    image = paste(crop.image, face.image, matrix, mask)
    joints, labels = crop.points.copy(), crop.labels.copy()
    part = skeleton.parts["face"]
    joints[part] = np.where(known[:, None], landmarks, 0)
    labels[part] = np.where(known, 2, 0)
    return Crop(image, joints, labels)
