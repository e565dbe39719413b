# SPDX-License-Identifier: Apache-2.0
"""``alphapose-ros batch``: hundreds of recordings over the workers of a Ray cluster."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alphapose_ros.base.errors import ConfigError, InputError
from alphapose_ros.cli.console import (
    Commands,
    add_command,
    add_pipeline_options,
    say,
    shows_bars,
    table,
    warn,
)

if TYPE_CHECKING:
    from alphapose_ros.batch.cluster import ClusterConfig
    from alphapose_ros.batch.manifest import BatchFolder, Row
    from alphapose_ros.batch.recording import Pipeline, Plan, Progress
    from alphapose_ros.batch.worklist import Recording
    from alphapose_ros.config import PipelineConfig

_SHOWN_FAILURES = 20
_EXAMPLES = """\
INPUTS are bags and videos, folders that are searched for them, quoted patterns, and lists (.txt,
one of these a line). Each recording gets a folder in DIR: people.parquet, frames.parquet and
poses.mcap. manifest.jsonl there has a row for each. The same command again does what is missing
or failed. Exit code 0: all are done, 1: some failed.

--workers 1 works in this process. More are a Ray cluster of this machine, on loopback and behind
a token of its own. --address joins a running cluster, whose nodes must see INPUTS and DIR under
the same paths. Whoever reaches Ray's ports can run code on all its nodes: keep a cluster in a
network of its own, or give it a token (RAY_AUTH_MODE=token).

examples:
  alphapose-ros batch recordings/ --out poses/ --workers 8
  alphapose-ros batch 'day1/**/*.mcap' night.txt --out poses/ --topic /front/image_raw
  alphapose-ros batch recordings/ --out /shared/poses --address auto --workers 64 \\
      --gpus-per-worker 0.25
"""


def register(commands: Commands) -> None:
    """Add the command."""
    parser = add_command(
        commands,
        "batch",
        "Track people in many recordings at once. Write tables and bags. Go on where it stopped.",
        epilog=_EXAMPLES,
    )
    parser.set_defaults(handler=batch)
    parser.add_argument("inputs", nargs="+", metavar="INPUTS", help="recordings, see below")
    parser.add_argument("--out", required=True, metavar="DIR", help="folder of the results")
    parser.add_argument("--restart", action="store_true", help="remove the results in DIR first")
    parser.add_argument("--topic", help="image topic of bags (default: every camera in them)")
    parser.add_argument("--max-frames", type=int, metavar="N", help="of each recording")
    parser.add_argument(
        "--images",
        action=argparse.BooleanOptionalAction,
        default=False,
        help="annotated images in the bags too, which makes them large (default: no)",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    workers = parser.add_argument_group(
        "workers",
        "each loads the networks once; where there are several, or a cluster, each works on one "
        "thread unless --threads says more",
    )
    workers.add_argument(
        "--workers", type=int, metavar="N",
        help="processes (default: as many as there are cores for, where Ray is installed)",
    )  # fmt: skip
    workers.add_argument(
        "--address", metavar="WHERE",
        help="running Ray cluster: auto or host:port (default: RAY_ADDRESS, else this machine)",
    )  # fmt: skip
    workers.add_argument(
        "--gpus-per-worker", type=float, metavar="F",
        help="part of a GPU for each, 0 for none (default: the GPUs shared out)",
    )  # fmt: skip
    workers.add_argument(
        "--retries", type=int, default=2, metavar="N",
        help="of a recording whose worker died (default: 2)",
    )  # fmt: skip
    add_pipeline_options(parser)


def batch(args: argparse.Namespace) -> int:
    """Work on what is missing; 1 when some recordings failed."""
    from alphapose_ros.batch.manifest import BatchFolder
    from alphapose_ros.batch.settings import BatchOptions, describe, fingerprint
    from alphapose_ros.batch.worklist import find_recordings
    from alphapose_ros.cli.pipelines import load_config

    if args.max_frames is not None and args.max_frames < 1:
        raise InputError(f"--max-frames: expected at least 1, got {args.max_frames}")
    config, _ = load_config(args)
    if config.detector.name == "replay":
        raise ConfigError("detector.name: replay knows the boxes of one recording; use run")
    options = BatchOptions(args.topic or "", args.max_frames or 0, args.images)
    settings = describe(config, options)
    recordings = find_recordings(args.inputs)
    out = Path(args.out).absolute()
    with BatchFolder(out, settings, fingerprint(settings), restart=args.restart) as folder:
        missing = [each for each in recordings if not folder.is_done(each)]
        if missing:
            cluster = _cluster(args, config, len(missing))
            plan = _plan(folder, cluster, config, options)
            with _bar(len(recordings), len(recordings) - len(missing), args.quiet) as seen:
                for report in _work(plan, missing, cluster):
                    seen(report)
                    _note(folder, report)
        return _report(folder, recordings, len(recordings) - len(missing))


def _cluster(args: argparse.Namespace, config: PipelineConfig, missing: int) -> ClusterConfig:
    """What works: the options, or as many workers of one thread as there are cores."""
    from alphapose_ros.batch.cluster import ClusterConfig

    threads = config.threads or 1
    workers = args.workers
    if workers is None:
        cores = len(os.sched_getaffinity(0)) if find_spec("ray") else 1
        workers = min(max(cores // threads, 1), missing)
    return ClusterConfig(
        address=args.address or os.environ.get("RAY_ADDRESS", ""),
        workers=workers,
        threads=threads,
        gpus=0.0 if config.device == "cpu" else args.gpus_per_worker,
        retries=args.retries,
    )


def _plan(
    folder: BatchFolder, cluster: ClusterConfig, config: PipelineConfig, options: Any
) -> Plan:
    import dataclasses
    import functools

    from alphapose_ros.batch.recording import Plan
    from alphapose_ros.cli.bag_output import BagOutput

    if not _works_here(cluster):
        config = dataclasses.replace(config, threads=cluster.threads)
    load = functools.partial(load_pipeline, config)
    return Plan(folder.path, folder.config, options, load, BagOutput)


def load_pipeline(config: PipelineConfig) -> Pipeline:
    """A worker's pipeline; its networks have run once."""
    from alphapose_ros.pipeline import PosePipeline

    pipeline = PosePipeline(config)
    pipeline.warm_up()
    return pipeline


