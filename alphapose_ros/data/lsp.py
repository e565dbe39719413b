# SPDX-License-Identifier: Apache-2.0
"""Leeds Sports Pose and its extended set: a ``joints.mat`` of 14 joints and a folder of images.

Johnson and Everingham, BMVC 2010 and CVPR 2011. Left and right are the person's own. Coordinates
are taken as they are: neither set says where its pixels begin.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.skeletons import HALPE136, Skeleton
from alphapose_ros.data.people import (
    AREA_OF_BOX,
    People,
    Person,
    assemble,
    box_of_points,
    placed,
    usable_images,
)

LSP_NAMES = (
    "right_ankle right_knee right_hip left_hip left_knee left_ankle right_wrist right_elbow "
    "right_shoulder left_shoulder left_elbow left_wrist neck head_top"
).split()
_COUNT = len(LSP_NAMES)
# What SciPy raises on damaged files, beside an error of its own.
_DAMAGED = (OSError, ValueError, TypeError, NotImplementedError, IndexError, zlib.error)
_MARGIN = 0.1  # joints lie inside the body: a person's box is larger than their extent


def read_lsp(mat: Path, images_dir: Path, skeleton: Skeleton = HALPE136) -> People:
    """People of ``joints.mat``; person n is in image ``im0001.jpg`` or ``im00001.jpg``, n from 1.

    LSP's array is (3, 14, N): every joint has a place, hidden or not, so all are labelled. The
    extended set's is (14, 3, N): a joint not seen has no place of any worth and label 0.

    Raises:
        InputError: not such a file, or none of its images is there.
    """
    joints = _load(mat)
    paths = [(n, _image(images_dir, n)) for n in range(1, len(joints) + 1)]
    images, problems = usable_images(paths)
    if len(joints) and not images:
        raise InputError(f"{images_dir}: expected the images of {mat}, found none of them")
    people: list[Person] = []
    for number in images:
        points, labels = joints[number - 1, :, :2], joints[number - 1, :, 2]
        if labels.sum() < 2 * 2:
            problems["fewer than two joints"] += 1
            continue
        box = box_of_points(points[labels > 0], _MARGIN)
        area = AREA_OF_BOX * box[2] * box[3]
        people.append(Person(number, box, area, placed(points, labels, LSP_NAMES, skeleton)))
    return assemble(people, images, skeleton, problems)


def _load(path: Path) -> NDArray[np.float32]:
    """(N, 14, 3) x, y, label."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        raw = loadmat(str(path)).get("joints")
    except (*_DAMAGED, MatReadError) as error:
        raise InputError(f"{path}: expected a MATLAB file: {error}") from error
    if raw is None:
        raise InputError(f"{path}: expected a variable 'joints'")
    shape = raw.shape if raw.ndim == 3 else (*raw.shape, 1)  # a single person loses its axis
    if shape[:2] not in ((3, _COUNT), (_COUNT, 3)):
        raise InputError(
            f"{path}: joints: expected shape (3, 14, N) or (14, 3, N), got {raw.shape}"
        )
    if not np.issubdtype(raw.dtype, np.number):
        raise InputError(f"{path}: joints: expected numbers, got {raw.dtype}")
    joints = raw.reshape(shape).astype(np.float32)
    plain = shape[0] == 3
    joints = joints.transpose(2, 1, 0) if plain else joints.transpose(2, 0, 1)
    finite = np.isfinite(joints).all(2)
    seen = finite if plain else finite & (joints[..., 2] > 0)
    labels = np.where(seen, 2, 0)[..., None]
    return np.concatenate([np.nan_to_num(joints[..., :2]), labels], 2).astype(np.float32)


def _image(folder: Path, number: int) -> Path:
    short = folder / f"im{number:04d}.jpg"
    return short if short.exists() else folder / f"im{number:05d}.jpg"
