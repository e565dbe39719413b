# SPDX-License-Identifier: Apache-2.0
"""Options made from config dataclasses: every field once, files and options together."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import alphapose_ros.cli as cli
from alphapose_ros.base.errors import ConfigError
from alphapose_ros.base.settings import attribute_docs, options_of
from alphapose_ros.cli.options import (
    add_config_options,
    build_config,
)


@dataclass(frozen=True)
class Inner:
    """Inner.

    Attributes:
        rate: how fast, 1/s.
    """

    rate: float = 0.5


@dataclass(frozen=True)
class Sample:
    """A config.

    Attributes:
        out: where to write,
            in two lines: with a colon.
        steps, batch: how many.
        names: some names.
    """

    out: str
    steps: int = 10
    batch: int = 2
    names: list[str] = field(default_factory=list)
    sides: tuple[int, ...] = (1, 2)
    exact: bool = True
    limit: float | None = None
    inner: Inner = field(default_factory=Inner)


def parsed(*argv: str) -> dict[str, object]:
    parser = argparse.ArgumentParser()
    add_config_options(parser, Sample)
    return vars(parser.parse_args(argv))


def test_docs_are_read_from_the_class() -> None:
    assert attribute_docs(Sample) == {
        "out": "where to write, in two lines: with a colon.",
        "steps": "how many.", "batch": "how many.", "names": "some names.",
    }  # fmt: skip


def test_every_leaf_is_an_option() -> None:
    assert [option.key for option in options_of(Sample)] == [
        "out", "steps", "batch", "names", "sides", "exact", "limit", "inner.rate"
    ]  # fmt: skip


def test_options_override_the_file_and_defaults_stay(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("out: a\nsteps: 5\nsides: [4, 8]\ninner: {rate: 2}\nlimit: 1\n")
    given = parsed("--steps", "7", "--no-exact", "--names", "x", "y", "--inner.rate", "3")
    assert build_config(Sample, str(path), given) == Sample(
        "a", 7, 2, ["x", "y"], (4, 8), False, 1.0, Inner(3.0)
    )
    assert build_config(Sample, None, parsed("--out", "b")) == Sample("b")
    (tmp_path / "empty.yaml").write_text("")
    assert build_config(Sample, str(tmp_path / "empty.yaml"), {"out": "c"}) == Sample("c")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("stepps: 5", "unknown key 'stepps'"),
        ("inner: {speed: 5}", "unknown key 'inner.speed'"),
        ("steps: five", "steps: expected int, got str 'five'"),
        ("steps: true", "steps: expected int, got bool"),
        ("steps: 1.5", "steps: expected int"),
        ("names: x", "names: expected a list"),
        ("names: [1]", "names: expected str"),
        ("- 1", "expected a mapping"),
        ("a: [", "not YAML"),
        ("steps: 1", "needed and not given: --out"),
    ],
)
def test_mistakes_in_a_file_are_named(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=says):
        build_config(Sample, str(path), {})


def test_a_missing_file_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read"):
        build_config(Sample, "nowhere.yaml", {})


@pytest.mark.parametrize(
    ("what", "option"),
    [("pose", "--learning-rate"), ("detector", "--learning-rate"), ("proposals", "--boxes")],
)
def test_the_trainings_take_options(
    what: str, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["train", what, "--help"])
    assert end.value.code == 0
    assert option in capsys.readouterr().out
    assert cli.main(["train", what]) == 2  # nothing to train on
    assert len(capsys.readouterr().err.splitlines()) == 1
