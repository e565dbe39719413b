# SPDX-License-Identifier: Apache-2.0
"""What a result says beside places: doubts as a whole, and nothing where nothing is known."""

from __future__ import annotations

import numpy as np
import pytest
from test_spatial_estimator import PEOPLE, VIEW, update
from test_spatial_scenes import CAMERA, make_tracks, see

from alphapose_ros.base.skeletons import COCO17


def test_the_covariance_knows_that_a_centre_was_guessed() -> None:
    """Of who shows but the shoulders the centre is a quarter of a metre away."""
    pixels = np.full((17, 2), np.nan)
    pixels[5], pixels[6] = (360, 200), (280, 200)
    spatial = update(make_tracks(pixels, COCO17), np.full((480, 640), 2.0, np.float32))
    variance = np.trace(spatial.position_covariances[0])
    assert np.sqrt(variance) == pytest.approx(0.25, abs=0.01)


def test_without_depth_or_a_height_there_is_no_viewpoint() -> None:
    assert np.isnan(update(see(PEOPLE, VIEW), None, intrinsics=CAMERA).viewpoint).all()
