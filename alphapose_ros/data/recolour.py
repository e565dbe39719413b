# SPDX-License-Identifier: Apache-2.0
"""The same person in other clothes: upper and lower body each get another hue, depth and light.

A data set of people who were seen once has as many clothes as people. Another colour makes
somebody new of the same pixels, of whom a teacher can say whom he is like.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from alphapose_ros.base.skeletons import Skeleton
from alphapose_ros.data.augment import Crop
from alphapose_ros.data.reid_sets import Sightings

_SOFT = 0.03  # of the crop's height, over which one half goes over into the other
_HALVES = 2
_DEPTH, _LIGHT = (-0.8, 0.6), (-0.4, 0.4)  # logarithms of the factors of saturation and of value


@dataclass(frozen=True)
class Colours:
    """Of upper and lower half each: hue's shift in degrees, factors of saturation and value."""

    hues: tuple[float, ...] = (0.0,) * _HALVES
    depths: tuple[float, ...] = (1.0,) * _HALVES
    lights: tuple[float, ...] = (1.0,) * _HALVES


def colours(seed: int, person: int, number: int) -> Colours:
    """Colouring ``number`` of a person; 0 leaves everything as it is."""
    if number == 0:
        return Colours()
    rng = np.random.default_rng((seed, person, number))
    return Colours(
        tuple(rng.uniform(0, 360, _HALVES).tolist()),
        tuple(np.exp(rng.uniform(*_DEPTH, _HALVES)).tolist()),
        tuple(np.exp(rng.uniform(*_LIGHT, _HALVES)).tolist()),
    )


def person_colours(people: Sightings, row: int, number: int, seed: int) -> Colours:
    """:func:`colours` of who is seen in a row: in all sightings the same."""
    return colours(seed, max(0, int(people.identities[row])), number)


def recoloured(crop: Crop, skeleton: Skeleton, chosen: Colours) -> NDArray[np.uint8]:
    """A crop's RGB pixels in other colours, halved at the hips, else at its middle."""
    image = crop.image
    if chosen == Colours():
        return image
    names = skeleton.keypoint_names
    hips = [i for i, name in enumerate(names) if name.endswith("_hip") and crop.labels[i]]
    height = image.shape[0]
    waist = float(crop.points[hips, 1].mean()) if hips else height / 2
    rows = np.arange(height, dtype=np.float32)
    lower = (1 / (1 + np.exp(-(rows - waist) / max(1.0, _SOFT * height))))[:, None, None]
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV_FULL).astype(np.float32)
    halves = [_shifted(hsv, chosen, half).astype(np.float32) for half in range(_HALVES)]
    return np.asarray(halves[0] + (halves[1] - halves[0]) * lower, np.uint8)


def _shifted(hsv: NDArray[np.float32], chosen: Colours, half: int) -> NDArray[np.uint8]:
    """RGB of the whole crop in one half's colours."""
    out = hsv.copy()
    out[..., 0] = (out[..., 0] + chosen.hues[half] * 256 / 360) % 256
    out[..., 1] *= chosen.depths[half]
    out[..., 2] *= chosen.lights[half]
    return np.asarray(
        cv2.cvtColor(out.clip(0, 255).astype(np.uint8), cv2.COLOR_HSV2RGB_FULL), np.uint8
    )