def _works_here(cluster: ClusterConfig) -> bool:
    """Whether the one worker is this process: it has the machine's cores to itself, as ``run``."""
    return cluster.workers == 1 and not cluster.address


def _work(
    plan: Plan, missing: list[Recording], cluster: ClusterConfig
) -> Iterable[Progress | Row]:
    """In this process, or in those of a cluster: the same for each recording."""
    if _works_here(cluster):
        from alphapose_ros.batch.here import work_here

        return work_here(plan, missing)
    from alphapose_ros.batch.ray_pool import work_on_ray

    return work_on_ray(plan, missing, cluster)


def _note(folder: BatchFolder, report: Progress | Row) -> None:
    from alphapose_ros.batch.manifest import Row

    if isinstance(report, Row):
        folder.add(report)
        for problem in report.problems:
            warn(f"{report.path}: {problem}")


@contextmanager
def _bar(total: int, done: int, quiet: bool) -> Iterator[Any]:
    """A function that takes each report; a bar counts recordings and frames where one is seen."""
    if not shows_bars(quiet=quiet):
        yield lambda report: None
        return
    from tqdm import tqdm

    from alphapose_ros.batch.manifest import FAILED, Row

    frames: dict[str, int] = {}
    failures = 0
    with tqdm(total=total, initial=done, unit=" recordings", dynamic_ncols=True) as bar:

        def see(report: Progress | Row) -> None:
            nonlocal failures
            frames[report.recording] = report.frames
            if isinstance(report, Row):
                failures += report.status == FAILED
                bar.update()
            text = f"{sum(frames.values()):,} frames"
            bar.set_postfix_str(f"{text}, {failures} failed" if failures else text)

        yield see


def _report(folder: BatchFolder, recordings: list[Recording], before: int) -> int:
    """The table at the end; the exit code."""
    from alphapose_ros.batch.manifest import DONE

    rows = [folder.rows[each.name] for each in recordings]
    done = [row for row in rows if row.status == DONE]
    broken = [row for row in rows if row.status != DONE]
    say(
        table(
            [
                ("recordings", f"{len(rows)}: {len(done)} done ({before} before), "
                               f"{len(broken)} failed"),
                ("frames", str(sum(row.frames for row in done))),
                ("people", f"{sum(row.people for row in done)} rows"),
                ("results", str(folder.path)),
            ]
        )
    )  # fmt: skip
    if broken:
        say()
        shown = [(row.path, row.error) for row in broken[:_SHOWN_FAILURES]]
        say(table(shown, ("failed", "reason")))
        if len(broken) > len(shown):
            say(f"and {len(broken) - len(shown)} more, see manifest.jsonl")
    return 1 if broken else 0
