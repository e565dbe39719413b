# SPDX-License-Identifier: Apache-2.0
"""Crops of people written as a Market-1501-style folder, with their joints beside them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.channels import red_blue_swapped
from alphapose_ros.base.errors import InputError
from alphapose_ros.base.skeletons import Skeleton
from alphapose_ros.data.reid_sets import POSES_FILE, Sighting

_DIGITS = 2  # of joints and boxes in the file, px


class CropFolder:
    """``folder.add(image, sighting)``, then ``close()``; read back by ``read_market``.

    Args:
        path: of the folder, made where it is missing.
        skeleton: of the joints.
        margin: factor from the box to the picture that is kept round it, so that training can
            move the box.
        largest: longer sides of a picture are shrunk to this, px.

    Raises:
        InputError: the folder has crops in it, whose people would become one with the new ones.
    """

    def __init__(
        self, path: Path, skeleton: Skeleton, *, margin: float = 1.5, largest: int = 256
    ) -> None:
        path.mkdir(parents=True, exist_ok=True)
        if next(path.glob("*.jpg"), None):
            # Numbers of people are those of one recording.
            raise InputError(f"{path}: expected an empty folder, got one with crops in it")
        self.path, self._skeleton = path, skeleton
        self._margin, self._largest = margin, largest
        self._crops: dict[str, Any] = {}

    def __len__(self) -> int:
        return len(self._crops)

    @property
    def people(self) -> int:
        """How many are in it."""
        return len(set(map(_person, self._crops)))

    def add(self, image: NDArray[np.uint8], seen: Sighting) -> Path:
        """Write the crop of a box (xyxy px) of an RGB image; ``seen.image`` is not looked at.

        Raises:
            InputError: the box lies outside the image, or the file cannot be written.
        """
        box = np.array(seen.box, np.float32)
        middle = np.tile((box[:2] + box[2:]) / 2, 2)
        outer = middle + (box - middle) * self._margin
        low = np.maximum(np.floor(outer[:2]), 0).astype(int)
        high = np.minimum(np.ceil(outer[2:]), image.shape[1::-1]).astype(int)
        if (high <= low).any():
            raise InputError(f"box: expected one within {image.shape[:2]}, got {box.tolist()}")
        pixels = image[low[1] : high[1], low[0] : high[0]]
        factor = min(1.0, self._largest / max(pixels.shape[:2]))
        if factor < 1:
            size = max(1, round(pixels.shape[1] * factor)), max(1, round(pixels.shape[0] * factor))
            pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
        name = self._name(seen)
        path = self.path / name
        quality = [cv2.IMWRITE_JPEG_QUALITY, 92]
        encoded = cv2.imencode(path.suffix, red_blue_swapped(pixels), quality)[1]
        try:  # not cv2.imwrite, which crashes where a name is no UTF-8
            path.write_bytes(encoded.tobytes())
        except OSError as error:
            raise InputError(f"{path}: cannot be written: {error}") from error
        self._note(name, seen, low, factor)
        return path

    def close(self, least: int = 1) -> None:
        """Write the joints; people with fewer crops than ``least`` are taken out again."""
        counts = Counter(map(_person, self._crops))
        for name in [name for name in self._crops if counts[_person(name)] < least]:
            (self.path / name).unlink(missing_ok=True)
            del self._crops[name]
        content = {"skeleton": self._skeleton.name, "crops": self._crops}
        (self.path / POSES_FILE).write_text(json.dumps(content), encoding="utf-8")

    def _name(self, seen: Sighting) -> str:
        identity = f"{seen.identity:04d}" if seen.identity >= 0 else "-1"
        milliseconds = 0 if np.isnan(seen.time_s) else round(seen.time_s * 1000)
        prefix = f"{identity}_c{max(seen.camera, 0)}s1_{milliseconds:06d}"
        number = sum(name.startswith(prefix) for name in self._crops)
        return f"{prefix}_{number:02d}.jpg"

    def _note(self, name: str, seen: Sighting, low: NDArray[np.intp], factor: float) -> None:
        joints = np.zeros((len(self._skeleton), 3)) if seen.joints is None else seen.joints.copy()
        joints[:, :2] = np.where(joints[:, 2:] > 0, (joints[:, :2] - low) * factor, 0)
        box = (np.array(seen.box).reshape(2, 2) - low) * factor
        self._crops[name] = {
            "box": np.round(box.ravel().astype(float), _DIGITS).tolist(),
            "time_s": 0.0 if np.isnan(seen.time_s) else seen.time_s,
            "keypoints": np.round(joints.astype(float), _DIGITS).ravel().tolist(),
        }


def _person(name: str) -> str:
    return name.partition("_")[0]
