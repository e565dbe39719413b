# SPDX-License-Identifier: Apache-2.0
"""``alphapose-ros models list|verify``: the known weights and whether the files are sound."""

from __future__ import annotations

import argparse

from alphapose_ros.base.errors import WeightsError
from alphapose_ros.cli.console import Commands, add_command, say, table

_EXAMPLES = """\
examples:
  alphapose-ros models list
  alphapose-ros models verify          checks the SHA-256 of every bundled file
"""


def register(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "models",
        "The known weights: what they are, their licence, what was measured.",
        epilog=_EXAMPLES,
    )
    parser.set_defaults(handler=run)
    parser.add_argument("what", choices=("list", "verify"), help="see below")


def run(args: argparse.Namespace) -> int:
    """List or verify."""
    if args.what == "list":
        say(listing())
        return 0
    problems = verify_all()
    say(table([(name, problem or "ok") for name, problem in problems.items()]))
    broken = [problem for problem in problems.values() if problem]
    if broken:
        raise WeightsError(broken[0])
    return 0


def listing() -> str:
    """All weights as text, an entry each."""
    import dataclasses

    from alphapose_ros.weights import WEIGHTS

    entries: list[str] = []
    for name, spec in WEIGHTS.items():
        rows = [
            (f"  {field.name}", _text(getattr(spec, field.name)))
            for field in dataclasses.fields(spec)
            if getattr(spec, field.name) not in ("", None, (), {}) and field.name != "name"
        ]
        entries.append(f"{name}\n{table(rows)}")
    return "\n\n".join(entries)


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    if isinstance(value, (tuple, list)):
        return ", ".join(map(str, value))
    return str(value)


def verify_all() -> dict[str, str]:
    """Name -> what is wrong with each bundled file, "" where nothing is."""
    from alphapose_ros.weights import WEIGHTS, bundled_path

    problems: dict[str, str] = {}
    for name, spec in WEIGHTS.items():
        try:
            bundled_path(name)
            problems[name] = "" if spec.sha256 else f"{spec.file}: no SHA-256 is recorded for it"
        except WeightsError as error:
            problems[name] = str(error)
    return problems
