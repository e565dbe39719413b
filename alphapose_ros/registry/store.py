# SPDX-License-Identifier: Apache-2.0
"""Where model files lie: in the package, in the cache, or where a path says. Never the network."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path

from alphapose_ros.base.errors import WeightsError
from alphapose_ros.registry.catalogue import MODELS
from alphapose_ros.registry.spec import ModelSpec
from alphapose_ros.weights import sha256_of

_PACKAGE = Path(__file__).parents[1] / "bundled"
BUNDLED, MISSING, CACHED, ABSENT = "bundled", "missing", "cached", "not fetched"
RECORDED = "SHA-256 recorded at download"


def cache_dir() -> Path:
    """$ALPHAPOSE_ROS_CACHE, else alphapose_ros in $ROS_HOME or in ~/.ros, ROS's own default."""
    own = os.environ.get("ALPHAPOSE_ROS_CACHE")
    path = Path(own or os.environ.get("ROS_HOME") or "~/.ros")
    folder = _expanded(path, "ALPHAPOSE_ROS_CACHE says another place")
    return folder if own else folder / "alphapose_ros"


def spec_of(name_or_path: str | Path) -> ModelSpec | None:
    """What is known of a model named so, or of a file named so, wherever it lies."""
    named = MODELS.get(str(name_or_path))
    if named:
        return named
    file = Path(name_or_path).name
    return next((spec for spec in MODELS.values() if spec.file == file), None)


def known_spec(name: str) -> ModelSpec:
    """The entry of a model's name.

    Raises:
        WeightsError: no such model; the message names those that are spelt alike.
    """
    if name not in MODELS:
        raise WeightsError(f"{name}: expected the name of a known model{_alike(name)}")
    return MODELS[name]


def location(spec: ModelSpec) -> Path:
    """Where the file of a model belongs, whether it is there or not."""
    return (_PACKAGE if spec.bundled else cache_dir()) / spec.file


def state_of(spec: ModelSpec) -> str:
    """bundled, missing (from a broken install), cached, or not fetched."""
    there = all(location(part).is_file() for part in spec.files)
    if spec.bundled:
        return BUNDLED if there else MISSING
    return CACHED if there else ABSENT


def resolve(name_or_path: str | Path) -> Path:
    """The file that a configuration means: a path that exists, or the name of a model.

    A bundled file's hash is verified, a cached file's was when it came.

    Raises:
        WeightsError: nothing lies there; the message says how to get it.
    """
    path = _expanded(Path(name_or_path), "write the path out")
    if path.is_file():
        return path
    text = str(name_or_path)
    spec = spec_of(text) if Path(text).name == text else None
    if spec is None:
        raise WeightsError(f"{text}: expected a file or the name of a known model{_alike(text)}")
    if spec.bundled:
        return bundled_path(spec.name)
    if state_of(spec) == ABSENT:
        raise WeightsError(
            f"{text}: not fetched yet, expected it at {location(spec)}; "
            f"run: alphapose-ros models fetch {spec.name}"
        )
    return location(spec)


def bundled_path(name: str, specs: Mapping[str, ModelSpec] | None = None) -> Path:
    """The file of a bundled model, its hash verified.

    Raises:
        WeightsError: no such model, the file is missing, or it is not the one that was measured.
    """
    known = MODELS if specs is None else specs
    bundled = [spec.name for spec in known.values() if spec.bundled]
    if name not in bundled:
        raise WeightsError(f"weights {name!r}: expected one of {', '.join(bundled)}")
    path = location(known[name])
    if not path.is_file():
        raise WeightsError(f"{path}: the bundled weights {name!r} are missing from this install")
    check_file(known[name], path)
    return path


def check_file(spec: ModelSpec, path: Path) -> str:
    """Compare a file with all that is known of it; by what, or "" where nothing is known.

    Raises:
        WeightsError: it is not that file.
    """
    size = path.stat().st_size
    if spec.size_bytes and size != spec.size_bytes:
        raise WeightsError(f"{path}: expected {spec.size_bytes} bytes, got {size}")
    known = {"SHA-256": spec.sha256, RECORDED: recorded_hash(path)}
    if spec.sha256_prefix:
        known[f"first {len(spec.sha256_prefix)} digits of SHA-256"] = spec.sha256_prefix
    known = {basis: digits for basis, digits in known.items() if digits}
    found = sha256_of(path) if known else ""
    for basis, digits in known.items():
        if not found.startswith(digits):
            what = "SHA-256" if basis == "SHA-256" else f"the {basis},"
            raise WeightsError(f"{path}: expected {what} {digits}, got {found}")
    return " and ".join(known) or ("size" if spec.size_bytes else "")


def record_path(path: Path) -> Path:
    """Where the hash of a downloaded file is recorded, in the form of sha256sum."""
    return path.with_name(f"{path.name}.sha256")


def recorded_hash(path: Path) -> str:
    """The hash that a file had when it was downloaded; "" where none was recorded."""
    record = record_path(path)
    words = (
        record.read_text(encoding="ascii", errors="replace").split() if record.is_file() else ()
    )
    return words[0] if words else ""


def _expanded(path: Path, remedy: str) -> Path:
    try:
        return path.expanduser()
    except RuntimeError as error:  # no such user, or in a container a user without a home
        raise WeightsError(f"{path}: there is no such home folder; {remedy}") from error


def _alike(name: str) -> str:
    stem = Path(name).stem
    within = [known for known in MODELS if stem in known]
    near = (difflib.get_close_matches(stem, MODELS, n=3) or within)[:3]
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    return f"{hint or ';'} alphapose-ros models list names all of them"
