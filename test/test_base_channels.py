# SPDX-License-Identifier: Apache-2.0
"""Channels change their order alike with OpenCV and without."""

from __future__ import annotations

import numpy as np
import pytest

from alphapose_ros.base import channels
from alphapose_ros.base.channels import red_blue_swapped


@pytest.mark.parametrize("with_opencv", [True, False])
@pytest.mark.parametrize("size_hw", [(0, 4), (1, 1), (5, 7)])
def test_red_and_blue_change_places(
    with_opencv: bool,
    size_hw: tuple[int, int],
    rng: np.random.Generator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not with_opencv:
        monkeypatch.setattr(channels, "opencv", lambda: None)
    image = rng.integers(0, 256, (*size_hw, 3), dtype=np.uint8)
    image.setflags(write=False)
    swapped = red_blue_swapped(image)
    np.testing.assert_array_equal(swapped, image[..., ::-1])
    assert swapped.flags.c_contiguous
    assert swapped.flags.writeable
    mirrored = red_blue_swapped(image[:, ::-1])  # a view that is not contiguous
    np.testing.assert_array_equal(mirrored, image[:, ::-1, ::-1])
