# SPDX-License-Identifier: Apache-2.0
"""Where a command may write, known before any work is done: in no input's place, nor in another
output's.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping
from pathlib import Path

from alphapose_ros.base.errors import InputError

FILES = ("video", "json", "bag", "rrd")  # the options of ``run`` that name one


def spare_inputs(outputs: Mapping[str, str | None], inputs: Iterable[str | Path | None]) -> None:
    """No output takes the place of what is read.

    Args:
        outputs: option -> what was given for it.
        inputs: files and folders; of a folder its images count, of a bag all files. What is no
            file, such as a camera, is left out.

    Raises:
        InputError: one would.
    """
    read = [Path(each).resolve() for each in inputs if each and Path(each).exists()]
    for option, given in outputs.items():
        if given and any(_holds(each, Path(given).resolve()) for each in read):
            raise InputError(f"--{option}: expected another file than the input, got {given}")


def _holds(source: Path, target: Path) -> bool:
    """Whether ``target`` is ``source`` or a part of it; a pipe or a device takes any number."""
    from alphapose_ros.io.bag_reader import is_bag
    from alphapose_ros.io.sources import IMAGE_SUFFIXES

    if target == source:
        return source.is_file() or source.is_dir()
    if source not in target.parents or not target.exists():
        return False
    return target.suffix.lower() in IMAGE_SUFFIXES or is_bag(source)


def check_files(args: argparse.Namespace) -> None:
    """Refuse files of ``run`` that cannot be written, and two of one name.

    Raises:
        InputError: which option, and what it says.
    """
    from alphapose_ros.io.sinks import check_folder

    taken: dict[Path, str] = {}
    for option in FILES:
        given = getattr(args, option)
        if not given:
            continue
        path = Path(given)
        if not (option == "bag" and path.is_dir()):  # of which its writer can say more
            check_folder(path)
        if path.exists() and not (path.is_file() or path.is_dir()):
            continue  # a pipe or a device
        other = taken.setdefault(path.resolve(), option)
        if other != option:
            raise InputError(
                f"--{option}: expected a file of its own, got {given}, which --{other} writes too"
            )
