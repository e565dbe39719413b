# SPDX-License-Identifier: Apache-2.0
"""Augmentation for person detection: scale and shift, mosaic, mirror, colour.

Everything is drawn from the generator that is handed in. People who end up mostly outside or
tiny become regions to ignore: neither "person" nor "nobody" would be true of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.boxes import box_area, clip_boxes
from alphapose_ros.base.errors import ConfigError

FloatArray = NDArray[np.float32]
ImageArray = NDArray[np.uint8]
PAD = 114


@dataclass(frozen=True)
class BoxAugmentConfig:
    """How much the images are varied.

    Attributes:
        mosaic: probability of four images in one.
        rescale: probability that a single image is not just fitted to the canvas.
        scale_low, scale_high: range of the random scale relative to fitting, log-uniform.
        flip: probability of mirroring.
        colour: probability of changed hue, saturation, brightness and contrast.
        min_visible: share of a box's area that must remain, else it is ignored.
        min_side_px: shorter side below which a box is ignored.
    """

    mosaic: float = 0.25
    rescale: float = 0.6
    scale_low: float = 0.4
    scale_high: float = 1.6
    flip: float = 0.5
    colour: float = 0.5
    min_visible: float = 0.35
    min_side_px: float = 4.0

    def __post_init__(self) -> None:
        for name in ("mosaic", "rescale", "flip", "colour", "min_visible"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name}: expected 0..1, got {getattr(self, name)}")
        if not 0 < self.scale_low <= self.scale_high:
            raise ConfigError(
                f"expected 0 < scale_low <= scale_high, got {self.scale_low} and {self.scale_high}"
            )


@dataclass(frozen=True)
class BoxImage:
    """An RGB image (H, W, 3) uint8 with people (N, 4) and regions to ignore (M, 4), xyxy px."""

    image: ImageArray
    boxes: FloatArray
    ignore: FloatArray


def compose(
    draw_image: Callable[[], BoxImage],
    canvas_hw: tuple[int, int],
    config: BoxAugmentConfig,
    rng: np.random.Generator,
) -> BoxImage:
    """One training sample of ``canvas_hw``; ``draw_image`` gives a fresh source at each call."""
    height, width = canvas_hw
    canvas = np.full((height, width, 3), PAD, np.uint8)
    if rng.random() < config.mosaic:
        x, y = (int(side * rng.uniform(0.3, 0.7)) for side in (width, height))
        windows = [(0, 0, x, y), (x, 0, width, y), (0, y, x, height), (x, y, width, height)]
        parts = [
            _place(canvas, draw_image(), w, _scale(config, rng), config, rng) for w in windows
        ]
    else:
        scale = _scale(config, rng) if rng.random() < config.rescale else 1.0
        parts = [_place(canvas, draw_image(), (0, 0, width, height), scale, config, rng)]
    boxes = np.concatenate([part[0] for part in parts])
    ignore = np.concatenate([part[1] for part in parts])
    if rng.random() < config.flip:
        canvas = np.ascontiguousarray(canvas[:, ::-1])
        boxes, ignore = mirror_boxes(boxes, width), mirror_boxes(ignore, width)
    if rng.random() < config.colour:
        canvas = _recolour(canvas, rng)
    return BoxImage(canvas, boxes, ignore)


def mirror_boxes(boxes: FloatArray, width: float) -> FloatArray:
    """(N, 4) xyxy in the mirror image; edges are continuous, so x is ``width - x``."""
    out = boxes.copy()
    out[:, [0, 2]] = width - boxes[:, [2, 0]]
    return out


def _scale(config: BoxAugmentConfig, rng: np.random.Generator) -> float:
    return float(np.exp(rng.uniform(np.log(config.scale_low), np.log(config.scale_high))))


def _place(
    canvas: ImageArray,
    source: BoxImage,
    window: tuple[int, int, int, int],
    scale: float,
    config: BoxAugmentConfig,
    rng: np.random.Generator,
) -> tuple[FloatArray, FloatArray]:
    """Paste ``source`` into a window of the canvas at a random shift: its boxes and ignores."""
    left, top, right, bottom = window
    source_hw = np.array(source.image.shape[:2])
    room_hw = np.array([bottom - top, right - left])
    fit = min(room_hw / source_hw) * scale
    size = np.maximum(1, np.round(source_hw * fit)).astype(int)
    # Sources shrink with either filter at random: cameras and letterboxes differ in theirs.
    method = cv2.INTER_AREA if fit < 1 and rng.random() < 0.5 else cv2.INTER_LINEAR
    image = cv2.resize(source.image, (int(size[1]), int(size[0])), interpolation=method)
    slack = room_hw - size
    shift = rng.integers(np.minimum(slack, 0), np.maximum(slack, 0) + 1)  # (2,) y, x
    low, high = np.maximum(shift, 0), np.minimum(shift + size, room_hw)
    part = image[low[0] - shift[0] : high[0] - shift[0], low[1] - shift[1] : high[1] - shift[1]]
    canvas[top + low[0] : top + high[0], left + low[1] : left + high[1]] = part
    factor = np.tile((size / source_hw)[::-1], 2)
    offset = np.tile([left + shift[1], top + shift[0]], 2)
    limits = np.array([left, top, left, top], np.float32)

    def moved(boxes: FloatArray) -> tuple[FloatArray, FloatArray]:
        whole = (boxes * factor + offset).astype(np.float32)
        return whole, clip_boxes(whole - limits, (bottom - top, right - left)) + limits

    whole, boxes = moved(source.boxes)
    _, ignore = moved(source.ignore)
    sides = boxes[:, 2:] - boxes[:, :2]
    visible = box_area(boxes) / np.maximum(box_area(whole), 1e-6)
    kept = (visible >= config.min_visible) & (sides.min(1, initial=1e9) >= config.min_side_px)
    return boxes[kept], _with_area(np.concatenate([ignore, boxes[~kept]]))


def _with_area(boxes: FloatArray) -> FloatArray:
    return boxes[box_area(boxes) > 0]


def _recolour(image: ImageArray, rng: np.random.Generator) -> ImageArray:
    """Hue by up to 5 degrees, saturation by up to 40 %, then brightness and contrast."""
    hue, saturation = rng.uniform(-5, 5), rng.uniform(0.6, 1.4)
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV).astype(np.int16)
    hsv[..., 0] = (hsv[..., 0] + round(hue / 2)) % 180  # OpenCV counts hue in 2 degrees
    hsv[..., 1] = np.clip(hsv[..., 1] * saturation, 0, 255)
    rgb = cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2RGB)
    contrast, brightness = rng.uniform(0.75, 1.25), rng.uniform(-25, 25)
    table = np.clip((np.arange(256) - 128.0) * contrast + 128 + brightness, 0, 255)
    return np.asarray(cv2.LUT(rgb, table.astype(np.uint8)), np.uint8)
