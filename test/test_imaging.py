# SPDX-License-Identifier: Apache-2.0
"""Crops and letterboxes are those of a slow twin, whatever other images share the batch.

A GPU's way, the atlas, runs on the CPU as well; the CPU's own, OpenCV's, rounds positions to a
32nd of a pixel and samples to whole levels, which noise shows at its strongest.
"""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from alphapose_ros.base import affine
from alphapose_ros.base.errors import InputError
from alphapose_ros.imaging import ImageBatch
from alphapose_ros.imaging.atlas import ImageAtlas
from alphapose_ros.imaging.host import HostImages

ATLAS, HOST = pytest.param("atlas", 0.1, id="atlas"), pytest.param("host", 9.0, id="host")
TWO_WAYS = pytest.mark.parametrize(("way", "tolerance"), [ATLAS, HOST])
SIZES = [(48, 64), (1, 2), (90, 20), (33, 57), (1, 40)]
INPUT = (64, 48)


def images(sizes: list[tuple[int, int]], seed: int = 0) -> list[NDArray[np.uint8]]:
    """Noise, so that a pixel of the wrong image, row or channel shows."""
    rng = np.random.default_rng(seed)
    return [rng.integers(1, 256, (*size, 3), dtype=np.uint8) for size in sizes]


def uploaded(sources: list[NDArray[np.uint8]], way: str) -> ImageBatch:
    return ImageAtlas.of(sources, "cpu") if way == "atlas" else HostImages(sources)


def expected_crop(
    image: NDArray[np.uint8],
    crop: NDArray[np.float32],
    input_hw: tuple[int, int],
    corners: bool = False,
) -> NDArray[np.float32]:
    """Bilinear samples at x1 + k * width / w in float64, zeros outside: loops as the formula."""
    height, width = input_hw
    step = (float(crop[2]) - float(crop[0])) / (width - 1 if corners else width)
    down = (float(crop[3]) - float(crop[1])) / (height - 1) if corners else step
    padded = np.zeros((image.shape[0] + 2, image.shape[1] + 2, 3))
    padded[1:-1, 1:-1] = image
    out = np.zeros((height, width, 3))
    for v in range(height):
        for u in range(width):
            x, y = float(crop[0]) + step * u + 1, float(crop[1]) + down * v + 1
            if not (0 <= x <= padded.shape[1] - 1 and 0 <= y <= padded.shape[0] - 1):
                continue
            i, j = min(int(y), padded.shape[0] - 2), min(int(x), padded.shape[1] - 2)
            a, b = y - i, x - j
            out[v, u] = (1 - a) * ((1 - b) * padded[i, j] + b * padded[i, j + 1]) + a * (
                (1 - b) * padded[i + 1, j] + b * padded[i + 1, j + 1]
            )
    return out.astype(np.float32)


def to_hwc(crop: torch.Tensor) -> NDArray[np.float32]:
    return crop.permute(1, 2, 0).numpy()


def test_a_cpu_gets_opencvs_way_and_the_atlas_where_that_cannot() -> None:
    assert isinstance(ImageBatch.upload(images(SIZES)), HostImages)
    assert isinstance(ImageBatch.upload(images([(48, 64), (1, 1)])), ImageAtlas)  # OpenCV 4.5
    too_long = np.zeros((1, 40000, 3), np.uint8)
    batch = ImageBatch.upload([too_long])
    assert isinstance(batch, ImageAtlas)
    assert not batch.crops(np.array([[39990, 0, 39999, 12]], np.float32), np.zeros(1, int)).any()


