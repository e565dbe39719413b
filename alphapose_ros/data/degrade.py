# SPDX-License-Identifier: Apache-2.0
"""What a robot's camera and surroundings do to a crop: things in front, blur, few pixels, JPEG.

Points stay where they are; a joint behind something keeps its label, since annotators too label
joints that they infer.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.channels import red_blue_swapped
from alphapose_ros.base.skeletons import Skeleton
from alphapose_ros.data.augment import AugmentConfig, Crop
from alphapose_ros.data.pasting import soft_shape

Image = NDArray[np.uint8]
FloatArray = NDArray[np.float32]

_ENLARGING = (cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_NEAREST)
_TRUNK = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")


def degrade(image: Image, config: AugmentConfig, rng: np.random.Generator) -> Image:
    """Occlusion, blur, low resolution, compression and colour, each with its own probability."""
    out = _occluded(image, rng) if rng.random() < config.occlusion_probability else image
    if rng.random() < config.blur_probability:
        out = _motion_blurred(out, rng) if rng.random() < 0.5 else _out_of_focus(out, rng)
    compress = rng.random() < config.jpeg_probability
    if rng.random() < config.low_resolution_probability:
        out = _low_resolution(out, compress, rng)
    elif compress:
        out = jpeg(out, int(rng.integers(15, 75)))
    gain = np.exp(rng.normal(0, config.colour / 2)) * np.exp(rng.normal(0, config.colour / 5, 3))
    contrast = np.exp(rng.normal(0, config.colour / 2))
    grey = rng.random() < 0.05 * min(1.0, config.colour / 0.3)
    mean = out.mean()
    toned = (out.astype(np.float32) - mean) * contrast + mean
    if grey:
        toned = np.repeat(toned.mean(2, keepdims=True), 3, 2)
    return np.clip(toned * gain.astype(np.float32), 0, 255).round().astype(np.uint8)


def jpeg(image: Image, quality: int) -> Image:
    """The RGB image after JPEG compression."""
    done, data = cv2.imencode(".jpg", red_blue_swapped(image), [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done, "a uint8 image can always be compressed"
    decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
    return red_blue_swapped(decoded)


def person_in_front(
    image: Image, other: Crop, skeleton: Skeleton, rng: np.random.Generator
) -> Image:
    """``image`` (h, w, 3) with the person of another crop standing beside and partly before it.

    The other person is cut out along limbs and trunk and shifted by a fifth to three fifths
    of the width to one side; without enough known joints the image stays as it is.
    """
    mask = body_mask(other, skeleton)
    scale = rng.uniform(0.6, 1.1)
    side = 1 if rng.random() < 0.5 else -1
    height, width = image.shape[:2]
    aside, down = rng.uniform(0.2, 0.6) * side * width, rng.uniform(-0.1, 0.3) * height
    if mask is None:
        return image
    middle = np.array([width, height]) / 2
    shift = middle - scale * middle + (aside, down)
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float32)
    over = cv2.warpAffine(other.image, matrix, (width, height), flags=cv2.INTER_LINEAR)
    alpha = cv2.warpAffine(mask, matrix, (width, height), flags=cv2.INTER_LINEAR)[..., None]
    return np.clip(image + (over.astype(np.float32) - image) * alpha, 0, 255).astype(np.uint8)


def body_mask(crop: Crop, skeleton: Skeleton) -> FloatArray | None:
    """(h, w) 1 on limbs, head and trunk, soft at the edges; None where too little is known."""
    body = skeleton.parts.get("body", slice(0, len(skeleton)))
    known = np.zeros(len(skeleton), bool)
    known[body] = crop.labels[body] > 0
    if known.sum() < 6:
        return None
    extent = float(np.ptp(crop.points[known], 0).max())
    thick = max(2.0, 0.045 * extent)  # half of a limb, clothes included
    size_hw = crop.image.shape[0], crop.image.shape[1]
    names = skeleton.keypoint_names
    trunk = [names.index(n) for n in _TRUNK if n in names and known[names.index(n)]]
    pieces = [pair for pair in skeleton.edges if known[list(pair)].all()]
    trunks = [trunk] if len(trunk) > 2 else []
    return soft_shape(crop.points, [*pieces, *trunks], thick, size_hw)


def _low_resolution(image: Image, compress: bool, rng: np.random.Generator) -> Image:
    """A person of 50 to 170 rows, with noise and JPEG blocks as large as they are there."""
    factor = rng.uniform(1.5, 5)
    height, width = image.shape[:2]
    size = max(8, int(width / factor)), max(8, int(height / factor))
    little = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    noise = rng.normal(0, rng.uniform(0, 6), little.shape)
    little = np.clip(little + noise, 0, 255).round().astype(np.uint8)
    if compress:
        little = jpeg(little, int(rng.integers(30, 85)))
    method = _ENLARGING[int(rng.choice(3, p=(0.6, 0.3, 0.1)))]
    return np.asarray(cv2.resize(little, (width, height), interpolation=method), np.uint8)


def _motion_blurred(image: Image, rng: np.random.Generator) -> Image:
    """Moved along a line of 3 to 14 px during the exposure, symmetric so that no point shifts."""
    length, angle = rng.uniform(3, 14), rng.uniform(0, np.pi)
    reach = int(np.ceil(length / 2))
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    steps = np.linspace(-length / 2, length / 2, 8 * reach + 1)
    xs, ys = reach + steps * np.cos(angle), reach + steps * np.sin(angle)
    np.add.at(kernel, (np.rint(ys).astype(int), np.rint(xs).astype(int)), 1)
    kernel = kernel + kernel[::-1, ::-1]
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.uint8)


def _out_of_focus(image: Image, rng: np.random.Generator) -> Image:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.6, 3)), np.uint8)


def _occluded(image: Image, rng: np.random.Generator) -> Image:
    """Two rectangles, each filled with another part of the crop or with noise."""
    out = image.copy()
    height, width = image.shape[:2]
    for _ in range(2):
        h, w = int(rng.uniform(0.06, 0.25) * height), int(rng.uniform(0.08, 0.3) * width)
        y, x = int(rng.integers(0, height - h)), int(rng.integers(0, width - w))
        if rng.random() < 0.7:
            v, u = int(rng.integers(0, height - h)), int(rng.integers(0, width - w))
            patch = image[v : v + h, u : u + w][::-1]
        else:
            patch = rng.integers(0, 256, (h, w, 3), dtype=np.uint8)
        out[y : y + h, x : x + w] = patch
    return out
