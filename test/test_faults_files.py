# SPDX-License-Identifier: Apache-2.0
"""Damaged text files: one refusal that names the file, and no other error."""

from __future__ import annotations

from pathlib import Path

import pytest

from alphapose_ros.base.errors import ConfigError, InputError
from alphapose_ros.config import read_parameters
from alphapose_ros.detection.replay import read_boxes
from alphapose_ros.eval.track_files import read_json_lines

DEEP = pytest.param(b"[" * 200_000, id="deep")  # no name of a test is that long
PERSON = b'{"frame": 1, "people": [{"id": 1, "state": "tracked", "box": [0,0,1,1], "score": %s}]}'


@pytest.mark.usefixtures("benchmarks")
@pytest.mark.parametrize("name", ["yaml", "json_lines", "boxes"])
def test_changed_bytes(name: str) -> None:
    """A short run of ``make fuzz``."""
    from fuzz_decoders import at_random_times

    found = at_random_times(name, executions=300, seed=2)
    assert not found.failures
    assert 0 < found.taken < 300


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xfe",
        DEEP,
        b'{"frame": Infinity, ' + PERSON[12:] % b"1",
        b'{"frame": 1, "people": 3}',
    ],
)
def test_json_lines(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(PERSON % b"0.5" + b"\n" + data)
    with pytest.raises(InputError, match=r"a\.jsonl:2: expected a line of"):
        read_json_lines(path)


@pytest.mark.parametrize(
    "data",
    [b"\xff\xfe", DEEP, b'[{"image_id": 1, "bbox": [0, 0, 1, 1%s]}]' % (b"0" * 400), b"{}"],
)
def test_boxes(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "b.json"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"b\.json.*expected"):
        read_boxes(path)


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b"a: [", b"/**: 3", b"- 1", b"", DEEP])
def test_parameter_files(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(data)
    with pytest.raises(ConfigError, match=r"c\.yaml"):
        read_parameters(path)
