# SPDX-License-Identifier: Apache-2.0
"""A data set to which teachers add: boxes that it misses, bodies, hands and faces.

What is written holds the whole set in Halpe's joints, the people as they were annotated and what
was added, and takes the set's place in training. Additions are marked under the key ``pseudo``.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.boxes import xywh_to_xyxy, xyxy_to_xywh
from alphapose_ros.base.errors import InputError
from alphapose_ros.base.records import Detections
from alphapose_ros.base.skeletons import HALPE136
from alphapose_ros.data.coco import persons_among, read_coco, read_image
from alphapose_ros.data.missed_boxes import ACCEPTED, BoxRules
from alphapose_ros.data.part_crops import Answer
from alphapose_ros.data.part_teachers import SIDES, FaceTeacher, HandTeacher, Subject
from alphapose_ros.data.people import (
    AREA_OF_BOX,
    FOREIGN,
    Annotation,
    People,
    image_entry,
    read_people,
)
from alphapose_ros.data.pseudo import AcceptanceRules, pseudo_label

FloatArray = NDArray[np.float32]
Counts = Counter[tuple[str, str]]  # (what, accepted or the reason why not) -> how many
_STILL_BOXES = ("no keypoints", "crowd region", FOREIGN)  # no pose to read, but a box to keep
_BODY = 17  # joints of COCO, which come first wherever a set has them


def nothing() -> None:
    """What is called after each image where nobody looks."""


@dataclass(frozen=True)
class PseudoSet:
    """A set in Halpe's joints.

    Attributes:
        folder: of the images.
        images: COCO's entries, of images that can be read.
        annotations: COCO's, with 136 joints in ``keypoints`` or without that key.
        problems: what was left out of the original, and why, with counts.
    """

    folder: Path
    images: tuple[dict[str, Any], ...]
    annotations: tuple[Annotation, ...]
    problems: Mapping[str, int] = field(default_factory=dict)

    def by_image(self) -> Iterator[tuple[dict[str, Any], list[Annotation]]]:
        """Every image's entry with its annotations."""
        rows: dict[int, list[Annotation]] = {entry["id"]: [] for entry in self.images}
        for item in self.annotations:
            rows[item["image_id"]].append(item)
        for entry in self.images:
            yield entry, rows[entry["id"]]

    def write(self, path: Path) -> None:
        """As a COCO-format file; an interrupted write leaves no half file under ``path``."""
        category = {"id": 1, "name": "person", "keypoints": list(HALPE136.keypoint_names)}
        content = {
            "images": self.images,
            "annotations": self.annotations,
            "categories": [category],
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(content), encoding="utf-8")
        partial.replace(path)


def open_set(annotations: Path, folder: Path) -> PseudoSet:
    """Read a COCO-format file: its people onto Halpe's joints, people without pose as they are.

    Boxes of other categories, where the file has several, are left out.

    Raises:
        InputError: it cannot be read, or its annotations lack numbers of their own.
    """
    posed: list[Annotation] = []

    def keep(item: Annotation) -> bool:
        posed.append(item)
        return True

    people = read_people(annotations, folder, keep=keep)
    content = read_coco(annotations)
    numbers = [item.get("id") for item in content["annotations"] if isinstance(item, dict)]
    if None in numbers or len(set(numbers)) < len(numbers):
        raise InputError(f"{annotations}: expected a number of its own (id) for each annotation")
    usable = set(people.images)
    images = [entry for entry in content["images"] if _path_of(entry, folder) in usable]
    known = {entry["id"] for entry in images}
    rows = {item["id"]: row for row, item in enumerate(posed)}
    persons, others = persons_among(content.get("categories")), 0
    out: list[Annotation] = []
    for item in content["annotations"]:
        if not isinstance(item, dict) or item.get("image_id") not in known:
            continue
        if item["id"] in rows:
            row = rows[item["id"]]
            out.append(_with_joints(posed[row], people, row))
        elif persons is not None and item.get("category_id", 1) not in persons:
            others += 1
        elif _has_box(item):
            out.append(_plain(item))
    lost = {why: count for why, count in people.problems.items() if why not in _STILL_BOXES}
    lost |= {"another category": others} if others else {}
    return PseudoSet(folder, tuple(images), tuple(out), lost)


