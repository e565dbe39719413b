# SPDX-License-Identifier: Apache-2.0
"""Small data sets in COCO's format, written where a test wants them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.skeletons import Skeleton

SIZE_HW = (120, 160)
BOX = [20.0, 10.0, 70.0, 100.0]


def save(path: Path, image: NDArray[np.uint8]) -> None:
    assert cv2.imwrite(str(path), image[..., ::-1])


def flat(skeleton: Skeleton, label: int = 2) -> list[float]:
    """Joint k at (k, k / 2)."""
    return [value for k in range(len(skeleton)) for value in (k, k / 2, label)]


def person(keypoints: Sequence[float], **other: Any) -> dict[str, Any]:
    return {"image_id": 7, "bbox": BOX, "area": 900.0, "keypoints": list(keypoints)} | other


def coco_file(folder: Path, people: Sequence[dict[str, Any]], name: str = "set.json") -> Path:
    """Image 7 exists, image 8 does not."""
    if not (folder / "a.png").exists():
        noise = np.random.default_rng(1).integers(0, 256, (*SIZE_HW, 3), dtype=np.uint8)
        save(folder / "a.png", noise)
    images = [{"id": 8, "file_name": "b.png"}, {"id": 7, "file_name": "a.png"}]
    path = folder / name
    path.write_text(json.dumps({"images": images, "annotations": list(people)}))
    return path
