# SPDX-License-Identifier: Apache-2.0
"""Decoded images are read once, up to a limit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from coco_scenes import save

from alphapose_ros.base.errors import InputError
from alphapose_ros.data.coco import read_image
from alphapose_ros.train.cache import ImageCache


def test_images_are_read_once_and_not_beyond_the_limit(tmp_path: Path) -> None:
    paths = [tmp_path / f"{k}.png" for k in range(3)]
    for k, path in enumerate(paths):
        save(path, np.full((4, 5, 3), k, np.uint8))
    cache = ImageCache(2 * 60 + 59)
    for path in paths * 2:
        assert np.array_equal(cache.read(path), read_image(path))
    assert (len(cache), cache.used_bytes) == (2, 120)
    for path in paths:
        path.unlink()
    assert cache.read(paths[1])[0, 0, 0] == 1
    with pytest.raises(InputError, match=r"2\.png"):
        cache.read(paths[2])
    with pytest.raises(ValueError, match="read-only"):
        cache.read(paths[0])[0] = 9


def test_no_room_keeps_nothing(tmp_path: Path) -> None:
    save(tmp_path / "a.png", np.zeros((4, 5, 3), np.uint8))
    cache = ImageCache(0)
    cache.read(tmp_path / "a.png")
    assert len(cache) == 0