def add_boxes(
    source: PseudoSet,
    detect: Callable[[NDArray[np.uint8]], Detections],
    rules: BoxRules,
    on_image: Callable[[], object] = nothing,
) -> tuple[PseudoSet, Counts]:
    """The set with the people whom it misses, as boxes only."""
    counts: Counts = Counter()
    added: list[Annotation] = []
    first = max((int(item["id"]) for item in source.annotations), default=0) + 1
    for entry, items in source.by_image():
        found = detect(read_image(source.folder / entry["file_name"]))
        annotated = xywh_to_xyxy([item["bbox"] for item in items])
        reasons = rules.refusals(found, annotated)
        counts.update(("boxes", reason) for reason in reasons)
        for row in (row for row, reason in enumerate(reasons) if reason == ACCEPTED):
            x, y, width, height = xyxy_to_xywh(found.boxes[row])[0].round(2).tolist()
            added.append({
                "id": first + len(added), "image_id": entry["id"], "category_id": 1, "iscrowd": 0,
                "bbox": [x, y, width, height], "area": round(AREA_OF_BOX * width * height, 1),
                "pseudo": {"box": round(float(found.scores[row]), 3)},
            })  # fmt: skip
        on_image()
    return replace(source, annotations=(*source.annotations, *added)), counts


def add_bodies(
    source: PseudoSet,
    teacher: Path,
    rules: AcceptanceRules,
    on_image: Callable[[], object] = nothing,
) -> tuple[PseudoSet, Counts]:
    """The set with poses of people who had a box only, by an ONNX network of Halpe's joints."""
    with tempfile.TemporaryDirectory() as folder:
        given, made = Path(folder) / "given.json", Path(folder) / "made.json"
        source.write(given)
        pseudo_label(teacher, given, source.folder, made, rules, on_image)
        told = {item["id"]: item for item in read_coco(made)["annotations"]}
    counts: Counts = Counter()
    out = []
    for item in source.annotations:
        if item["id"] in told:
            counts["bodies", ACCEPTED] += 1
            out.append(_marked(item, _joints(told[item["id"]]), body=1))
            continue
        out.append(item)
        if "keypoints" not in item and not item.get("iscrowd"):
            small = item["bbox"][3] < rules.min_height
            counts["bodies", "too small" if small else "too few sure joints"] += 1
    return replace(source, annotations=tuple(out)), counts


def add_parts(
    source: PseudoSet,
    hands: HandTeacher | None,
    faces: FaceTeacher | None,
    on_image: Callable[[], object] = nothing,
) -> tuple[PseudoSet, Counts]:
    """The set with hands and faces of people whose bodies are known."""
    counts: Counts = Counter()
    told: dict[int, Annotation] = {}
    for entry, items in source.by_image():
        posed = [item for item in items if "keypoints" in item]
        if posed:
            image = read_image(source.folder / entry["file_name"])
            people = [subject_of(item) for item in posed]
            for row, item in enumerate(posed):
                answers = dict(_parts_of(image, people, row, hands, faces))
                for part, answer in answers.items():
                    kind = "faces" if part == "face" else "hands"
                    accepted = isinstance(answer, Answer)
                    counts[kind, ACCEPTED if accepted else str(answer)] += 1
                told[item["id"]] = with_parts(item, answers, image.shape[:2])
        on_image()
    return replace(
        source, annotations=tuple(told.get(i["id"], i) for i in source.annotations)
    ), counts


