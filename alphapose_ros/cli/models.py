# SPDX-License-Identifier: Apache-2.0
"""``alphapose-ros models list|fetch|verify``: the known models, their files and their licences.

convert, export and quantise are in models_export.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from alphapose_ros.base.errors import ConfigError, WeightsError
from alphapose_ros.cli import models_export
from alphapose_ros.cli.console import Commands, add_command, say, shows_bars, table, warn

if TYPE_CHECKING:
    from alphapose_ros.registry.spec import ModelSpec

_EXAMPLES = """\
examples:
  alphapose-ros models list --task pose        the table of all pose networks
  alphapose-ros models list pose_nano          all that is known of one
  alphapose-ros models fetch balanced          both networks of a preset
  alphapose-ros models verify                  checks every file that is here
"""
_FOOTNOTE = """\
Numbers of bundled files were measured by this project, all others are as published by their
authors, each on data and settings of its own: alphapose-ros models list NAME says which."""


class Verdict(NamedTuple):
    """What a check of one file found: ``problem`` is empty where it is sound."""

    name: str
    problem: str
    basis: str


def register(commands: Commands) -> None:
    """Add the command with its own commands."""
    parser = add_command(
        commands,
        "models",
        "The known models: licence, origin, numbers. Fetches, verifies and converts their files.",
        epilog=_EXAMPLES,
    )
    parts = parser.add_subparsers(metavar="WHAT", required=True)
    for add in (_add_list, _add_fetch, _add_verify, models_export.register):
        add(parts)


def _add_list(parts: Commands) -> None:
    from alphapose_ros.registry.spec import TASKS

    parser = add_command(parts, "list", "A table of the known models, or all about some.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="show everything about these")
    parser.add_argument("--task", choices=TASKS, help="only these")
    parser.set_defaults(handler=run_list)


def _add_fetch(parts: Commands) -> None:
    parser = add_command(parts, "fetch", "Download models into the cache and verify them.")
    parser.add_argument(
        "names", nargs="+", metavar="NAME|PRESET", help="as models list prints them, or a preset"
    )
    parser.add_argument(
        "--accept-non-commercial",
        action="store_true",
        help="take files whose licence forbids commercial use",
    )
    parser.add_argument(
        "--mirror",
        metavar="URL",
        default="",
        help="http(s) folder that holds the files, in place of their own addresses",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(handler=run_fetch)


def _add_verify(parts: Commands) -> None:
    parser = add_command(parts, "verify", "Check the SHA-256 of the files that are here.")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="default: every bundled and fetched one"
    )
    parser.set_defaults(handler=run_verify)


def run_list(args: argparse.Namespace) -> int:
    """Print the table, or the entries that are named."""
    from alphapose_ros.registry.catalogue import MODELS, PRESETS
    from alphapose_ros.registry.store import cache_dir, known_spec

    if args.names:
        say("\n\n".join(entry(known_spec(name)) for name in args.names))
        return 0
    say(listing([spec for spec in MODELS.values() if args.task in (None, spec.task)]))
    say("\npresets (detector + pose):")
    say(table([(f"  {name}", " + ".join(models)) for name, models in PRESETS.items()]))
    say(f"\n{_FOOTNOTE}\nFetched files lie in {cache_dir()}")
    return 0


def run_fetch(args: argparse.Namespace) -> int:
    """Fetch each of the named models."""
    from alphapose_ros.registry.download import FetchOptions, fetch

    specs = _named(args.names)
    _check_licences(specs, accepted=args.accept_non_commercial)
    for spec in specs:
        if spec.non_commercial:
            warn(f"{spec.name}: {spec.licence}")
        with _byte_bar(spec.name, quiet=args.quiet) as on_progress:
            path = fetch(spec, FetchOptions(mirror=args.mirror), on_progress)
        say(f"{spec.name}: {path}{_trust(spec)}")
    return 0


def run_verify(args: argparse.Namespace) -> int:
    """Check the files and print what each was compared with."""
    found = verdicts(args.names)
    say(table([(v.name, v.problem or f"ok ({v.basis})") for v in found]))
    broken = [v.problem for v in found if v.problem]
    if broken:
        raise WeightsError(broken[0])
    return 0


def listing(specs: Sequence[ModelSpec]) -> str:
    """A line each."""
    from alphapose_ros.base.skeletons import get_skeleton
    from alphapose_ros.registry.store import state_of

    rows = [
        (
            spec.name,
            f"{spec.task} {len(get_skeleton(spec.skeleton))}" if spec.skeleton else spec.task,
            "non-commercial" if spec.non_commercial else spec.licence.split(" (")[0].split(";")[0],
            _size(spec),
            state_of(spec),
            next((f"{key} {value:.3f}" for key, value in spec.metrics.items()), "-"),
        )
        for spec in specs
    ]
    return table(rows, ("name", "task", "licence", "size", "state", "measured"))


def entry(spec: ModelSpec) -> str:
    """All that is known of one model."""
    from alphapose_ros.registry.store import location, state_of

    values = {f.name: getattr(spec, f.name) for f in dataclasses.fields(spec)} | {
        "url": spec.address,
        "state": f"{state_of(spec)}, {location(spec)}",
        "non_commercial": "yes" if spec.non_commercial else "",
    }
    rows = [
        (f"  {key}", _text(value))
        for key, value in values.items()
        if value not in ("", 0, (), {}) and key not in ("name", "drive_id")
    ]
    return f"{spec.name}\n{table(rows)}"


def verdicts(names: Sequence[str] = ()) -> list[Verdict]:
    """What a check of each named model finds; of every bundled and cached one without names."""
    from alphapose_ros.registry.catalogue import MODELS
    from alphapose_ros.registry.store import ABSENT, known_spec, state_of

    specs = [known_spec(name) for name in names] or [
        spec for spec in MODELS.values() if state_of(spec) != ABSENT
    ]
    return [_verdict(spec) for spec in specs]


def verify_all() -> dict[str, str]:
    """Name -> what is wrong with each file that is here, "" where nothing is."""
    return {verdict.name: verdict.problem for verdict in verdicts()}


def _verdict(spec: ModelSpec) -> Verdict:
    from alphapose_ros.registry.store import bundled_path, check_file, location, resolve

    try:
        if spec.bundled:
            bundled_path(spec.name)
            return Verdict(spec.name, "", "SHA-256")
        resolve(spec.name)
        basis = [check_file(part, location(part)) for part in spec.files][-1]
    except WeightsError as error:
        return Verdict(spec.name, str(error), "")
    if "SHA-256" not in basis:
        basis = f"{basis or 'it is there'}; no SHA-256 of it is known and none was recorded"
    return Verdict(spec.name, "", basis)


def _named(names: Sequence[str]) -> list[ModelSpec]:
    """The models of the names and presets, each once, all of them known."""
    from alphapose_ros.registry.catalogue import PRESETS
    from alphapose_ros.registry.store import known_spec

    every = [model for name in names for model in PRESETS.get(name, (name,))]
    return [known_spec(name) for name in dict.fromkeys(every)]


def _check_licences(specs: Sequence[ModelSpec], *, accepted: bool) -> None:
    refused = [spec for spec in specs if spec.non_commercial and not accepted]
    if refused:
        raise ConfigError(
            f"{', '.join(spec.name for spec in refused)}: {refused[0].licence}; "
            "if that is your use, add --accept-non-commercial"
        )


def _trust(spec: ModelSpec) -> str:
    """What the file's soundness rests on, where that is less than a known SHA-256."""
    from alphapose_ros.registry.store import location, recorded_hash

    if spec.bundled or spec.sha256:
        return ""
    recorded = recorded_hash(location(spec))
    if not recorded:
        return " (put there by hand: nobody has published its SHA-256)"
    known = f"only its first digits {spec.sha256_prefix}" if spec.sha256_prefix else "nothing"
    return f"\n  SHA-256 {recorded}, recorded at download: {known} was known of it before"


