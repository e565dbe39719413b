# SPDX-License-Identifier: Apache-2.0
"""Any data set that the package reads, as one record: which format it is, is seen or named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from alphapose_ros.base.boxes import box_area
from alphapose_ros.base.errors import ConfigError, InputError
from alphapose_ros.base.skeletons import HALPE136, Skeleton
from alphapose_ros.data.hand_sets import read_freihand, read_interhand
from alphapose_ros.data.lsp import read_lsp
from alphapose_ros.data.people import AREA_OF_BOX, FOREIGN, Annotation, People, read_people
from alphapose_ros.data.points import read_pts_folder

AUTO = "auto"
COCO_FORMATS = {"coco": None, "wholebody": False, "halpe": False, "derived": True}
_OTHERS: dict[str, Callable[[Path, Path, Skeleton], People]] = {
    "lsp": read_lsp,
    "pts": read_pts_folder,
    "freihand": read_freihand,
    "interhand": read_interhand,
}
FORMATS = (AUTO, *COCO_FORMATS, *_OTHERS)
# What stands before a part's names where it is a part of a whole body.
_PLACES = {"face": ("",), "hand": ("", "left_hand_", "right_hand_")}
_SPARSE = "fewer than two joints of the part"


def read_set(
    path: Path,
    images_dir: Path,
    skeleton: Skeleton = HALPE136,
    format: str = AUTO,  # noqa: A002 (what a user calls it)
    keep: Callable[[Annotation], bool] = lambda _: True,
) -> People:
    """Read a data set onto the joints of ``skeleton``.

    Formats: ``coco`` (17 joints, or any set that the file or its length names), ``wholebody``,
    ``halpe`` (26 or 136), ``derived`` (136, where v = 1 is a derived label), ``lsp`` (joints.mat),
    ``pts`` (a folder), ``freihand`` (``*_xyz.json``), ``interhand`` (``*_data.json``); ``auto``
    looks at the content. ``keep`` sees annotations in COCO's form; the other formats have none.

    Where ``skeleton`` is a face or a hand alone, a row of COCO's form is one face or one hand,
    whole bodies' too, and its box the tight one of its labelled points: what a network of parts
    is given. The other formats have parts alone already.

    Raises:
        ConfigError: no such format, or the skeleton is one that the set has no joint of.
        InputError: the set cannot be read; the message says what is wrong with which file.
    """
    if format not in FORMATS:
        raise ConfigError(f"format: expected one of {', '.join(FORMATS)}, got {format!r}")
    kind = seen_format(path) if format == AUTO else format
    if kind in _OTHERS:
        people = _OTHERS[kind](path, images_dir, skeleton)
    else:
        whole = _with_places(skeleton)
        people = read_people(path, images_dir, whole, keep, derived=COCO_FORMATS[kind])
    left_out = people.problems.get(FOREIGN, 0)
    if len(people) + left_out and not people.labels.any():
        raise ConfigError(f"{path}: expected joints of {skeleton.name!r}, found none of them")
    by_part = kind in COCO_FORMATS and is_part(skeleton)
    return one_row_per_part(people, skeleton) if by_part else people


def is_part(skeleton: Skeleton) -> bool:
    """Whether a set is a face or a hand alone."""
    return bool(_places(skeleton))


def one_row_per_part(people: People, skeleton: Skeleton) -> People:
    """Every face, or every hand, of people as a row of its own with the tight box of its points.

    Args:
        people: with joints named as in ``skeleton``, alone or on a body ("left_hand_wrist").
        skeleton: a face or a hand alone.

    Raises:
        ConfigError: ``people`` have no such joints.
    """
    rows, points, labels = [], [], []
    for prefix in _places(skeleton):
        names = [prefix + name for name in skeleton.keypoint_names]
        if not set(names) <= set(people.skeleton.keypoint_names):
            continue
        joints = [people.skeleton.index(name) for name in names]
        rows.append(np.flatnonzero(people.labels[:, joints].any(1)))
        points.append(people.keypoints[rows[-1]][:, joints])
        labels.append(people.labels[rows[-1]][:, joints])
    if not rows:
        raise ConfigError(
            f"expected people with the joints of {skeleton.name!r}, got {people.skeleton.name!r}"
        )
    row, point, label = np.concatenate(rows), np.concatenate(points), np.concatenate(labels)
    known = label[..., None] > 0
    low = np.where(known, point, np.inf).min(1)
    high = np.where(known, point, -np.inf).max(1)
    boxes = np.concatenate([low, high], 1).astype(np.float32)
    fit = np.flatnonzero((known.sum((1, 2)) > 1) & (high > low).all(1))
    fit = fit[np.argsort(row[fit], kind="stable")]
    sparse = {_SPARSE: len(row) - len(fit)} if len(fit) < len(row) else {}
    return People(
        people.image_rows[row[fit]],
        people.image_ids[row[fit]],
        boxes[fit],
        (AREA_OF_BOX * box_area(boxes[fit])).astype(np.float32),
        point[fit],
        label[fit],
        people.images,
        skeleton,
        people.problems | sparse,
    )


def _places(skeleton: Skeleton) -> tuple[str, ...]:
    """Prefixes of the places that a face or hand alone has on a body; none for other sets."""
    return _PLACES.get(next(iter(skeleton.parts)), ()) if len(skeleton.parts) == 1 else ()


def _with_places(skeleton: Skeleton) -> Skeleton:
    """A part's joints, alone and in all its places on a body; any other set as it is."""
    places = _places(skeleton)
    if len(places) < 2:
        return skeleton
    names = tuple(place + name for place in places for name in skeleton.keypoint_names)
    everything = dict.fromkeys(skeleton.parts, slice(0, len(names)))
    sigmas = np.tile(skeleton.sigmas, len(places))
    return Skeleton(skeleton.name, names, everything, (), (), sigmas)


def seen_format(path: Path) -> str:
    """The format of a data set, seen from its content.

    Raises:
        InputError: missing, or no format that is known.
    """
    if path.is_dir():
        if next(path.rglob("*.pts"), None) is not None:
            return "pts"
        raise InputError(f"{path}: expected an annotation file or a folder of .pts files")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot read annotations: {error}") from error
    if content.startswith((b"MATLAB", b"\x89HDF")) or path.suffix == ".mat":
        return "lsp"
    if content.lstrip().startswith(b"["):
        return "freihand"
    return "interhand" if b'"joint_valid"' in content else "coco"