def with_parts(
    item: Annotation, answers: Mapping[str, Answer | str], size_hw: Sequence[int]
) -> Annotation:
    """The annotation with those ``answers`` (by part) that are one; outside the image label 0."""
    out = item
    height, width = size_hw
    for part, answer in answers.items():
        if isinstance(answer, str):
            continue
        joints = _joints(out)
        points = answer.points
        inside = (points >= 0).all(1) & (points[:, 0] < width) & (points[:, 1] < height)
        labelled = np.column_stack([points, np.ones(len(points))]) * inside[:, None]
        joints[HALPE136.parts[part]] = labelled
        sure = [round(answer.presence, 3), round(answer.spread, 4)]
        out = _marked(out, joints, **{part: sure})
    return out


def subject_of(item: Annotation) -> Subject:
    """The person of an annotation with 136 joints; COCO's hidden joints are no evidence."""
    joints = _joints(item)
    labels = joints[:, 2].astype(np.uint8)
    evidence = labels.copy()
    if "coco_v" in item:
        evidence[:_BODY][(np.array(item["coco_v"]) != 2) & (labels[:_BODY] == 2)] = 0
    return Subject(joints[:, :2], labels, evidence)


def _parts_of(
    image: NDArray[np.uint8],
    people: Sequence[Subject],
    row: int,
    hands: HandTeacher | None,
    faces: FaceTeacher | None,
) -> Iterator[tuple[str, Answer | str]]:
    """Each part of person ``row`` that a teacher was asked for."""
    if faces is not None:
        yield "face", faces(image, people[row])
    if hands is None:
        return
    for side in SIDES:
        others = [
            place
            for k, person in enumerate(people)
            for name, place in person.wrists.items()
            if (k, name) != (row, side)
        ]
        apart = np.array(others, np.float32).reshape(-1, 2)
        yield f"{side}_hand", hands(image, people[row], side, apart)


def _with_joints(item: Annotation, people: People, row: int) -> Annotation:
    """The annotation in Halpe's joints; COCO's own v is kept beside them."""
    flat = item["keypoints"]
    joints = np.column_stack([people.keypoints[row], people.labels[row]])
    out = _marked(_plain(item), joints)
    own = np.array(flat[: 3 * _BODY], np.float32).reshape(-1, 3)
    body = joints[: len(own)]
    # Files may order their joints as they like: only where COCO's come first is this their v.
    in_order = len(own) == _BODY and np.array_equal(own[:, :2] * (own[:, 2:] > 0), body[:, :2])
    if "coco_v" not in item and in_order:
        out["coco_v"] = own[:, 2].astype(int).tolist()
    return out | {"area": float(people.areas[row])}


def _plain(item: Annotation) -> Annotation:
    """The annotation of a person without joints and without COCO-WholeBody's own lists."""
    gone = ("keypoints", "num_keypoints", "foot_kpts", "face_kpts", "lefthand_kpts")
    left = {k: v for k, v in item.items() if k not in (*gone, "righthand_kpts")}
    return left | {"category_id": 1}


def _marked(item: Annotation, joints: NDArray[Any], **marks: Any) -> Annotation:
    """The annotation with joints (136, 3) x, y, label, and what is pseudo about them."""
    out = item | {
        "keypoints": joints.astype(np.float64).round(2).reshape(-1).tolist(),
        "num_keypoints": int((joints[:, 2] > 0).sum()),
    }
    return out | {"pseudo": {**item.get("pseudo", {}), **marks}} if marks else out


def _joints(item: Annotation) -> FloatArray:
    return np.array(item["keypoints"], np.float32).reshape(len(HALPE136), 3)


def _path_of(entry: Any, folder: Path) -> Path | None:
    found = image_entry(entry, folder)
    return found[1] if found else None


def _has_box(item: Annotation) -> bool:
    try:
        box = np.array(item.get("bbox", ()), np.float64)
    except (TypeError, ValueError):
        return False
    return box.shape == (4,) and bool(np.isfinite(box).all()) and bool((box[2:] > 0).all())
