# SPDX-License-Identifier: Apache-2.0
"""Fields of config dataclasses that carry their own limits, so that a limit exists once.

The check at birth, the file's errors, the command line's help and the node's parameter
descriptors all read them from the field.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import re
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from alphapose_ros.base.errors import ConfigError

_KEY = "alphapose_ros.setting"


@dataclass(frozen=True)
class Setting:
    """Limits of one config field.

    Attributes:
        low, high: smallest and largest value, inclusive; None: none.
        above: whether ``low`` itself is excluded.
        choices: all values there are; empty: any.
        others: which texts beside ``choices`` may do, in words; the config itself judges them.
        live: whether a running node can change it; else the networks or topics are set up anew.
    """

    low: float | None = None
    high: float | None = None
    above: bool = False
    choices: tuple[str, ...] = ()
    others: str = ""
    live: bool = True

    def holds(self, value: Any) -> bool:
        """Whether ``value`` is within the limits; NaN and infinity never are."""
        if self.choices:
            return value in self.choices or (bool(self.others) and isinstance(value, str))
        if isinstance(value, float) and not math.isfinite(value):
            return False
        if self.low is not None and not (value > self.low if self.above else value >= self.low):
            return False
        return self.high is None or value <= self.high

    @property
    def expected(self) -> str:
        """The limits in words: "a number in [0, 1]", "one of a, b"."""
        if self.choices:
            named = ", ".join(choice for choice in self.choices if choice)
            also = [self.others, "empty" if "" in self.choices else ""]
            return f"one of {named}" + "".join(f", or {each}" for each in also if each)
        if self.low is None:
            return "a finite number" if self.high is None else f"a number <= {self.high:g}"
        if self.high is None:
            return f"a number {'>' if self.above else '>='} {self.low:g}"
        return f"a number in {'(' if self.above else '['}{self.low:g}, {self.high:g}]"


def setting(
    default: Any,
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    choices: tuple[str, ...] = (),
    others: str = "",
    live: bool = True,
) -> Any:
    """Declare a config field with limits; ``above`` is a ``low`` that is itself excluded."""
    lowest = low if above is None else above
    limits = Setting(lowest, high, above is not None, choices, others, live)
    return dataclasses.field(default=default, metadata={_KEY: limits})


def setting_of(item: dataclasses.Field[Any]) -> Setting:
    """The limits of a dataclass field; those of a plain field limit nothing."""
    found: Setting = item.metadata.get(_KEY, Setting())
    return found


def unquoted_off(value: Any, limits: Setting) -> Any:
    """The choice ``off`` where it was written without quotes: YAML takes it for false."""
    return "off" if value is False and "off" in limits.choices else value


def check_settings(config: Any, section: str = "") -> None:
    """Refuse a dataclass instance with a value outside its field's limits.

    Raises:
        ConfigError: the first such field as ``section.name``, what was expected and what came.
    """
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        limits = setting_of(item)
        if (isinstance(value, (int, float)) or limits.choices) and not limits.holds(value):
            name = f"{section}.{item.name}" if section else item.name
            raise ConfigError(f"{name}: expected {limits.expected}, got {value!r}")


@dataclass(frozen=True)
class Option:
    """A leaf field of a config: its dotted key, type, default, one line of help, its limits."""

    key: str
    kind: Any
    default: Any
    help: str
    limits: Setting


def options_of(config: type, prefix: str = "") -> Iterator[Option]:
    """All leaf fields of a dataclass, those of nested dataclasses as ``outer.inner``.

    What a class adds comes before what it inherits.
    """
    kinds, docs = typing.get_type_hints(config), attribute_docs(config)
    bases = filter(dataclasses.is_dataclass, config.__mro__[1:])
    inherited = {field.name for base in bases for field in dataclasses.fields(base)}
    for field in sorted(dataclasses.fields(config), key=lambda field: field.name in inherited):
        kind = kinds[field.name]
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            yield from options_of(kind, f"{prefix}{field.name}.")
        else:
            text = docs.get(field.name, "")
            yield Option(prefix + field.name, kind, default_of(field), text, setting_of(field))


def default_of(field: dataclasses.Field[Any]) -> Any:
    """A field's default, or ``dataclasses.MISSING``."""
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def attribute_docs(config: type) -> dict[str, str]:
    """Field name -> its text in the "Attributes:" of the class's docstring, or of its bases'."""
    docs: dict[str, str] = {}
    for each in reversed(config.__mro__):
        docs |= _own_attribute_docs(each)
    return docs


def _own_attribute_docs(config: type) -> dict[str, str]:
    lines = inspect.cleandoc(config.__doc__ or "").partition("Attributes:")[2].splitlines()
    entry = re.compile(r"^ {4}(\w+(?:, ?\w+)*)(?: \([^)]*\))?: (.*)$")
    docs: dict[str, str] = {}
    names: list[str] = []
    for line in lines:
        found = entry.match(line)
        if found:
            names = re.split(r", ?", found.group(1))
            docs.update(dict.fromkeys(names, found.group(2).strip()))
        elif line.strip():
            for name in names:
                docs[name] += " " + line.strip()
        else:
            names = []
    return docs
