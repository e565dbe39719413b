# SPDX-License-Identifier: Apache-2.0
"""config/pose.yaml is the list of all parameters: the same keys and defaults as the code's."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from alphapose_ros.config import PipelineConfig, read_parameters, split_parameters
from alphapose_ros.front.config import NodeConfig

NOT_IN_THE_FILE = {"cameras"}  # shown as a comment: there is one camera without it


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in values.items():
        out |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return out


@pytest.fixture(scope="module")
def parts(root: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    return split_parameters(read_parameters(root / "config" / "pose.yaml"))


def test_the_pipelines_keys_and_defaults_are_those_of_the_code(parts) -> None:
    written, coded = flat(parts[0]), flat(dataclasses.asdict(PipelineConfig()))
    assert set(written) == set(coded)
    assert {key: written[key] for key in coded} == coded
    assert all(type(written[key]) is type(coded[key]) for key in coded)


def test_the_nodes_keys_and_defaults_are_those_of_the_code(parts) -> None:
    written, coded = flat(parts[1]), flat(dataclasses.asdict(NodeConfig()))
    assert set(written) == set(coded) - NOT_IN_THE_FILE
    assert {key: coded[key] for key in written} == written
    assert all(type(written[key]) is type(coded[key]) for key in written)


def test_the_file_makes_the_default_pipeline(root: Path, parts) -> None:
    assert PipelineConfig.from_file(root / "config" / "pose.yaml") == PipelineConfig()
    assert NodeConfig.from_parameters(parts[1]) == NodeConfig()


def comments(lines: list[str]) -> Iterator[tuple[str, bool]]:
    """(key, has a comment on its line or on the one above) of every parameter."""
    for above, line in pairwise(lines):
        if ":" in line and not line.strip().startswith(("#", "/**", "ros__parameters")):
            yield line.split(":")[0].strip(), "#" in line or above.strip().startswith("#")


def test_every_parameter_is_explained(root: Path) -> None:
    lines = (root / "config" / "pose.yaml").read_text(encoding="utf-8").splitlines()
    found = dict(comments(lines))
    assert len(found) > 50
    assert [key for key, explained in found.items() if not explained] == []
