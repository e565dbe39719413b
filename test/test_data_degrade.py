# SPDX-License-Identifier: Apache-2.0
"""Spoilt pixels: each effect does what its name says and moves nothing."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from alphapose_ros.base.skeletons import HALPE136
from alphapose_ros.data.augment import AugmentConfig, Crop
from alphapose_ros.data.degrade import body_mask, degrade, jpeg, person_in_front

STILL = replace(AugmentConfig().scaled(0), flip_probability=0)
DOT = (130.0, 90.0)


def dot() -> NDArray[np.uint8]:
    """A bright blob of 7 px on grey."""
    ys, xs = np.mgrid[:256, :192]
    blob = np.exp(-((xs - DOT[0]) ** 2 + (ys - DOT[1]) ** 2) / (2 * 7.0**2))
    return np.repeat((60 + 180 * blob)[..., None], 3, 2).astype(np.uint8)


def center(image: NDArray[np.uint8]) -> NDArray[np.floating]:
    light = image.astype(np.float64).mean(2)
    light = np.where(light > 120, light - 60, 0)
    ys, xs = np.mgrid[:256, :192]
    return np.array([(xs * light).sum(), (ys * light).sum()]) / light.sum()


def sharpness(image: NDArray[np.uint8]) -> float:
    return float(cv2.Laplacian(image.astype(np.float32), cv2.CV_32F).var())


@pytest.mark.parametrize(
    "name", ["blur_probability", "low_resolution_probability", "jpeg_probability"]
)
def test_no_effect_moves_the_picture(name: str) -> None:
    config = replace(STILL, **{name: 1.0})
    for seed in range(12):
        out = degrade(dot(), config, np.random.default_rng(seed))
        assert out.shape == (256, 192, 3)
        assert not np.array_equal(out, dot())
        # Nearest-neighbour enlarging may be off by half of a small picture's pixel.
        assert np.abs(center(out) - DOT).max() < 1.5, seed


def test_blur_and_low_resolution_take_detail_away(rng: np.random.Generator) -> None:
    noise = rng.integers(0, 256, (256, 192, 3), dtype=np.uint8)
    for name in ("blur_probability", "low_resolution_probability"):
        config = replace(STILL, **{name: 1.0})
        for seed in range(8):
            out = degrade(noise, config, np.random.default_rng(seed))
            assert sharpness(out) < 0.6 * sharpness(noise), (name, seed)


def test_motion_blur_has_a_direction_and_loses_no_light() -> None:
    image = np.zeros((256, 192, 3), np.uint8)
    image[128, 96] = 255
    config, found = replace(STILL, blur_probability=1.0), 0
    for seed in range(20):
        out = degrade(image, config, np.random.default_rng(seed)).astype(float)[..., 0]
        ys, xs = np.nonzero(out > 0)
        spread = np.linalg.eigvalsh(np.cov(np.stack([xs, ys])) + 1e-9) if len(xs) > 2 else (1, 1)
        found += spread[1] > 20 * abs(spread[0])
        assert abs(xs.mean() - 96) < 0.51
        assert abs(ys.mean() - 128) < 0.51
    assert 3 < found < 17  # half of the blurs are out of focus


def test_jpeg_is_rgb_and_close() -> None:
    red = np.zeros((32, 32, 3), np.uint8)
    red[..., 0] = 200
    out = jpeg(red, 60)
    assert np.abs(out.astype(int) - red).max() < 12
    rough = np.random.default_rng(0).integers(0, 256, (32, 32, 1), dtype=np.uint8).repeat(3, 2)
    loss = [np.abs(jpeg(rough, q).astype(int) - rough).mean() for q in (15, 95)]
    assert loss[0] > 1.3 * loss[1]


def test_the_same_generator_spoils_the_same_way() -> None:
    for seed in range(6):
        one, two = (degrade(dot(), AugmentConfig(), np.random.default_rng(seed)) for _ in "ab")
        np.testing.assert_array_equal(one, two)


def standing(known: int = 17) -> Crop:
    """A green person on blue."""
    points, labels = np.zeros((136, 2), np.float32), np.zeros(136, np.uint8)
    points[:17] = [
        (96, 40), (100, 36), (92, 36), (104, 40), (88, 40), (116, 70), (76, 70), (124, 110),
        (68, 110), (126, 145), (66, 145), (108, 145), (84, 145), (108, 190), (84, 190),
        (108, 235), (84, 235),
    ]  # fmt: skip
    labels[:known] = 2
    image = np.zeros((256, 192, 3), np.uint8)
    image[..., 2] = 200
    mask = body_mask(Crop(image, points, np.where(np.arange(136) < 17, 2, 0)), HALPE136)
    image[mask > 0.02] = (0, 220, 0)
    return Crop(image, points, labels.astype(np.uint8))


def test_a_persons_mask_covers_the_joints_and_little_else() -> None:
    person = standing()
    mask = body_mask(person, HALPE136)
    assert mask is not None
    for x, y in person.points[:17].astype(int):
        assert mask[y, x] > 0.7
    assert mask.mean() < 0.25
    assert mask[:15].max() == 0
    assert body_mask(standing(known=5), HALPE136) is None
    assert body_mask(standing(known=0), HALPE136) is None


def test_another_person_stands_in_front_without_their_surroundings() -> None:
    grey = np.full((256, 192, 3), 90, np.uint8)
    covered = []
    for seed in range(10):
        out = person_in_front(grey, standing(), HALPE136, np.random.default_rng(seed)).astype(int)
        changed = np.abs(out - 90).max(2) > 20
        covered.append(changed.mean())
        blue = out[..., 2] - out[..., 1]
        assert (blue[changed] > 40).sum() < 0.03 * changed.sum() + 1  # no surroundings
    assert max(covered) > 0.03
    assert max(covered) < 0.3
    np.testing.assert_array_equal(grey, 90)
    untouched = person_in_front(grey, standing(known=3), HALPE136, np.random.default_rng(0))
    np.testing.assert_array_equal(untouched, grey)
