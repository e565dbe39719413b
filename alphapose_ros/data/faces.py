# SPDX-License-Identifier: Apache-2.0
"""Faces pasted onto heads: a face-only set teaches the face as large as it is on a person.

A face crop on its own fills the network's input; on a person crop it is some 30 pixels wide. The
face is placed by the similarity that takes its eyes onto the person's annotated eyes, matched in
colour and blended with a soft ellipse; its 68 points become the sample's face labels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base import affine
from alphapose_ros.base.skeletons import Skeleton
from alphapose_ros.data.augment import Crop
from alphapose_ros.data.pasting import paste, similarity, soft_ellipse

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
    matrix = similarity(source, eyes)
    landmarks = affine.apply_affine(matrix, points)
    mask = soft_ellipse(landmarks, (crop.image.shape[0], crop.image.shape[1]))
    image = paste(crop.image, face, matrix, mask)
    joints, labels = crop.points.copy(), crop.labels.copy()
    part = skeleton.parts["face"]
    joints[part], labels[part] = landmarks, 2
    return Crop(image, joints, labels)
