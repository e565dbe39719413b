# SPDX-License-Identifier: Apache-2.0
"""What all commands share: output lines, tables, the progress bar, common options."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import Any, TypeVar

T = TypeVar("T")
Commands = Any  # argparse's sub-parsers have no public name
STDOUT = "stdout"  # where a file's name stands in errors


def say(text: str = "") -> None:
    """One line on stdout.

    Raises:
        OSError: nobody reads any more, or the disk is full; the error names :data:`STDOUT`.
    """
    with _named():
        try:
            print(text)
        except UnicodeEncodeError as error:  # a file's name need not be text
            print(text.encode(error.encoding, "backslashreplace").decode(error.encoding))


def flush() -> None:
    """Bring what was said to where stdout leads; raises as :func:`say`."""
    if sys.stdout is not None:
        with _named():
            sys.stdout.flush()


@contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, STDOUT) from error


def warn(text: str) -> None:
    """One line on stderr. Where it can be told to nobody, nothing else suffers."""
    if sys.stderr is not None:
        with suppress(OSError):
            print(f"alphapose-ros: {text}", file=sys.stderr)


def table(rows: Sequence[Sequence[object]], header: Sequence[str] | None = None) -> str:
    """Rows as aligned text columns, the first column to the left, numbers to the right."""
    cells = [[str(cell) for cell in row] for row in ([header] if header else []) + list(rows)]
    if not cells:
        return ""
    widths = [max(len(row[k]) for row in cells) for k in range(len(cells[0]))]
    numeric = [all(isinstance(row[k], (int, float)) for row in rows) for k in range(len(cells[0]))]
    lines = [
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ).rstrip()
        for row in cells
    ]
    if header:
        lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def shows_bars(*, quiet: bool) -> bool:
    """Whether somebody would see a progress bar, and tqdm is installed to draw it."""
    watched = not quiet and sys.stderr is not None and sys.stderr.isatty()
    return watched and find_spec("tqdm") is not None


def progress(items: Iterable[T], *, total: int | None, unit: str, quiet: bool) -> Iterator[T]:
    """The items behind a progress bar, where stderr is a terminal and tqdm is installed."""
    if not shows_bars(quiet=quiet):
        yield from items
        return
    from tqdm import tqdm

    yield from tqdm(items, total=total, unit=unit, dynamic_ncols=True)


@contextmanager
def ticking(unit: str, *, quiet: bool) -> Iterator[Callable[[], object]]:
    """A function to call after each piece of work, which a bar counts where one can be seen."""
    if not shows_bars(quiet=quiet):
        yield lambda: None
        return
    from tqdm import tqdm

    with tqdm(unit=unit, dynamic_ncols=True) as bar:
        yield bar.update


def add_command(
    commands: Commands, name: str, summary: str, *, epilog: str = "", **options: Any
) -> argparse.ArgumentParser:
    """A sub-command whose epilog keeps its line breaks."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary[0].lower() + summary[1:].split(". ")[0].rstrip("."),
        description=summary,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        **options,
    )
    return parser


def add_pipeline_options(parser: argparse.ArgumentParser) -> None:
    """Which models run, and where: the same options in all commands."""
    group = parser.add_argument_group("models")
    group.add_argument(
        "--preset",
        metavar="NAME",
        help="nano (the default), fast (both bundled), balanced or accurate (models fetch brings "
        "them)",
    )
    group.add_argument(
        "--params-file",
        metavar="FILE",
        help="parameters in ROS 2's YAML form, as config/pose.yaml",
    )
    group.add_argument(
        "--device",
        metavar="NAME",
        help="auto, cpu, cuda or cuda:1 (default: auto, the GPU where there is one)",
    )
    group.add_argument(
        "--runtime",
        metavar="NAME",
        help="torch, compile, onnxruntime, tensorrt or openvino (default: auto)",
    )
    group.add_argument(
        "--threads",
        type=int,
        metavar="N",
        help="CPU threads of the networks (default: all cores but one, four at most)",
    )