@TWO_WAYS
def test_crops_equal_opencvs_warp_for_several_images_at_once(way: str, tolerance: float) -> None:
    sources = images([(480, 640), (300, 200), (720, 1280)])
    people = np.array(
        [[100, 50, 220, 400], [-30, -40, 90, 100], [150, 250, 260, 330], [600, 100, 1270, 719.5],
         [0, 0, 200, 300], [300, 300, 310, 325]], np.float32
    )  # fmt: skip
    rows = np.array([0, 1, 1, 2, 1, 0])
    boxes = affine.crop_boxes(people)
    found = uploaded(sources, way).crops(boxes, rows)
    assert found.shape == (6, 3, 256, 192)
    assert found.dtype == torch.float32
    assert found.is_contiguous()
    for crop, row, matrix in zip(found, rows, affine.image_to_input(boxes), strict=True):
        wanted = cv2.warpAffine(
            sources[row].astype(np.float32), matrix, (192, 256), flags=cv2.INTER_LINEAR
        )
        # Some OpenCV versions round positions to a 32nd of a pixel: noise differs by up to that.
        assert np.abs(to_hwc(crop) - wanted).mean() < 1.5
        smooth = cv2.blur(to_hwc(crop), (5, 5)) - cv2.blur(wanted, (5, 5))
        assert np.abs(smooth).max() < 8


@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("row", range(len(SIZES)))
@TWO_WAYS
def test_crops_equal_the_slow_twin_for_every_image_of_a_batch(
    way: str, tolerance: float, row: int, corners: bool
) -> None:
    sources = images(SIZES)
    h, w = SIZES[row]
    people = np.array(
        [[0, 0, w, h], [-w, -h, 2 * w, 2 * h], [w / 2, h / 2, w + 9, h + 9], [-7, -7, 3, 3]],
        np.float32,
    )
    boxes = affine.crop_boxes(people, INPUT)
    found = uploaded(sources, way).crops(boxes, np.full(4, row), INPUT, corners=corners)
    for crop, box in zip(found, boxes, strict=True):
        wanted = expected_crop(sources[row], box, INPUT, corners)
        np.testing.assert_allclose(to_hwc(crop), wanted, atol=tolerance)


@TWO_WAYS
@settings(max_examples=25)
@given(
    st.floats(-60, 100, width=32), st.floats(-60, 120, width=32), st.floats(1, 200, width=32),
    st.integers(0, len(SIZES) - 1), st.booleans(),
)  # fmt: skip
def test_any_crop_equals_the_slow_twin(
    way: str, tolerance: float, x: float, y: float, side: float, row: int, corners: bool
) -> None:
    box = affine.crop_boxes(np.array([[x, y, x + side, y + side]], np.float32), INPUT)
    sources = images(SIZES)
    batch = uploaded(sources, way)
    found = batch.crops(box, np.array([row]), INPUT, corners=corners)[0]
    wanted = expected_crop(sources[row], box[0], INPUT, corners)
    np.testing.assert_allclose(to_hwc(found), wanted, atol=2 * tolerance)


@pytest.mark.parametrize("size", [(1, 2), (5, 1), (1, 5)])
@TWO_WAYS
def test_images_of_single_pixels_end_at_their_edges(
    way: str, tolerance: float, size: tuple[int, int]
) -> None:
    image = np.full((*size, 3), 200, np.uint8)
    box = np.array([[-3, -4, 6, 8]], np.float32)  # one pixel per cell
    crop = uploaded([image], way).crops(box, np.array([0]), (12, 9))[0, 0].numpy()
    wanted = np.zeros((12, 9), np.float32)
    wanted[4 : 4 + size[0], 3 : 3 + size[1]] = 200
    np.testing.assert_allclose(crop, wanted, atol=1e-3)


@TWO_WAYS
def test_far_outside_is_black_and_never_a_neighbours_image(way: str, tolerance: float) -> None:
    batch = uploaded([np.full((20, 30, 3), 255, np.uint8)] * 3, way)
    far = np.array(
        [[1000, 5, 1030, 45], [-1e6, 5, -1e6 + 30, 45], [5, 1e4, 35, 1e4 + 40],
         [5, -90, 35, -50], [5, 22, 35, 62]], np.float32
    )  # fmt: skip
    assert not batch.crops(far, np.full(5, 1), (40, 30)).any()


