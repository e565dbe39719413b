# SPDX-License-Identifier: Apache-2.0
"""Person boxes in COCO's format: one record per image, crowds kept apart as regions to ignore."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.boxes import clip_boxes, xywh_to_xyxy
from alphapose_ros.base.errors import InputError
from alphapose_ros.data.coco import image_number, read_coco, read_image
from alphapose_ros.data.file_names import image_path

FloatArray = NDArray[np.float32]
ImageArray = NDArray[np.uint8]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class BoxSample:
    """The people of one image.

    Attributes:
        image_id: the annotation file's id.
        path: the image file.
        size_hw: height and width in px, as annotated.
        boxes: (N, 4) people, xyxy px inside the image.
        ignore: (M, 4) regions where a person may or may not be (crowds).
    """

    image_id: int
    path: Path
    size_hw: tuple[int, int]
    boxes: FloatArray
    ignore: FloatArray


@dataclass(frozen=True)
class BoxDataset:
    """Images with their people, in the annotation file's order; ``missing`` lack their file."""

    samples: tuple[BoxSample, ...]
    missing: tuple[Path, ...] = ()

    def __len__(self) -> int:
        return len(self.samples)


def read_coco_boxes(
    annotations: str | Path, images_dir: str | Path, category: str = "person"
) -> BoxDataset:
    """Read a COCO annotation file; images without a file are left out, counted and reported.

    Images without any person stay in: they teach and test what is nobody.

    Raises:
        InputError: the file is no COCO annotation file, lacks the category, or no image is there.
    """
    content = read_coco(Path(annotations))
    try:
        samples = _samples(content, Path(images_dir), category)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InputError(
            f"{annotations}: expected COCO annotations with images, annotations and categories; "
            f"{type(error).__name__}: {error}"
        ) from error
    found = [_is_file(sample.path) for sample in samples]
    there = tuple(sample for sample, is_there in zip(samples, found, strict=True) if is_there)
    missing = tuple(s.path for s, is_there in zip(samples, found, strict=True) if not is_there)
    if missing:
        _log.warning(
            "%s: %d of %d images are missing in %s, the first is %s",
            annotations, len(missing), len(samples), images_dir, missing[0].name,
        )  # fmt: skip
    if not there:
        raise InputError(f"{annotations}: expected images in {images_dir}, found none of them")
    return BoxDataset(there, missing)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is longer than any
        return False


def _samples(content: dict[str, Any], folder: Path, category: str) -> list[BoxSample]:
    wanted = {item["id"] for item in content["categories"] if item["name"] == category}
    if not wanted:
        raise ValueError(f"no category {category!r}")
    people: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for row in content["annotations"]:
        if row["category_id"] in wanted:
            people[row["image_id"]].append(row)
    samples = []
    for image in content["images"]:
        size_hw = int(image["height"]), int(image["width"])
        rows = people[image["id"]]
        crowd = np.array([bool(row.get("iscrowd", 0)) for row in rows], bool)
        boxes = clip_boxes(xywh_to_xyxy([row["bbox"] for row in rows]), size_hw)
        sound = (boxes[:, 2:] > boxes[:, :2]).all(1)
        path = image_path(folder, image["file_name"])
        number = image_number(image["id"])
        samples.append(
            BoxSample(number, path, size_hw, boxes[sound & ~crowd], boxes[sound & crowd])
        )
    return samples


def readable(samples: Sequence[BoxSample]) -> tuple[list[BoxSample], list[Path]]:
    """Decode every image once: the samples that can be used, and the broken files (reported)."""
    good: list[BoxSample] = []
    broken: list[Path] = []
    for sample in samples:
        try:
            read_image(sample.path)
        except InputError:
            broken.append(sample.path)
        else:
            good.append(sample)
    if broken:
        _log.warning("%d broken images are left out, the first is %s", len(broken), broken[0])
    return good, broken
