# SPDX-License-Identifier: Apache-2.0
"""Annotated people: any COCO-format file becomes one record with per-joint masks.

A joint's label is 2 (annotated), 1 (derived or pseudo-labelled) or 0. Zero means "not known", not
"not visible": such a joint counts in no loss and in no metric.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.boxes import xywh_to_xyxy
from alphapose_ros.base.errors import InputError
from alphapose_ros.base.rows import Rows, array
from alphapose_ros.base.skeletons import HALPE136, HAND21, SKELETONS, Skeleton
from alphapose_ros.data import wholebody
from alphapose_ros.data.coco import image_fault, image_number, read_coco
from alphapose_ros.data.file_names import image_path

Annotation = dict[str, Any]
FloatArray = NDArray[np.float32]
AREA_OF_BOX = 0.53  # what COCO-WholeBody's own evaluation takes
BROKEN = "broken annotation"
FOREIGN = "no joint of the skeleton"
NAMELESS = "joint of an unknown name"
# What reading a value of another kind than expected raises.
_MALFORMED = (TypeError, ValueError, AttributeError, KeyError, OverflowError)


def _aliases() -> dict[str, str]:
    fingers = {
        "thumb": "thumb", "forefinger": "index", "middle_finger": "middle",
        "ring_finger": "ring", "pinky_finger": "little",
    }  # fmt: skip
    aliases = {"head": "head_top", "hip": "pelvis"}
    aliases |= {f"face-{i}": f"face_{i}" for i in range(68)}
    for side in ("left_", "right_", ""):
        hand = f"{side}hand_" if side else ""
        for theirs, ours in fingers.items():
            aliases |= {f"{side}{theirs}{i}": f"{hand}{ours}_{i}" for i in range(1, 5)}
        if side:
            aliases |= {f"{hand}{i}": hand + name for i, name in enumerate(HAND21.keypoint_names)}
            aliases[f"{hand}root"] = f"{hand}wrist"
    return aliases


_ALIASES = _aliases()
_KNOWN = frozenset(name for skeleton in SKELETONS.values() for name in skeleton.keypoint_names)


@dataclass(frozen=True)
class People(Rows):
    """Annotated people of one data set, a row each.

    Attributes:
        image_rows: (N,) index into ``images``.
        image_ids: (N,) the annotation file's own image number.
        boxes: (N, 4) px corners. areas: (N,) px² for OKS.
        keypoints: (N, K, 2) px. labels: (N, K) 0, 1 or 2, see the module.
        images: paths. problems: what the reader left out, and why, with counts.
    """

    image_rows: NDArray[np.int64] = array("N", dtype=np.int64)
    image_ids: NDArray[np.int64] = array("N", dtype=np.int64)
    boxes: NDArray[np.float32] = array("N", 4, dtype=np.float32)
    areas: NDArray[np.float32] = array("N", dtype=np.float32)
    keypoints: NDArray[np.float32] = array("N", "K", 2, dtype=np.float32)
    labels: NDArray[np.uint8] = array("N", "K", dtype=np.uint8)
    images: tuple[Path, ...] = ()
    skeleton: Skeleton = HALPE136
    problems: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Person:
    """One person of a set: the image's number, an xywh box, px², and (K, 3) joints x, y, label."""

    image_id: int
    box_xywh: Sequence[float]
    area: float
    joints: FloatArray


def read_people(
    annotations: Path,
    images_dir: Path,
    skeleton: Skeleton = HALPE136,
    keep: Callable[[Annotation], bool] = lambda _: True,
    *,
    derived: bool | None = None,
) -> People:
    """Read people with keypoints from a COCO-format file.

    The file's keypoint set is told by the names in its category, or by the length of its
    ``keypoints``, and mapped onto ``skeleton`` by names; COCO-WholeBody's parts are joined first.
    Crowd regions and people without a labelled joint are left out; like broken annotations,
    missing, empty or cut-off images and joints of unknown names they are counted in ``problems``.

    In COCO's, COCO-WholeBody's and Halpe's own files v = 1 means annotated but hidden, a label
    like any other. In a file of 136 joints made for this package, which mixes sources, it means
    derived or pseudo-labelled. ``derived`` says which; None tells it from the file: Halpe's
    releases have a category without names.

    Raises:
        InputError: the file is missing, is not such a file, its images are nowhere, or all that
            it holds is broken.
    """
    content = read_coco(annotations)
    images, problems = usable_images(image_entry(entry, images_dir) for entry in content["images"])
    if not images:
        why = ", ".join(f"{n} {fault}" for fault, n in problems.items()) or "none are listed"
        raise InputError(
            f"{images_dir}: expected the images of {annotations}, found none of them ({why})"
        )
    joints = _Joints(content.get("categories"), skeleton, derived)
    problems[NAMELESS] = joints.unknown
    people: list[Person] = []
    first = ""
    for item in content["annotations"]:
        try:
            found = _person(item, images, joints)
        except _MALFORMED as error:
            found, first = BROKEN, first or str(error)
        if isinstance(found, str):
            problems[found] += 1
        elif keep(found[0]):
            people.append(found[1])
        else:
            problems["left out by choice"] += 1
    if not people and problems[BROKEN]:
        raise InputError(f"{annotations}: no annotation can be used: {first}")
    return assemble(people, images, skeleton, problems)


def image_entry(entry: Any, images_dir: Path) -> tuple[int, Path] | None:
    """Number and path of an image entry, None where it lacks one."""
    try:
        return image_number(entry["id"]), image_path(images_dir, entry["file_name"])
    except (*_MALFORMED, InputError):
        return None


