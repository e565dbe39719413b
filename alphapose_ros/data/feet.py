# SPDX-License-Identifier: Apache-2.0
"""Foot labels kept apart from the people they belong to, and how they come onto them.

The file is JSON: lists of feet under names such as ``train`` and ``val``, and whatever else its
maker wants to say. A foot is ``{"annotation_id": 358, "image_id": 13291, "side": "L",
"big_toe": [x, y], "small_toe": [x, y], "heel": [x, y]}``: which person of which annotation file,
the person's own left or right, and pixels of the image. Points that nobody knows are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from alphapose_ros.base.errors import ConfigError, InputError
from alphapose_ros.base.skeletons import HALPE136, Skeleton
from alphapose_ros.data.coco import read_json
from alphapose_ros.data.people import Annotation, People
from alphapose_ros.data.readers import read_set

SIDES = {"L": "left", "R": "right"}
POINTS = ("big_toe", "small_toe", "heel")
NOBODY = "foot of nobody here"
_MALFORMED = (TypeError, ValueError, AttributeError, KeyError, OverflowError)


@dataclass(frozen=True)
class Foot:
    """Known points of one foot: joint name as in the skeletons -> x, y px."""

    annotation_id: int
    image_id: int
    points: Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class FeetSpec:
    """``FEET@ANNOTATIONS``: a file of feet and the annotations that their numbers are of."""

    feet: Path
    annotations: Path

    @classmethod
    def parse(cls, text: str) -> FeetSpec:
        """Read the two parts.

        Raises:
            ConfigError: one of them is missing.
        """
        feet, _, annotations = text.partition("@")
        if not feet or not annotations:
            raise ConfigError(f"feet: expected FEET@ANNOTATIONS, got {text!r}")
        return cls(Path(feet), Path(annotations))


def read_feet(path: Path, part: str = "train") -> tuple[Foot, ...]:
    """The feet of one list of a file.

    Raises:
        InputError: the file is missing, is not such a file, or lacks the list.
    """
    content = read_json(path)
    rows = content.get(part) if isinstance(content, dict) else None
    if not isinstance(rows, list):
        raise InputError(f"{path}: expected a list of feet under {part!r}, found none")
    feet = []
    for number, row in enumerate(rows):
        try:
            feet.append(_foot(row))
        except _MALFORMED as error:
            why = f"{type(error).__name__}: {error}"
            raise InputError(f"{path}: foot {number} of {part!r}: {why}") from error
    return tuple(feet)


def read_set_with_feet(
    path: Path,
    images_dir: Path,
    feet: Sequence[Foot],
    skeleton: Skeleton = HALPE136,
    *,
    label: int,
    keep: Callable[[Annotation], bool] = lambda _: True,
) -> People:
    """People of a COCO-format file (``read_set``), with feet that are told of them elsewhere.

    Args:
        path: annotations, whose numbers the feet name. images_dir: its images.
        feet: those of people who are left out are counted in ``problems``.
        skeleton: of the people.
        label: of the new points, 2 for annotated and 1 for doubtful ones. Points that the set
            itself annotates stay as they are.
        keep: which annotations to take.

    Raises:
        ConfigError: the skeleton has no feet, or the set is not in COCO's format.
        InputError: the set cannot be read, or no foot belongs to anybody in it.
    """
    ids: list[Any] = []

    def noted(item: Annotation) -> bool:
        kept = keep(item)
        if kept:
            ids.append(item.get("id"))
        return kept

    people = read_set(path, images_dir, skeleton, keep=noted)
    if len(ids) != len(people):
        raise ConfigError(
            f"{path}: expected whole people in COCO's format to put feet on, "
            f"got {len(people)} rows of {len(ids)} annotations"
        )
    merged = with_feet(people, ids, feet, label=label)
    if feet and merged.problems.get(NOBODY) == len(feet):
        raise InputError(f"{path}: expected people whose feet are given, found none of them")
    return merged


def with_feet(people: People, ids: Sequence[Any], feet: Sequence[Foot], *, label: int) -> People:
    """The same people, with ``feet`` on those whose annotation number (N,) they name.

    A foot counts only where the image's number agrees as well.

    Raises:
        ConfigError: the skeleton of the people has no feet.
    """
    if "feet" not in people.skeleton.parts:
        raise ConfigError(f"feet: expected a skeleton with feet, got {people.skeleton.name!r}")
    row_of = {
        (number, int(image)): row
        for row, (number, image) in enumerate(zip(ids, people.image_ids, strict=True))
    }
    keypoints, labels = people.keypoints.copy(), people.labels.copy()
    lost = 0
    for foot in feet:
        row = row_of.get((foot.annotation_id, foot.image_id))
        if row is None:
            lost += 1
            continue
        for name, point in foot.points.items():
            joint = people.skeleton.index(name)
            if labels[row, joint] < 2:
                keypoints[row, joint], labels[row, joint] = point, label
    problems = people.problems | ({NOBODY: lost} if lost else {})
    return replace(people, keypoints=keypoints, labels=labels, problems=problems)


def _foot(row: Mapping[str, Any]) -> Foot:
    side = SIDES[row["side"]]
    points = {}
    for name in POINTS:
        if name in row:
            x, y = (float(value) for value in row[name])
            if not np.isfinite([x, y]).all():
                raise ValueError(f"{name}: expected finite numbers, got {row[name]}")
            points[f"{side}_{name}"] = (x, y)
    if not points:
        raise ValueError(f"expected some of {', '.join(POINTS)}")
    return Foot(int(row["annotation_id"]), int(row["image_id"]), points)
