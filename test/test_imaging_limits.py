# SPDX-License-Identifier: Apache-2.0
"""Crops that show but the edge of an image, images at OpenCV's limit, and no OpenCV at all."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from test_imaging import INPUT, TWO_WAYS, expected_crop, images, to_hwc, uploaded

from alphapose_ros.imaging import ImageBatch
from alphapose_ros.imaging.atlas import ImageAtlas
from alphapose_ros.imaging.batch import _on_host
from alphapose_ros.imaging.host import HostImages


@pytest.mark.parametrize(
    "box",
    [
        (-48.4, 2.0, -0.4, 66.0),  # the last column lies on the box's edge
        (2.0, -64.4, 50.0, -0.4),
        (63.5, 2.0, 111.5, 66.0),  # the first column is half a pixel beyond the last centre
        (2.0, 47.5, 50.0, 111.5),
    ],
)
@TWO_WAYS
def test_half_a_pixel_of_an_image_is_shown(
    way: str, tolerance: float, box: tuple[float, ...]
) -> None:
    (source,) = images([(48, 64)])
    source[:] = np.maximum(source, 100)
    boxes = np.array([box], np.float32)
    found = uploaded([source], way).crops(boxes, np.zeros(1, int), INPUT, corners=True)[0]
    wanted = expected_crop(source, boxes[0], INPUT, corners=True)
    assert wanted.max() > 30
    np.testing.assert_allclose(to_hwc(found), wanted, atol=tolerance)


@pytest.mark.parametrize(
    ("side", "kind"), [(32766, HostImages), (32767, ImageAtlas), (32768, ImageAtlas)]
)
@pytest.mark.parametrize("turned", [False, True])
def test_the_longest_image_that_opencv_warps(side: int, kind: type, turned: bool) -> None:
    image = np.full((2, side, 3), 7, np.uint8)
    image[:, -4:] = 200
    box = np.array([[side - 8, -1, side, 7]], np.float32)
    if turned:
        image, box = image.transpose(1, 0, 2).copy(), box[:, [1, 0, 3, 2]]
    batch = ImageBatch.upload([image])
    assert isinstance(batch, kind)
    crop = batch.crops(box, np.zeros(1, int), (8, 8))[0, 0].numpy()
    line = crop[:, 1] if turned else crop[1]
    np.testing.assert_allclose(line, [7] * 4 + [200] * 4, atol=1e-2)


def test_without_opencv_the_atlas_serves_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "alphapose_ros.imaging.host", None)  # its import fails
    _on_host.cache_clear()
    try:
        assert isinstance(ImageBatch.upload(images([(8, 6)])), ImageAtlas)
    finally:
        _on_host.cache_clear()


def test_another_device_gets_the_atlas() -> None:
    batch = ImageBatch.upload(images([(8, 6)]), "meta")
    assert isinstance(batch, ImageAtlas)
    assert batch.device.type == "meta"


@pytest.mark.parametrize("far", [5e6, 1e9])
@TWO_WAYS
def test_however_far_away_a_box_is_it_shows_no_image(
    way: str, tolerance: float, far: float
) -> None:
    batch = uploaded([np.full((20, 30, 3), 255, np.uint8)], way)
    away = [[far, 0], [-far, 0], [0, far], [0, -far], [far, far], [-far, -far]]
    boxes = np.concatenate([away, np.add(away, [[512, 512]])], 1).astype(np.float32)
    assert not batch.crops(boxes, np.zeros(6, int), (32, 32)).any()


@TWO_WAYS
def test_a_very_high_image_keeps_one_pixel_of_width(way: str, tolerance: float) -> None:
    out, scales = uploaded([np.full((5000, 1, 3), 90, np.uint8)], way).letterbox((32, 32))
    assert scales == [32 / 5000]
    assert (out[0, :, :, 0] == 90).all()
    assert (out[0, :, :, 1:] == 114).all()
