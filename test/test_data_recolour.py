# SPDX-License-Identifier: Apache-2.0
"""The same person in other clothes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from alphapose_ros.base.skeletons import HALPE26
from alphapose_ros.data.augment import Crop
from alphapose_ros.data.recolour import Colours, colours, person_colours, recoloured
from alphapose_ros.data.reid_sets import Sighting, sightings

UPPER, LOWER = slice(0, 30), slice(70, 100)


def person(waist: float | None) -> Crop:
    """Red above, green below row 50."""
    image = np.zeros((100, 40, 3), np.uint8)
    image[:50], image[50:] = (200, 40, 40), (40, 200, 40)
    points = np.zeros((len(HALPE26), 2), np.float32)
    labels = np.zeros(len(HALPE26), np.uint8)
    if waist is not None:
        for name in ("left_hip", "right_hip"):
            row = HALPE26.keypoint_names.index(name)
            points[row], labels[row] = (20, waist), 255
    return Crop(image, points, labels)


def test_halves_change_on_their_own() -> None:
    crop = person(50)
    before = crop.image.copy()
    blue = recoloured(crop, HALPE26, Colours((240, 0), (1, 1), (1, 1)))
    np.testing.assert_allclose(blue[UPPER].reshape(-1, 3).mean(0), [40, 40, 200], atol=8)
    np.testing.assert_allclose(blue[LOWER], crop.image[LOWER], atol=3)
    dark = recoloured(crop, HALPE26, Colours((0, 0), (1, 0), (1, 0.5)))
    np.testing.assert_allclose(dark[UPPER], crop.image[UPPER], atol=3)
    np.testing.assert_allclose(dark[LOWER], 100, atol=3)  # grey, half as light
    assert np.array_equal(crop.image, before)


def test_the_waist_is_at_the_hips_or_in_the_middle() -> None:
    chosen = Colours((0, 0), (1, 1), (1, 0.2))
    for waist, expected in ((None, 50), (30, 30), (65, 65)):
        crop = person(waist)
        ratio = recoloured(crop, HALPE26, chosen).max(2)[:, 0] / crop.image.max(2)[:, 0]
        assert abs(int(np.argmax(ratio < 0.6)) - expected) <= 2


def test_the_first_colouring_is_the_persons_own() -> None:
    assert colours(3, 7, 0) == Colours()
    crop = person(50)
    assert recoloured(crop, HALPE26, colours(3, 7, 0)) is crop.image
    assert colours(3, 7, 1) == colours(3, 7, 1)
    others = [colours(3, 7, 2), colours(3, 8, 1), colours(4, 7, 1)]
    assert all(each != colours(3, 7, 1) for each in others)


def test_every_sighting_of_a_person_wears_the_same() -> None:
    people = sightings([Sighting(Path(f"{i}.png"), identity=i // 2) for i in range(4)], HALPE26)
    chosen = [person_colours(people, row, 1, 0) for row in range(4)]
    assert chosen[0] == chosen[1] != chosen[2] == chosen[3]
    nobody = sightings([Sighting(Path("a.png"))], HALPE26)
    assert person_colours(nobody, 0, 1, 0) == colours(0, 0, 1)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_any_picture_stays_a_picture(number: int, rng: np.random.Generator) -> None:
    crop = Crop(
        rng.integers(0, 256, (64, 32, 3), dtype=np.uint8),
        np.zeros((len(HALPE26), 2), np.float32),
        np.zeros(len(HALPE26), np.uint8),
    )
    found = recoloured(crop, HALPE26, colours(0, 1, number))
    assert found.shape == crop.image.shape
    assert found.dtype == np.uint8
    edges = [cv2.Laplacian(each.max(2), cv2.CV_32F).std() for each in (crop.image, found)]
    assert edges[1] > 0.2 * edges[0]  # what is on the clothes stays
