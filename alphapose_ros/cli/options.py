# SPDX-License-Identifier: Apache-2.0
"""Command line options and YAML files for config dataclasses, so that a key exists once."""

from __future__ import annotations

import argparse
import dataclasses
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.base.settings import default_of, options_of

C = TypeVar("C")


def add_config_options(parser: argparse.ArgumentParser, config: type) -> None:
    """One ``--option`` per field, help from the class's "Attributes:" lines.

    An option that is not given leaves no trace, so that a file's value stands.
    """
    for option in options_of(config):
        flag = "--" + option.key.replace("_", "-")
        text = (option.help + _default_text(option.default)).replace("%", "%%").strip()
        common: dict[str, Any] = {"dest": option.key, "default": argparse.SUPPRESS, "help": text}
        kind, many = _element(option.kind)
        if kind is bool:
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, **common)
        else:
            if many:
                common["nargs"] = "+"
            parser.add_argument(flag, type=kind, metavar=kind.__name__.upper(), **common)


def build_config(config: type[C], file: str | None, given: Mapping[str, Any]) -> C:
    """The dataclass from a YAML file's values, overridden by those given as options.

    Args:
        config: dataclass to make.
        file: YAML mapping with the dataclass's keys, nested as it is; None for none.
        given: dotted key -> value, as parsed; other keys are ignored.

    Raises:
        ConfigError: an unknown key, a wrong type, a missing value, or what the class refuses.
    """
    known = {option.key: option for option in options_of(config)}
    values = _read_yaml(Path(file)) if file else {}
    for key, value in values.items():
        if key not in known:
            raise ConfigError(f"{file}: unknown key {key!r}; known: {', '.join(sorted(known))}")
        values[key] = _checked(f"{file}: {key}", value, known[key].kind)
    values.update({key: given[key] for key in known if key in given})
    return _build(config, values, "")


def _build(config: type[C], values: Mapping[str, Any], prefix: str) -> C:
    kinds = typing.get_type_hints(config)
    arguments: dict[str, Any] = {}
    missing: list[str] = []
    for field in dataclasses.fields(config):  # type: ignore[arg-type]
        key, kind = prefix + field.name, kinds[field.name]
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            arguments[field.name] = _build(kind, values, key + ".")
        elif key in values:
            many = typing.get_origin(kind) is tuple
            arguments[field.name] = tuple(values[key]) if many else values[key]
        elif default_of(field) is dataclasses.MISSING:
            missing.append("--" + key.replace("_", "-"))
    if missing:
        raise ConfigError(f"needed and not given: {', '.join(missing)}")
    return config(**arguments)


def _read_yaml(path: Path) -> dict[str, Any]:
    import yaml

    from alphapose_ros.base.plain_yaml import read_yaml

    try:
        content = read_yaml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not YAML ({error})") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected a mapping of keys, got {type(content).__name__}")
    return _flat(content)


def _flat(content: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            out.update(_flat(value, f"{prefix}{key}."))
        else:
            out[f"{prefix}{key}"] = value
    return out


def _checked(name: str, value: Any, kind: Any) -> Any:
    element, many = _element(kind)
    if many:
        if not isinstance(value, list):
            raise ConfigError(f"{name}: expected a list, got {value!r}")
        return [_checked(name, item, element) for item in value]
    if element is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if element is Path and isinstance(value, str):
        return Path(value)
    if type(value) is not element:
        raise ConfigError(
            f"{name}: expected {element.__name__}, got {type(value).__name__} {value!r}"
        )
    return value


def _element(kind: Any) -> tuple[Any, bool]:
    """(type of a value or of its elements, whether there are several)."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (list, tuple):
        return arguments[0], True
    if origin in (typing.Union, types.UnionType):  # "int | None": None is not giving it
        return _element(next(a for a in arguments if a is not type(None)))
    return kind, False


def _default_text(default: Any) -> str:
    if default is dataclasses.MISSING:
        return " (needed)"
    if default in ("", None, [], ()):
        return ""
    text = " ".join(map(str, default)) if isinstance(default, (list, tuple)) else default
    return f" (default: {text})"
