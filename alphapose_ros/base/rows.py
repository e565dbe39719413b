# SPDX-License-Identifier: Apache-2.0
"""Records made of parallel arrays: shapes checked at birth, rows sliced together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import Field, dataclass, field, fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from alphapose_ros.base.errors import InputError

Self = TypeVar("Self", bound="Rows")


def array(*shape: str | int, dtype: Any) -> Any:
    """Declare an array field; a letter in ``shape`` has one size in all fields of a record."""
    return field(metadata={"shape": shape, "dtype": np.dtype(dtype)})


def unknown(*shape: str | int, dtype: Any) -> Any:
    """Declare an array field, after those that give its letters a size, that may be left out.

    It is NaN throughout then.
    """
    return field(default=None, metadata={"shape": shape, "dtype": np.dtype(dtype)})


def plain() -> Any:
    """Declare a required field that is no array, after fields that :func:`array` declares."""
    return field()


@dataclass(frozen=True)
class Rows:
    """N rows in parallel arrays. Fields made by :func:`array` are checked, cast and sliced.

    Raises:
        InputError: a field has another shape than declared; the message names both.
    """

    def __post_init__(self) -> None:
        sizes: dict[str, int] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if "shape" in item.metadata:
                if value is None and item.default is None:
                    axes = item.metadata["shape"]
                    value = np.full([sizes.get(axis, axis) for axis in axes], np.nan)
                value = _checked(type(self).__name__, item, value, sizes)
                object.__setattr__(self, item.name, value)
            elif isinstance(value, Rows):
                _bind(f"{type(self).__name__}.{item.name}", "N", len(value), sizes)

    def __len__(self) -> int:
        first = getattr(self, fields(self)[0].name)
        return len(first)

    def __getitem__(self: Self, index: ArrayLike | slice) -> Self:
        """Rows chosen by a mask, an index array or a slice; always a record again."""
        chosen = index if isinstance(index, slice) else _row_index(index)
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        for item in fields(self):
            if item.metadata.get("shape", (None,))[0] == "N" or isinstance(
                values[item.name], Rows
            ):
                values[item.name] = values[item.name][chosen]
        return type(self)(**values)

    @classmethod
    def concatenate(cls: type[Self], parts: Sequence[Self]) -> Self:
        """All rows of ``parts`` (at least one) in order; other fields come from the first."""
        if not parts:
            raise InputError(f"{cls.__name__}.concatenate: expected at least one part, got none")
        values: dict[str, Any] = {}
        for item in fields(cls):
            column = [getattr(part, item.name) for part in parts]
            if item.metadata.get("shape", (None,))[0] == "N":
                values[item.name] = np.concatenate(column)
            elif isinstance(column[0], Rows):
                values[item.name] = type(column[0]).concatenate(column)
            else:
                values[item.name] = column[0]
        return cls(**values)


def _row_index(index: ArrayLike) -> NDArray[Any]:
    chosen = np.asarray(index)
    if chosen.size == 0 and chosen.dtype != np.bool_:
        chosen = chosen.astype(np.intp)  # an empty list is float64 to NumPy
    return np.atleast_1d(chosen)


def _checked(
    owner: str, item: Field[Any], value: ArrayLike, sizes: dict[str, int]
) -> NDArray[Any]:
    shape, dtype = item.metadata["shape"], item.metadata["dtype"]
    out = np.asarray(value, dtype=dtype)
    name = f"{owner}.{item.name}"
    if out.ndim != len(shape):
        if out.size == 0 and shape[0] == "N":  # [] stands for nobody, whatever the other axes
            out = out.reshape(
                [0, *(s if isinstance(s, int) else sizes.get(s, 0) for s in shape[1:])]
            )
        else:
            raise InputError(f"{name}: expected shape {_text(shape)}, got {out.shape}")
    for axis, want in zip(out.shape, shape, strict=True):
        if isinstance(want, int):
            if axis != want:
                raise InputError(f"{name}: expected shape {_text(shape)}, got {out.shape}")
        else:
            _bind(name, want, axis, sizes)
    return out


def _bind(name: str, letter: str, size: int, sizes: dict[str, int]) -> None:
    known = sizes.setdefault(letter, size)
    if known != size:
        raise InputError(
            f"{name}: expected {letter} = {known} as in the fields before, got {size}"
        )


def _text(shape: tuple[str | int, ...]) -> str:
    return "(" + ", ".join(str(s) for s in shape) + ("," if len(shape) == 1 else "") + ")"
