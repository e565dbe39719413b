# SPDX-License-Identifier: Apache-2.0
"""Annotated people: any COCO-format file becomes one record with per-joint masks.

A joint's label is 2 (annotated), 1 (derived or pseudo-labelled) or 0. Zero means "not known", not
"not visible": such a joint counts in no loss and in no metric.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.boxes import xywh_to_xyxy
from alphapose_ros.base.errors import InputError
from alphapose_ros.base.rows import Rows, array
from alphapose_ros.base.skeletons import HALPE136, SKELETONS, Skeleton
from alphapose_ros.data.coco import read_coco

Annotation = dict[str, Any]
_AREA_OF_BOX = 0.53  # what COCO-WholeBody's own evaluation takes


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


def read_people(
    annotations: Path,
    images_dir: Path,
    skeleton: Skeleton = HALPE136,
    keep: Callable[[Annotation], bool] = lambda _: True,
) -> People:
    """Read people with keypoints from a COCO-format file.

    The file's keypoint set is told by the length of its ``keypoints`` and mapped onto
    ``skeleton`` by names; crowd regions and people without a labelled joint are left out.

    Raises:
        InputError: the file is missing, is not such a file, or its images are nowhere.
    """
    content = read_coco(annotations)
    problems: dict[str, int] = defaultdict(int)
    positions: dict[int, int] = {}
    images: list[Path] = []
    for entry in content["images"]:
        path = images_dir / entry["file_name"]
        if path.exists():
            positions[entry["id"]] = len(images)
            images.append(path)
        else:
            problems["missing image"] += 1
    if not images:
        raise InputError(f"{images_dir}: expected the images of {annotations}, found none of them")
    rows: list[tuple[int, Annotation, NDArray[np.float32]]] = []
    for item in content["annotations"]:
        fault = _fault(item, positions)
        if fault is None and keep(item):
            try:
                joints = _mapped(item["keypoints"], skeleton)
            except InputError as error:
                raise InputError(f"{annotations}: {error}") from error
            rows.append((positions[item["image_id"]], item, joints))
        elif fault is not None:
            problems[fault] += 1
    keypoints = np.array([k for _, _, k in rows], np.float32).reshape(-1, len(skeleton), 3)
    boxes = xywh_to_xyxy([item["bbox"] for _, item, _ in rows])
    return People(
        np.array([row for row, _, _ in rows], np.int64),
        np.array([item["image_id"] for _, item, _ in rows], np.int64),
        boxes,
        np.array([_area(item) for _, item, _ in rows], np.float32),
        keypoints[..., :2],
        keypoints[..., 2].astype(np.uint8),
        tuple(images),
        skeleton,
        dict(problems),
    )


def _fault(item: Annotation, positions: dict[int, int]) -> str | None:
    """Why an annotation is not a person with a pose, or None."""
    if item.get("iscrowd"):
        return "crowd region"
    if item.get("image_id") not in positions:
        return "annotation of a missing image"
    if not any((item.get("keypoints") or ())[2::3]):
        return "no keypoints"
    if min(item.get("bbox", ())[2:], default=0) <= 0:
        return "empty box"
    return None


def _area(item: Annotation) -> float:
    """The annotated area, or where there is none the usual share of the box."""
    return float(item.get("area") or _AREA_OF_BOX * item["bbox"][2] * item["bbox"][3])


def _mapped(flat: list[float], skeleton: Skeleton) -> NDArray[np.float32]:
    """Flat (x, y, v) triples of a known set -> (K, 3) of ``skeleton``.

    In COCO's own sets v = 1 means annotated but hidden, a label like any other; in Halpe-136
    files, which mix sources, it means derived or pseudo-labelled.
    """
    source = next((s for s in SKELETONS.values() if 3 * len(s) == len(flat)), None)
    if source is None:
        raise InputError(
            f"keypoints: expected three numbers for each of "
            f"{', '.join(str(len(s)) for s in SKELETONS.values())} joints, got {len(flat)} numbers"
        )
    joints = np.array(flat, np.float32).reshape(-1, 3)
    if source is not HALPE136:
        joints[:, 2] = 2 * (joints[:, 2] > 0)
    index = skeleton.source_of(source)
    return np.where((index >= 0)[:, None], joints[index], 0).astype(np.float32)
