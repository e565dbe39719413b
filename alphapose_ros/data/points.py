# SPDX-License-Identifier: Apache-2.0
"""Faces as 300-W gives them: a ``.pts`` file of 68 points beside each image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.skeletons import HALPE136, Skeleton
from alphapose_ros.data.people import (
    AREA_OF_BOX,
    BROKEN,
    People,
    Person,
    assemble,
    box_of_points,
    placed,
    usable_images,
)

_COUNT = 68
_NAMES = [f"face_{i}" for i in range(_COUNT)]
_ENDINGS = (".jpg", ".png", ".jpeg", ".JPG", ".PNG", ".bmp")


def read_pts_folder(folder: Path, images_dir: Path, skeleton: Skeleton = HALPE136) -> People:
    """The faces of all ``.pts`` files under a folder; images have the same path and stem.

    The box of a face is the tight one of its points. Image n is the n-th file by name, from 1.

    Raises:
        InputError: no ``.pts`` file, none with an image, or none that can be read.
    """
    files = sorted(folder.rglob("*.pts"))
    if not files:
        raise InputError(f"{folder}: expected .pts files, found none")
    paths = ((n, _image(f, folder, images_dir)) for n, f in enumerate(files, 1))
    images, problems = usable_images(paths)
    if not images:
        raise InputError(f"{images_dir}: expected an image for each .pts file, found none")
    people: list[Person] = []
    first = ""
    for number in images:
        try:
            points = read_pts(files[number - 1])
        except InputError as error:
            problems[BROKEN], first = problems[BROKEN] + 1, first or str(error)
            continue
        box = box_of_points(points)
        joints = placed(points, np.full(_COUNT, 2), _NAMES, skeleton)
        people.append(Person(number, box, AREA_OF_BOX * box[2] * box[3], joints))
    if not people:
        raise InputError(f"{folder}: no .pts file can be used: {first}")
    return assemble(people, images, skeleton, problems)


def read_pts(path: Path) -> NDArray[np.float32]:
    """(68, 2) px of a ``.pts`` file.

    The format comes from MATLAB, where the first pixel's centre is (1, 1); here it is (0, 0), so
    1 is taken off. Without that all points would lie a pixel to the right and below.

    Raises:
        InputError: not 68 pairs of numbers between braces, or all on one line.
    """
    try:
        text = path.read_text(encoding="latin-1")
        inside = text[text.index("{") + 1 : text.index("}")]
        points = np.array([line.split() for line in inside.strip().splitlines()], np.float32)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: expected 68 lines of x y between braces: {error}") from error
    if points.shape != (_COUNT, 2):
        raise InputError(f"{path}: expected 68 lines of x y, got shape {points.shape}")
    if not np.isfinite(points).all() or np.ptp(points, 0).min() <= 0:
        raise InputError(f"{path}: expected 68 finite points that span a face")
    return points - 1


def _image(pts: Path, folder: Path, images_dir: Path) -> Path:
    """The image of a .pts file: the first that exists, else the name that is the usual one."""
    stem = images_dir / pts.relative_to(folder)
    options = [stem.with_suffix(ending) for ending in _ENDINGS]
    return next((path for path in options if path.exists()), options[0])
