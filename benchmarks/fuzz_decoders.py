# SPDX-License-Identifier: Apache-2.0
"""Damaged bytes into every decoder: images, depth, calibration, CDR, parameter files, JSON.

``python benchmarks/fuzz_decoders.py --seconds 30`` gives each target 30 seconds. Each answers with
a value or with one of the package's own errors; anything else is printed with the bytes that did
it, and the exit code is 1. With ``atheris`` installed (``pip install atheris``) the decoders'
branches guide the mutations; without it valid samples are mutated at random.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import io
import json
import logging
import os
import random
import re
import subprocess
import sys
import tempfile
import time
import traceback
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_HANG_S = 20  # one input never needs so long
_ENOUGH = 20  # different failures
_POOL = 200  # inputs that are mutated further
_WATCHED = (
    "alphapose_ros.io.image_messages",
    "alphapose_ros.io.stamps",
    "alphapose_ros.front.intake",
    "alphapose_ros.dds.types",
    "alphapose_ros.config",
    "alphapose_ros.base.plain_yaml",
    "alphapose_ros.base.settings",
    "alphapose_ros.io.image_header",
    "alphapose_ros.front.config",
    "alphapose_ros.detection.replay",
    "alphapose_ros.eval.track_files",
    "rosbags.serde",
    "yaml",
    "json",
)


@dataclass(frozen=True)
class Outcome:
    """One target's.

    Attributes:
        target: its name.
        driver: atheris or random.
        executions: inputs that were read.
        taken: of them those that were valid all the same; -1 where the driver does not say.
        seconds: spent.
        failures: inputs as hexadecimal text with the errors that they gave.
    """

    target: str
    driver: str
    executions: int
    taken: int
    seconds: float
    failures: tuple[tuple[str, str], ...]


def main(argv: list[str] | None = None) -> int:
    """Fuzz, print a table, and answer whether nothing broke."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="of each target")
    parser.add_argument("--targets", nargs="+", help="default: all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--driver", choices=("auto", "atheris", "random"), default="auto")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--guided", help=argparse.SUPPRESS)  # one target, in its own process
    args, rest = parser.parse_known_args(argv)
    if args.guided:
        _guide(args.guided, rest)
    elif rest:
        parser.error(f"unknown arguments: {' '.join(rest)}")
    logging.disable(logging.CRITICAL)  # a refused image is a line in the log
    from _fuzz import targets

    known = targets()
    names = args.targets or list(known)
    for name in names:
        if name not in known:
            parser.error(f"{name}: expected one of {', '.join(known)}")
    guided = args.driver == "atheris" or (args.driver == "auto" and find_spec("atheris"))
    run = by_coverage if guided else at_random
    outcomes = []
    for name in names:
        outcomes.append(run(name, args.seconds, args.seed))
        print(_row(outcomes[-1]), flush=True)
    if args.json:
        args.json.write_text(json.dumps([asdict(each) for each in outcomes], indent=1))
    total = sum(each.executions for each in outcomes)
    failed = sum(len(each.failures) for each in outcomes)
    print(f"{total} executions, {failed} failures")
    return int(failed > 0)


def at_random(name: str, seconds: float, seed: int) -> Outcome:
    """Valid samples with random changes, the same ones for the same seed."""
    begin = time.monotonic()
    return _mutate(name, seed, lambda executions: time.monotonic() - begin < seconds)


def at_random_times(name: str, executions: int, seed: int) -> Outcome:
    """As :func:`at_random`, so many times."""
    return _mutate(name, seed, lambda count: count < executions)


def _mutate(name: str, seed: int, more: Callable[[int], bool]) -> Outcome:
    from _fuzz import mutated, targets

    target, chance = targets()[name], random.Random(seed)  # noqa: S311 (nothing secret)
    pool, failures = list(target.samples), {}
    executions = taken = 0
    begin = time.monotonic()
    with _silent_libraries():
        while more(executions) and len(failures) < _ENOUGH:
            if executions % 50 == 0:
                faulthandler.dump_traceback_later(_HANG_S, exit=True, file=sys.__stdout__)
            data = mutated(chance.choice(pool), chance, target.samples)
            executions += 1
            try:
                good = target.read(data)
            except Exception as error:  # noqa: BLE001 (whatever it is, it is the finding)
                failures.setdefault(_place(error), (data.hex(), _text(error)))
                continue
            taken += good
            if good and len(pool) < _POOL:  # what is still valid can be changed further
                pool.append(data)
        faulthandler.cancel_dump_traceback_later()
    lasted = time.monotonic() - begin
    return Outcome(name, "random", executions, taken, lasted, tuple(failures.values()))


def by_coverage(name: str, seconds: float, seed: int) -> Outcome:
    """Atheris (libFuzzer) in a process of its own: it ends the process."""
    from _fuzz import targets

    with tempfile.TemporaryDirectory() as folder:
        corpus = Path(folder, "corpus")
        corpus.mkdir()
        for number, sample in enumerate(targets()[name].samples):
            (corpus / str(number)).write_bytes(sample)
        options = [f"-max_total_time={max(1, round(seconds))}", f"-seed={seed}", "-max_len=65536"]
        options += [f"-timeout={_HANG_S}", f"-artifact_prefix={folder}/", "-rss_limit_mb=4096"]
        command = [sys.executable, __file__, "--guided", name, *options, str(corpus)]
        begin = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        lasted = time.monotonic() - begin
        found = [p for p in Path(folder).iterdir() if p.is_file()]
        failures = tuple((p.read_bytes().hex(), _tail(done.stderr)) for p in found)
    if done.returncode and not failures:
        failures = (("", _tail(done.stderr)),)
    counts = re.findall(r"^#(\d+)\s", done.stderr, re.MULTILINE)
    executions = max(map(int, counts), default=0)
    return Outcome(name, "atheris", executions, -1, lasted, failures)


def _guide(name: str, options: list[str]) -> None:
    """Be the fuzzed process."""
    import atheris

    logging.disable(logging.CRITICAL)
    with atheris.instrument_imports(include=list(_WATCHED)), _quiet():
        from _fuzz import targets
    target = targets()[name]

    def once(data: bytes) -> None:
        target.read(data)

    atheris.Setup([sys.argv[0], *options], once)
    atheris.Fuzz()


def _quiet() -> contextlib.AbstractContextManager[object]:
    """Atheris names each module that it instruments."""
    return contextlib.redirect_stderr(io.StringIO())


@contextlib.contextmanager
def _silent_libraries() -> Iterator[None]:
    """Stderr goes nowhere: the image libraries write about every damaged image, past Python."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _place(error: BaseException) -> str:
    """Where it was raised: one bug is reported once."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} {last.filename}:{last.lineno}"


def _text(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)[-4:])


def _tail(text: str) -> str:
    noise = (
        "#",
        "libpng",
        "Corrupt JPEG",
        "0x",
        "MS: ",
        "\\",
        "Base64",
        "artifact_prefix",
        "INFO",
    )
    return "\n".join([line for line in text.splitlines() if not line.startswith(noise)][-30:])


def _row(outcome: Outcome) -> str:
    per_second = outcome.executions / max(outcome.seconds, 1e-9)
    row = (
        f"{outcome.target:12} {outcome.driver:8} {outcome.executions:9d} executions "
        f"{per_second:8.0f}/s {len(outcome.failures)} failures"
    )
    return "\n".join(
        [row, *(f"  {text}\n  input {data[:400]}" for data, text in outcome.failures)]
    )


if __name__ == "__main__":
    sys.exit(main())
