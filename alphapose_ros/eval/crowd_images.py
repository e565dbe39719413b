# SPDX-License-Identifier: Apache-2.0
"""Pictures of the simulated crowd, its people made of crops of real ones.

A crop track is one identity: boxes cut from a recording.
Each visit is played from a part of the track of its own, and two parts lie at least ``GAP_S``
apart: nobody comes back with the pixels he left with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.boxes import clip_boxes
from alphapose_ros.base.errors import InputError, require
from alphapose_ros.base.records import ImageArray
from alphapose_ros.eval.crowd import CrowdFrame
from alphapose_ros.eval.crowd_config import CrowdConfig
from alphapose_ros.eval.crowd_scene import SeenPeople, visibility_of
from alphapose_ros.io.source_base import INSTALL_OPENCV

GAP_S = 2.0
LEAST_S = 0.5  # shortest part of a track that makes a visit
_SOFT = 0.15  # of a crop's half side, over which it fades into the picture
_WIDEST = 0.5  # of the height: of a wider crop the middle is shown
_MARGIN = 0.6  # of the background around the first picture, in image sides


@dataclass(frozen=True)
class CropTrack:
    """One identity: RGB crops and when each was taken, (C,) s, rising."""

    name: str
    times: NDArray[np.float64]
    images: tuple[ImageArray, ...]

    @property
    def parts(self) -> list[NDArray[np.intp]]:
        """Rows of each part that can make a visit; at least one."""
        begin, span = self.times[0], self.times[-1] - self.times[0]
        count = max(int((span + GAP_S) / (LEAST_S + GAP_S)), 1)
        length = (span - (count - 1) * GAP_S) / count
        starts = begin + np.arange(count) * (length + GAP_S)
        parts = [
            np.flatnonzero((self.times >= start - 1e-9) & (self.times <= start + length + 1e-9))
            for start in starts
        ]
        return [part for part in parts if len(part)]

    def at(self, visit: int, time_s: float) -> ImageArray:
        """The crop of a moment of a visit: its part, played to and fro."""
        part = self.parts[visit]
        times = self.times[part] - self.times[part[0]]
        length = max(float(times[-1]), 1e-3)
        phase = time_s % (2 * length)
        place = phase if phase <= length else 2 * length - phase
        return self.images[part[int(np.abs(times - place).argmin())]]


def visits_of(tracks: Sequence[CropTrack]) -> list[int]:
    """How many visits each identity can make: the ``visits`` of :func:`simulate`."""
    return [len(track.parts) for track in tracks]


class CrowdPainter:
    """``painter(frame)`` -> the picture, and the people with the boxes that they have in it.

    Call it for the frames in their order: the background follows the camera from one to the next.

    Args:
        config: of the crowd; person k of it is played by the k-th track.
        tracks: of at least as many identities as the crowd has people.
        seed: of the background.

    Raises:
        InputError: there are too few tracks.
    """

    def __init__(self, config: CrowdConfig, tracks: Sequence[CropTrack], seed: int = 0) -> None:
        if len(tracks) < config.people:
            raise InputError(
                f"crowd: expected crops of {config.people} people, got those of {len(tracks)}"
            )
        self._cv2: Any = require("cv2", needed_for="pictures of crowds", install=INSTALL_OPENCV)
        self._tracks, self._hw = list(tracks), config.image_hw
        self._canvas, self._place = self._background(np.random.default_rng(seed))
        self._turned = np.eye(3)

    def __call__(self, frame: CrowdFrame) -> tuple[ImageArray, SeenPeople]:
        """People from far to near, each over what is behind; their visibility is the picture's."""
        self._turned = frame.homography @ self._turned
        height, width = self._hw
        image = self._cv2.warpPerspective(
            self._canvas, self._turned @ self._place, (width, height), borderMode=2
        )
        whole = frame.people.whole_boxes.copy()
        crops: list[ImageArray] = []
        for row, (name, visit) in enumerate(
            zip(frame.people.names.tolist(), frame.people.visits.tolist(), strict=True)
        ):
            crop = _slim(self._tracks[name - 1].at(visit, frame.time_s))
            whole[row] = _as_wide_as(crop, whole[row])
            crops.append(crop)
        order = np.argsort(-np.concatenate([frame.people.depths, frame.things.depths]))
        for k in order.tolist():
            if k < len(crops):
                self._paste(image, crops[k], whole[k])
            else:
                self._fill(image, frame.things.boxes[k - len(crops)], k - len(crops))
        boxes = clip_boxes(whole, self._hw)
        inside = (boxes[:, 2:] - boxes[:, :2] > 1).all(1)
        visibility, _ = visibility_of(
            whole, frame.people.depths, np.asarray(inside), frame.things, self._hw
        )
        shown = replace(frame.people, boxes=boxes, whole_boxes=whole, visibility=visibility)
        return image, shown

    def _background(self, rng: np.random.Generator) -> tuple[ImageArray, NDArray[np.float64]]:
        """A blotchy canvas larger than the picture, and where its pixels are in the first one."""
        height, width = (round(side * (1 + 2 * _MARGIN)) for side in self._hw)
        canvas = np.zeros((height, width, 3), np.float32)
        for cells in (6, 24, 96):
            grid = rng.normal(size=(cells, cells, 3)) + 2 * rng.normal(size=(cells, cells, 1))
            blot = self._cv2.resize(grid.astype(np.float32), (width, height), interpolation=2)
            canvas += blot * 25 / cells**0.2
        place = np.eye(3)
        place[:2, 2] = [-_MARGIN * self._hw[1], -_MARGIN * self._hw[0]]
        return np.clip(canvas + 120, 0, 255).astype(np.uint8), place

    def _paste(self, image: ImageArray, crop: ImageArray, box: NDArray[np.float32]) -> None:
        left, top, right, bottom = np.round(box).astype(int).tolist()
        size = (max(right - left, 2), max(bottom - top, 2))
        pasted = self._cv2.resize(crop, size, interpolation=3 if size[0] < crop.shape[1] else 1)
        alpha = _mask(size)[..., None]
        height, width = self._hw
        rows = slice(max(top, 0), min(top + size[1], height))
        columns = slice(max(left, 0), min(left + size[0], width))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return
        part = np.s_[
            rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
        ]
        under = image[rows, columns].astype(np.float32)
        mixed = under + alpha[part] * (pasted[part] - under)
        image[rows, columns] = np.round(mixed).astype(np.uint8)

    def _fill(self, image: ImageArray, box: NDArray[np.float32], number: int) -> None:
        left, top, right, bottom = clip_boxes(box[None], self._hw)[0].round().astype(int).tolist()
        shade = 60 + 35 * (number % 4)
        image[top:bottom, left:right] = (shade, shade - 10, shade - 25)


def _as_wide_as(crop: ImageArray, box: NDArray[np.float32]) -> NDArray[np.float32]:
    """The box of the same height and middle with the crop's proportions."""
    half = (box[3] - box[1]) * crop.shape[1] / crop.shape[0] / 2
    middle = (box[0] + box[2]) / 2
    return np.array([middle - half, box[1], middle + half, box[3]], np.float32)


def _slim(crop: ImageArray) -> ImageArray:
    """The middle of a crop that is wider than people who walk: a table beside them, say."""
    excess = crop.shape[1] - max(round(_WIDEST * crop.shape[0]), 1)
    return crop if excess <= 0 else crop[:, excess // 2 : crop.shape[1] - (excess - excess // 2)]


def _mask(size: tuple[int, int]) -> NDArray[np.float64]:
    """(H, W) opacity of a crop of ``size`` (width, height): a rounded frame, soft at its edge."""
    across, down = (np.abs(np.linspace(-1, 1, side)) ** 4 for side in size)
    outward = (across[None] + down[:, None]) ** 0.25
    return np.asarray(np.clip((1.05 - outward) / _SOFT, 0, 1))
