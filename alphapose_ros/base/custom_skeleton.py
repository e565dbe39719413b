# SPDX-License-Identifier: Apache-2.0
"""A keypoint set of one's own, from YAML.

    name: robot_arm
    keypoints: [base, elbow, left_finger, right_finger]
    limbs: [[base, elbow], [elbow, left_finger], [elbow, right_finger]]
    flip_pairs: [[left_finger, right_finger]]   # left out: left_* and right_* names pair up
    sigmas: {base: 0.06}                        # or a list, or one number for all
    parts: {arm: [base, elbow], gripper: [left_finger, right_finger]}  # left out: body, all

A joint that shares its name with one of the known sets (left_wrist, say) is the same joint: it
takes over its sigma here, and its labels and weights elsewhere.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from alphapose_ros.base.errors import ConfigError
from alphapose_ros.base.plain_yaml import read_yaml
from alphapose_ros.base.skeletons import SKELETONS, Pairs, Skeleton, get_skeleton

_KEYS = ("name", "keypoints", "limbs", "flip_pairs", "sigmas", "parts")
_REQUIRED = _KEYS[:2]
_SIGMA = 0.05  # between COCO's eyes (.025) and hips (.107)


def load_skeleton(path: Path) -> Skeleton:
    """The keypoint set of a YAML file, see the module.

    Raises:
        ConfigError: the file cannot be read, or anything in it is not as the module says.
    """
    try:
        content = read_yaml(path.read_text(encoding="utf-8"))
        return make_skeleton(content)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        line = " ".join(str(error).split())
        raise ConfigError(f"{path}: cannot read a skeleton: {line}") from error
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def is_file(name: str) -> bool:
    """Whether the name of a keypoint set is that of a YAML file."""
    return name.endswith((".yaml", ".yml"))


def skeleton_named(name: str) -> Skeleton:
    """A known keypoint set, or the custom one of a YAML file.

    Raises:
        ConfigError: neither.
    """
    return load_skeleton(Path(name)) if is_file(name) else get_skeleton(name)


def make_skeleton(content: Any) -> Skeleton:
    """The keypoint set of a file's content.

    Raises:
        ConfigError: see :func:`load_skeleton`.
    """
    if not isinstance(content, dict):
        raise ConfigError(f"skeleton: expected the keys {', '.join(_KEYS)}, got {content!r}")
    for key in content:
        if key not in _KEYS:
            near = difflib.get_close_matches(str(key), _KEYS, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(_KEYS)}"
            raise ConfigError(f"unknown key {key!r}{hint}")
    for key in _REQUIRED:
        if key not in content:
            raise ConfigError(f"expected the key {key!r}")
    name = content["name"]
    if not isinstance(name, str) or not name:
        raise ConfigError(f"name: expected a text, got {name!r}")
    if name in SKELETONS:
        raise ConfigError(f"name: {name!r} is a known skeleton; choose another name")
    names = _names("keypoints", content["keypoints"])
    if not names:
        raise ConfigError("keypoints: expected at least one name, got none")
    limbs = _pairs("limbs", content.get("limbs", []), names)
    flips = _flips(content.get("flip_pairs"), names)
    parts = _parts(content.get("parts"), names)
    return Skeleton(name, names, parts, limbs, flips, _sigmas(content.get("sigmas"), names))


def _names(key: str, values: Any) -> tuple[str, ...]:
    if not isinstance(values, list):
        raise ConfigError(f"{key}: expected a list of names, got {values!r}")
    for value in values:
        if not isinstance(value, str) or not value:
            raise ConfigError(f"{key}: expected names, got {value!r} (quote it if it is one)")
        if values.count(value) > 1:
            raise ConfigError(f"{key}: {value!r} is there more than once")
    return tuple(values)


def _position(key: str, value: Any, names: tuple[str, ...]) -> int:
    if value not in names:
        near = difflib.get_close_matches(str(value), names, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"{key}: {value!r} is not among the keypoints{hint}")
    return names.index(value)


def _pairs(key: str, values: Any, names: tuple[str, ...]) -> Pairs:
    """Pairs of different joints, each pair once."""
    if not isinstance(values, list):
        raise ConfigError(f"{key}: expected a list of pairs of names, got {values!r}")
    pairs: list[tuple[int, int]] = []
    for value in values:
        if not isinstance(value, list) or len(value) != 2:
            raise ConfigError(f"{key}: expected pairs of names, got {value!r}")
        a, b = (_position(key, name, names) for name in value)
        if a == b:
            raise ConfigError(f"{key}: {value[0]!r} is paired with itself")
        if (a, b) in pairs or (b, a) in pairs:
            raise ConfigError(f"{key}: the pair {value!r} is there more than once")
        pairs.append((a, b))
    return tuple(pairs)


def _flips(values: Any, names: tuple[str, ...]) -> Pairs:
    """Mirror pairs; without any given, those that left_* and right_* in the names make."""
    if values is None:
        others = {name: "right_" + name[5:] for name in names if name.startswith("left_")}
        return tuple((names.index(a), names.index(b)) for a, b in others.items() if b in names)
    pairs = _pairs("flip_pairs", values, names)
    joints = [joint for pair in pairs for joint in pair]
    for joint in joints:
        if joints.count(joint) > 1:
            raise ConfigError(f"flip_pairs: {names[joint]!r} is in more than one pair")
    return pairs


def _parts(values: Any, names: tuple[str, ...]) -> dict[str, slice]:
    """Slices that cover all joints in their order."""
    if values is None:
        return {"body": slice(0, len(names))}
    if not isinstance(values, dict):
        raise ConfigError(f"parts: expected part: [names], got {values!r}")
    parts: dict[str, slice] = {}
    at = 0
    for part, listed in values.items():
        members = _names(f"parts.{part}", listed)
        for name in members:
            _position(f"parts.{part}", name, names)
        if not members or names[at : at + len(members)] != members:
            expected = names[at] if at < len(names) else "no further name"
            raise ConfigError(
                f"parts.{part}: expected the keypoints in their order, next {expected!r}, "
                f"got {list(members)}"
            )
        parts[str(part)] = slice(at, at + len(members))
        at += len(members)
    if at < len(names):
        raise ConfigError(f"parts: {names[at]!r} is in no part")
    return parts


def _sigmas(values: Any, names: tuple[str, ...]) -> NDArray[np.float32]:
    known = {
        name: float(sigma)
        for skeleton in SKELETONS.values()
        for name, sigma in zip(skeleton.keypoint_names, skeleton.sigmas, strict=True)
    }
    sigmas = [known.get(name, _SIGMA) for name in names]
    if isinstance(values, list):
        if len(values) != len(names):
            raise ConfigError(f"sigmas: expected {len(names)} numbers, got {len(values)}")
        sigmas = values
    elif isinstance(values, dict):
        for name, value in values.items():
            sigmas[_position("sigmas", name, names)] = value
    elif values is not None:
        sigmas = [values] * len(names)
    for name, value in zip(names, sigmas, strict=True):
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not 0 < value < 1:
            raise ConfigError(f"sigmas: {name}: expected a number between 0 and 1, got {value!r}")
    return np.array(sigmas, np.float32)
