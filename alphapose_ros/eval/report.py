# SPDX-License-Identifier: Apache-2.0
"""What ``alphapose-ros eval`` prints: numbers under a line that says what they are measured on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Numbers = Mapping[str, Any]
JOINT_HEADER = ("joint", "labelled", "PCK@0.1", "median error", "OKS", "median score")
PART_HEADER = ("part", "people", "AP", "95 %", "AP50", "AR", "AP / AP given boxes", "95 % ")
_JOINT, _LABELLED = "joint_", "_labelled"
_LEGEND = {"pseudo_": "pseudo-labels too", "flat_": "flat .015"}


@dataclass(frozen=True)
class Report:
    """One block: a title, single numbers, and those per part and per joint, shown as tables.

    ``pictures`` are made by the calls in it, once the numbers are where they should be: a plot
    that cannot be written costs no number.
    """

    title: str
    numbers: Numbers
    parts: Numbers = field(default_factory=dict)
    prefix: str = ""  # of the keys of ``parts``
    joints: Numbers = field(default_factory=dict)
    pictures: tuple[Callable[[], None], ...] = ()

    @property
    def everything(self) -> dict[str, Any]:
        """All numbers under their names."""
        return {**self.numbers, **self.parts, **self.joints}

    def part_rows(self) -> list[tuple[str, ...]]:
        """A row per part, as :data:`PART_HEADER`."""
        return [
            _part_row(self.parts, key[: -len("_ap")], self.prefix)
            for key in self.parts
            if key.startswith(self.prefix) and key.endswith("_ap")
        ]

    def joint_rows(self) -> list[tuple[str, ...]]:
        """A row per joint, as :data:`JOINT_HEADER`."""
        names = [
            key[len(_JOINT) : -len(_LABELLED)] for key in self.joints if key.endswith(_LABELLED)
        ]
        return [_joint_row(self.joints, name) for name in names]


def _joint_row(joints: Numbers, name: str) -> tuple[str, ...]:
    values = [joints.get(f"{_JOINT}{name}_{what}") for what in ("pck", "error", "oks", "score")]
    shown = ("" if value is None else f"{value:.4f}" for value in values)
    return name, str(joints[f"{_JOINT}{name}{_LABELLED}"]), *shown


def _part_row(parts: Numbers, name: str, prefix: str) -> tuple[str, ...]:
    ratio = parts.get(f"{name}_ap_ratio")
    return (
        _part_label(name[len(prefix) :]),
        str(parts[f"{name}_people"]),
        f"{parts[f'{name}_ap']:.4f}",
        _interval(parts.get(f"{name}_ap_95")),
        f"{parts[f'{name}_ap50']:.4f}",
        f"{parts[f'{name}_ar']:.4f}",
        "" if ratio is None else f"{ratio:.4f}",
        _interval(parts.get(f"{name}_ap_ratio_95")),
    )


def _part_label(name: str) -> str:
    """``pseudo_flat_face`` -> ``face (pseudo-labels too, flat .015)``."""
    notes = []
    for mark, note in _LEGEND.items():
        if name.startswith(mark):
            name = name[len(mark) :]
            notes.append(note)
    return name.replace("_", " ") + (f" ({', '.join(notes)})" if notes else "")


def _interval(value: tuple[float, float] | None) -> str:
    return "" if value is None else f"[{value[0]:.4f}, {value[1]:.4f}]"
