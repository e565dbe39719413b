# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import dataclasses

import pytest

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.base.settings import attribute_docs
from alphapose_ros.spatial.config import SpatialConfig

NAMES = [field.name for field in dataclasses.fields(SpatialConfig)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf")])
def test_a_value_out_of_range_is_refused_by_name(name, bad) -> None:
    with pytest.raises(ConfigError, match=rf"spatial\.{name}: expected .*, got {bad}"):
        SpatialConfig(**{name: bad})


def test_a_range_of_depth_that_is_empty_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"spatial\.max_depth: expected more than min_depth"):
        SpatialConfig(min_depth=2.0, max_depth=2.0)


def test_every_key_is_explained() -> None:
    assert set(attribute_docs(SpatialConfig)) == set(NAMES)
