# SPDX-License-Identifier: Apache-2.0
"""Limits of config fields: held, named, and found by whoever describes them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import pytest

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.base.settings import Setting, check_settings, options_of, setting, setting_of


@dataclass(frozen=True)
class Sample:
    """A sample.

    Attributes:
        share: of something.
        size: m.
        count: how many.
        form: which.
        named: whose.
        free: anything.
    """

    share: float = setting(0.5, low=0, high=1)
    size: float = setting(1.0, above=0)
    count: int = setting(3, low=1, live=False)
    form: str = setting("a", choices=("", "a", "b"))
    named: str = setting("a", choices=("a", "b"), others="a friend's")
    free: float = 0.0

    def __post_init__(self) -> None:
        check_settings(self, "room")


@pytest.mark.parametrize(
    "values",
    [{"share": 0.0}, {"share": 1.0}, {"size": 1e-300}, {"count": 1}, {"form": ""}, {"named": "c"},
     {"free": -1e9}],
)  # fmt: skip
def test_values_within_the_limits_are_taken(values: dict[str, Any]) -> None:
    assert Sample(**values)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"share": -1e-9}, r"room.share: expected a number in \[0, 1\], got -1e-09"),
        ({"share": 1.1}, r"room.share: expected a number in \[0, 1\], got 1.1"),
        ({"share": float("nan")}, "room.share: expected"),
        ({"size": 0.0}, "room.size: expected a number > 0, got 0.0"),
        ({"size": float("inf")}, "room.size: expected a number > 0, got inf"),
        ({"count": 0}, "room.count: expected a number >= 1, got 0"),
        ({"form": "c"}, "room.form: expected one of a, b, or empty, got 'c'"),
        ({"named": 3}, "room.named: expected one of a, b, or a friend's, got 3"),
        ({"free": float("nan")}, "room.free: expected a finite number, got nan"),
    ],
)
def test_others_are_refused(values: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        Sample(**values)


def test_options_carry_their_limits() -> None:
    limits = {option.key: option.limits for option in options_of(Sample)}
    assert limits["share"] == Setting(0, 1)
    assert limits["size"] == Setting(0, None, above=True)
    assert not limits["count"].live
    assert limits["free"] == setting_of(dataclasses.fields(Sample)[5]) == Setting()


@dataclass(frozen=True)
class Longer(Sample):
    """A longer sample.

    Attributes:
        more: of it.
    """

    more: int = 0
    free: float = 2.0


def test_what_a_class_adds_comes_first_and_the_rest_is_inherited() -> None:
    found = {option.key: option for option in options_of(Longer)}
    assert list(found) == ["more", "share", "size", "count", "form", "named", "free"]
    assert found["free"].default == 2.0
    assert found["free"].help == "anything."
    assert found["share"].limits.expected == "a number in [0, 1]"