def _size(spec: ModelSpec) -> str:
    from alphapose_ros.registry.store import location

    size = 0
    for part in spec.files:
        path = location(part)
        size += path.stat().st_size if path.is_file() else part.size_bytes
    return f"{size / 1e6:.0f} MB" if size else "?"


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    if isinstance(value, (tuple, list)):
        return ", ".join(f"{item:.4g}" if isinstance(item, float) else str(item) for item in value)
    return str(value)


@contextmanager
def _byte_bar(name: str, *, quiet: bool) -> Iterator[Callable[[int, int], object] | None]:
    """What to call with the bytes that are here, shown as a bar where one can be seen."""
    if not shows_bars(quiet=quiet):
        yield None
        return
    from tqdm import tqdm

    form = {"unit": "B", "unit_scale": True, "unit_divisor": 1024, "dynamic_ncols": True}
    bars: list[tqdm] = []  # none for files that are here

    def show(done: int, total: int) -> None:
        if not bars or done < bars[-1].n:  # a model may have another file, with a bar of its own
            # What an earlier attempt brought has no part in the rate.
            bars.append(tqdm(desc=name, initial=done, **form))
        bars[-1].total = total or None
        bars[-1].update(done - bars[-1].n)

    try:
        yield show
    finally:
        for bar in bars:
            bar.close()