def usable_images(
    paths: Iterable[tuple[int, Path] | None],
) -> tuple[dict[int, Path], Counter[str]]:
    """Image number -> path of those that can be read, and how many others fail for what.

    None stands for an entry without number or path.
    """
    images: dict[int, Path] = {}
    problems: Counter[str] = Counter()
    for entry in paths:
        fault = image_fault(entry[1]) if entry else "broken image entry"
        if entry and fault is None:
            images[entry[0]] = entry[1]
        elif fault:
            problems[fault] += 1
    return images, problems


def assemble(
    people: Sequence[Person],
    images: Mapping[int, Path],
    skeleton: Skeleton,
    problems: Mapping[str, int],
) -> People:
    """One record of people whose images are all in ``images``."""
    position = {number: row for row, number in enumerate(images)}
    joints = np.array([p.joints for p in people], np.float32).reshape(-1, len(skeleton), 3)
    return People(
        np.array([position[p.image_id] for p in people], np.int64),
        np.array([p.image_id for p in people], np.int64),
        xywh_to_xyxy([p.box_xywh for p in people]),
        np.array([p.area for p in people], np.float32),
        joints[..., :2],
        joints[..., 2].astype(np.uint8),
        tuple(images.values()),
        skeleton,
        {why: count for why, count in problems.items() if count},
    )


def same_name(name: str) -> str:
    """Our name of a joint that other files name otherwise, and any other name as it is."""
    return _ALIASES.get(name, name)


def placed(
    points: FloatArray, labels: NDArray[Any], names: Sequence[str], skeleton: Skeleton
) -> FloatArray:
    """Points (J, 2) and labels (J,) of named joints -> (K, 3) of ``skeleton``, 0 elsewhere."""
    position = {same_name(name): i for i, name in enumerate(names)}
    # A skeleton of one's own may have a "head", which is another set's name for head_top.
    position |= {name: i for i, name in enumerate(names)}
    index = np.array([position.get(name, -1) for name in skeleton.keypoint_names], np.intp)
    joints = np.column_stack([points, labels])[index]
    known = (index >= 0) & (joints[:, 2] > 0)
    return np.where(known[:, None], joints, 0).astype(np.float32)


def box_of_points(points: FloatArray, margin: float = 0.0) -> tuple[float, float, float, float]:
    """The xywh box round points (J, 2), wider on every side by ``margin`` longer sides."""
    low, high = points.min(0), points.max(0)
    border = margin * float((high - low).max())
    x, y = (low - border).tolist()
    width, height = (high - low + 2 * border).tolist()
    return x, y, width, height


class _Joints:
    """An annotation's flat triples -> (K, 3) of a skeleton."""

    def __init__(self, categories: Any, skeleton: Skeleton, derived: bool | None) -> None:
        listed = [c for c in categories or [] if isinstance(c, dict)]
        self._names = {c.get("id"): tuple(c.get("keypoints") or ()) for c in listed}
        self._only = next(iter(self._names.values())) if len(self._names) == 1 else ()
        named = {same_name(name) for names in self._names.values() for name in names}
        self.unknown = len(named - _KNOWN - set(skeleton.keypoint_names))
        nameless = bool(listed) and not any(self._names.values())
        self._skeleton = skeleton
        self._derived = not nameless if derived is None else derived

    def __call__(self, item: Mapping[str, Any]) -> FloatArray:
        flat = item["keypoints"]
        names = self._names.get(item.get("category_id"), self._only)
        if not names or 3 * len(names) != len(flat):
            names = _names_by_length(len(flat))
        joints = np.array(flat, np.float32).reshape(-1, 3)
        if not np.isfinite(joints).all():
            raise InputError("keypoints: expected finite numbers")
        labels = joints[:, 2].clip(0, 2)
        if not (self._derived and len(names) == len(HALPE136)):
            labels = np.where(labels > 0, 2, 0)
        return placed(joints[:, :2], labels, names, self._skeleton)


def _names_by_length(length: int) -> tuple[str, ...]:
    source = next((s for s in SKELETONS.values() if 3 * len(s) == length), None)
    if source is None:
        raise InputError(
            f"keypoints: expected three numbers for each of "
            f"{', '.join(str(len(s)) for s in SKELETONS.values())} joints, got {length} numbers"
        )
    return source.keypoint_names


def _person(
    item: Annotation, images: Mapping[int, Path], joints: _Joints
) -> tuple[Annotation, Person] | str:
    """An annotation, its parts joined, and its person; or why it holds none with a pose."""
    if item.get("iscrowd"):
        return "crowd region"
    if item.get("image_id") not in images:
        return "annotation of a missing image"
    whole = wholebody.joined(item) if wholebody.in_parts(item) else item
    if not any((whole.get("keypoints") or ())[2::3]):
        return "no keypoints"
    box = np.array(whole.get("bbox", ()), np.float32)
    if box.shape not in ((0,), (4,)) or not np.isfinite(box).all():
        raise InputError(f"bbox: expected four finite numbers, got {whole['bbox']}")
    if min(box[2:], default=0) <= 0:
        return "empty box"
    area = float(whole.get("area") or AREA_OF_BOX * box[2] * box[3])
    if not 0 < area < float("inf"):
        raise InputError(f"area: expected a positive number, got {area}")
    found = joints(whole)
    if not found[:, 2].any():
        return FOREIGN
    return whole, Person(whole["image_id"], whole["bbox"], area, found)
