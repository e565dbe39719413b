# SPDX-License-Identifier: Apache-2.0
"""Darknet's `.cfg` files: sections with options, each of which knows the line it stands on.

The format: ``[kind]`` opens a section, ``name = value`` is an option of it, spaces do not matter,
``#`` and ``;`` begin a comment. The first section is ``[net]``, every other one is a layer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from alphapose_ros.base.errors import WeightsError

# What a layer's options may be. Another one might change what the network computes, so it is
# refused, but for [net] and [yolo], where all others are about training.
_OPTIONS: dict[str, tuple[str, ...]] = {
    "convolutional": (
        "batch_normalize", "filters", "size", "stride", "pad", "padding", "groups", "activation",
        "stopbackward",
    ),
    "maxpool": ("size", "stride", "padding"),
    "upsample": ("stride",),
    "route": ("layers", "groups", "group_id"),
    "shortcut": ("from", "activation"),
}  # fmt: skip
_LAYERS = (*_OPTIONS, "yolo")
_SAME_AS = {"network": "net", "conv": "convolutional", "max": "maxpool"}
T = TypeVar("T", int, float)


@dataclass(frozen=True)
class CfgSection:
    """One section of a cfg.

    Attributes:
        kind: what stands in the brackets. file, line: where.
        options: per name its text and its line.
    """

    kind: str
    file: str
    line: int
    options: Mapping[str, tuple[str, int]]

    def error(self, message: str, option: str = "") -> WeightsError:
        """An error that names file, line (of the option where it is given) and section."""
        line = self.options[option][1] if option in self.options else self.line
        return WeightsError(f"{self.file}:{line}: [{self.kind}] {message}")

    def text(self, name: str, default: str) -> str:
        """The option as it is written."""
        return self.options[name][0] if name in self.options else default

    def integer(self, name: str, default: int, low: int = 0) -> int:
        """One whole number, at least ``low``.

        Raises:
            WeightsError: anything else is written there.
        """
        values = self.integers(name, (default,))
        if len(values) != 1 or values[0] < low:
            raise self.error(
                f"{name}: expected a whole number >= {low}, got {self.text(name, '')!r}", name
            )
        return values[0]

    def integers(self, name: str, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """Whole numbers between commas.

        Raises:
            WeightsError: anything else is written there.
        """
        return self._values(name, default, int, "whole numbers")

    def numbers(self, name: str, default: tuple[float, ...] = ()) -> tuple[float, ...]:
        """Numbers between commas.

        Raises:
            WeightsError: anything else is written there.
        """
        return self._values(name, default, float, "numbers")

    def _values(
        self, name: str, default: tuple[T, ...], read: Callable[[str], T], what: str
    ) -> tuple[T, ...]:
        if name not in self.options:
            return default
        text = self.options[name][0]
        try:
            return tuple(read(part) for part in text.rstrip(",").split(","))
        except ValueError as error:
            raise self.error(f"{name}: expected {what}, got {text!r}", name) from error


def read_cfg(path: str | Path) -> tuple[CfgSection, ...]:
    """The sections of a cfg file.

    Raises:
        WeightsError: there is no such file, or see :func:`parse_cfg`.
    """
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise WeightsError(f"{path}: not a readable cfg file: {error.strerror}") from error
    return parse_cfg(text, str(path))


def parse_cfg(text: str, file: str) -> tuple[CfgSection, ...]:
    """The sections of a cfg's text; ``file`` is named in errors.

    Raises:
        WeightsError: a line that is no option, a layer or an option of a layer that is not known.
    """
    sections: list[CfgSection] = []
    options: dict[str, tuple[str, int]] = {}
    for number, line in _content(text):
        if line.startswith("[") and line.endswith("]"):
            options = {}
            kind = line[1:-1].lower()
            sections.append(CfgSection(_SAME_AS.get(kind, kind), file, number, options))
            continue
        name, equals, value = line.partition("=")
        if not equals or not name or not sections:
            raise WeightsError(f"{file}:{number}: expected [section] or name=value, got {line!r}")
        options.setdefault(name, (value, number))  # of two, Darknet takes the first
    if not sections or sections[0].kind != "net" or len(sections) < 2:
        raise WeightsError(f"{file}: expected a cfg that begins with [net] and has layers")
    for section in sections[1:]:
        _check(section)
    return tuple(sections)


def _content(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        bare = "".join(line.split("#")[0].split(";")[0].split())
        if bare:
            yield number, bare


def _check(section: CfgSection) -> None:
    if section.kind not in _LAYERS:
        raise section.error(f"expected a layer among {', '.join(_LAYERS)}")
    known = _OPTIONS.get(section.kind)
    for name in section.options:
        if known is not None and name not in known:
            raise section.error(f"{name}: expected an option among {', '.join(known)}", name)
    if section.integer("new_coords", 0):
        raise section.error("new_coords: this way to decode boxes is not known", "new_coords")
