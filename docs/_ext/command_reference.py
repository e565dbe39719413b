# SPDX-License-Identifier: Apache-2.0
"""Every command and its options, from the parsers of the command line."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from markdown_text import code, plain, table

from alphapose_ros.cli import build_parser
from alphapose_ros.cli.options import add_config_options
from alphapose_ros.cli.train import _TRAININGS


def parsers() -> Iterator[argparse.ArgumentParser]:
    """Every parser that takes options, in the order of ``alphapose-ros --help``."""
    whole = build_parser()
    yield whole
    for command in _children(whole):
        yield from _family(command)
        if command.prog.endswith(" train"):
            yield from training_parsers()


def training_parsers() -> Iterator[argparse.ArgumentParser]:
    """Of ``alphapose-ros train WHAT``, which are made when they are chosen."""
    for name, make in _TRAININGS.items():
        config, _ = make()
        about = (config.__doc__ or "").strip().splitlines()[0]
        parser = argparse.ArgumentParser(f"alphapose-ros train {name}", description=about)
        parser.add_argument(
            "--config", metavar="FILE", help="YAML file with these options as keys"
        )
        add_config_options(parser, config)
        yield parser


def _family(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for child in _children(parser):
        yield from _family(child)


def _children(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    found: list[argparse.ArgumentParser] = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            found += dict.fromkeys(action.choices.values())
    return found


def commands(root: Path) -> str:
    """A section for each parser."""
    parts = []
    for parser in parsers():
        level = "##" if parser.prog.count(" ") < 2 else "###"
        parts.append(f"{level} {parser.prog}\n\n{plain(parser.description or '')}\n")
        rows = [_row(action) for action in parser._actions if _counts(action)]
        if rows:
            parts.append(table(("option", "meaning"), rows))
        if parser.epilog:
            parts.append(f"```text\n{parser.epilog.rstrip()}\n```\n")
    return "\n".join(parts)


def _counts(action: argparse.Action) -> bool:
    kinds = (argparse._HelpAction, argparse._SubParsersAction)
    return not isinstance(action, kinds) and action.help is not argparse.SUPPRESS


def _row(action: argparse.Action) -> tuple[str, str]:
    formatter = argparse.HelpFormatter("")
    text = (
        plain((action.help or "") % vars(action))
        if "%(" in (action.help or "")
        else plain((action.help or "").replace("%%", "%"))
    )
    if not action.option_strings:
        name = action.metavar if isinstance(action.metavar, str) else action.dest
        return code(name), _choices(action, text)
    value = "" if action.nargs == 0 else formatter._format_args(action, _metavar(action))
    names = ", ".join(action.option_strings)
    return code(f"{names} {value}".strip()), _choices(action, text)


def _metavar(action: argparse.Action) -> str:
    return "{...}" if action.choices and not action.metavar else action.dest.upper()


def _choices(action: argparse.Action, text: str) -> str:
    if not action.choices or isinstance(action, argparse._SubParsersAction):
        return text
    return f"{text} ({', '.join(code(choice) for choice in action.choices)})"