@TWO_WAYS
def test_nobody_and_no_image(way: str, tolerance: float) -> None:
    nobody, nowhere = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
    for sources in (images(SIZES), []):
        batch = uploaded(sources, way)
        assert len(batch) == len(sources)
        assert batch.crops(nobody, nowhere, INPUT).shape == (0, 3, *INPUT)
    letterboxed, scales = uploaded([], way).letterbox((32, 32))
    assert letterboxed.shape == (0, 3, 32, 32)
    assert scales == []


@TWO_WAYS
def test_images_come_back_as_they_went_in(way: str, tolerance: float) -> None:
    sources = images(SIZES)
    batch = uploaded(sources, way)
    assert batch.sizes_hw == tuple(SIZES)
    assert batch.device == torch.device("cpu")
    for view, source in zip(batch.images, sources, strict=True):
        np.testing.assert_array_equal(to_hwc(view), source)


@TWO_WAYS
def test_some_images_of_a_batch_are_a_batch(way: str, tolerance: float) -> None:
    sources = images(SIZES)
    box = affine.crop_boxes(np.array([[2, 2, 30, 40]], np.float32), INPUT)
    part = uploaded(sources, way)[[3, 0]]
    assert part.sizes_hw == (SIZES[3], SIZES[0])
    for row, source in enumerate((sources[3], sources[0])):
        alone = uploaded([source], way)
        torch.testing.assert_close(
            part.crops(box, np.array([row]), INPUT),
            alone.crops(box, np.array([0]), INPUT),
            atol=1e-2,
            rtol=0,
        )
        np.testing.assert_array_equal(to_hwc(part.images[row]), source)
    assert len(part[[]]) == 0


@TWO_WAYS
def test_read_only_and_turned_memory_is_taken_without_a_warning(
    way: str, tolerance: float, recwarn
) -> None:
    frozen = images([(6, 8)])[0]
    frozen.setflags(write=False)
    turned = images([(8, 6)])[0][::-1].transpose(1, 0, 2)
    batch = uploaded([frozen, turned], way)
    np.testing.assert_array_equal(to_hwc(batch.images[1]), turned)
    assert not list(recwarn)
    batch.images[0].zero_()
    assert frozen.any()  # the batch has its own pixels


@pytest.mark.parametrize("size_hw", [(416, 416), (64, 96), (31, 17), (8, 8)])
@TWO_WAYS
def test_letterbox_equals_opencvs_linear_resize(
    way: str, tolerance: float, size_hw: tuple[int, int]
) -> None:
    sources = images([(48, 64), (90, 20), (33, 57), size_hw, (1, 2)])
    out, scales = uploaded(sources, way).letterbox(size_hw, pad=7.0)
    assert out.shape == (5, 3, *size_hw)
    for row, (source, scale) in enumerate(zip(sources, scales, strict=True)):
        assert scale == min(size_hw[0] / source.shape[0], size_hw[1] / source.shape[1])
        h, w = (max(1, round(side * scale)) for side in source.shape[:2])
        wanted = np.full((*size_hw, 3), 7, np.float32)
        wanted[:h, :w] = cv2.resize(
            source.astype(np.float32), (w, h), interpolation=cv2.INTER_LINEAR
        )
        np.testing.assert_allclose(to_hwc(out[row]), wanted, atol=min(tolerance, 1))


@TWO_WAYS
def test_a_very_long_image_keeps_one_pixel_of_height(way: str, tolerance: float) -> None:
    out, scales = uploaded([np.full((1, 5000, 3), 90, np.uint8)], way).letterbox((32, 32))
    assert scales == [32 / 5000]
    assert (out[0, :, 0] == 90).all()
    assert (out[0, :, 1:] == 114).all()


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((1, 4, 4, 3), np.uint8),
    ],
)
def test_other_arrays_are_refused(image: NDArray[np.generic]) -> None:
    good = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(InputError) as caught:
        ImageBatch.upload([good, image])
    assert str(image.shape) in str(caught.value)
    assert str(image.dtype) in str(caught.value)
