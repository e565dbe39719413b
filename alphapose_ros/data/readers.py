# SPDX-License-Identifier: Apache-2.0
"""Any data set that the package reads, as one record: which format it is, is seen or named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from alphapose_ros.base.errors import ConfigError, InputError
from alphapose_ros.base.skeletons import HALPE136, Skeleton
from alphapose_ros.data.hand_sets import read_freihand, read_interhand
from alphapose_ros.data.lsp import read_lsp
from alphapose_ros.data.people import FOREIGN, Annotation, People, read_people
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
        people = read_people(path, images_dir, skeleton, keep, derived=COCO_FORMATS[kind])
    left_out = people.problems.get(FOREIGN, 0)
    if len(people) + left_out and not people.labels.any():
        raise ConfigError(f"{path}: expected joints of {skeleton.name!r}, found none of them")
    return people


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
