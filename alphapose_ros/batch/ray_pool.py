# SPDX-License-Identifier: Apache-2.0
"""Recordings over the workers of a Ray cluster, one at a time each.

A worker is an actor that loads the networks once. One that dies is replaced, and its recording is
begun again, a bounded number of times.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from alphapose_ros.base.errors import TransportError
from alphapose_ros.batch.cluster import ClusterConfig, joined, share_of_gpus
from alphapose_ros.batch.manifest import PARTIAL, Row
from alphapose_ros.batch.recording import Plan, Progress, failed, process
from alphapose_ros.batch.worklist import Recording

log = logging.getLogger(__name__)

_WAIT_S = 1.0
_PATIENCE_S = 60.0  # without any worker until somebody is told


def work_on_ray(
    plan: Plan, recordings: Sequence[Recording], config: ClusterConfig
) -> Iterator[Progress | Row]:
    """How far each recording is, and its row, in the order in which they come.

    Raises:
        MissingDependencyError: Ray is not installed.
        TransportError: no cluster, or its workers die before they have loaded the networks.
        AlphaPoseError: what a worker could not load.
    """
    with joined(config) as ray:
        yield from _Pool(ray, plan, recordings, config).run()


class Worker:
    """One process with its own networks; Ray makes an actor of it."""

    def __init__(self, plan: Plan, folder: str, variables: Mapping[str, str]) -> None:
        os.environ.update(variables)
        with suppress(OSError):  # paths in the parameters are the command's; absent elsewhere
            os.chdir(folder)
        self._plan = plan
        self._pipeline: Any = None

    def load(self) -> None:
        """Load the networks."""
        self._pipeline = self._plan.load()

    def work(self, recording: Recording) -> Iterator[Progress | Row]:
        """Work on a recording."""
        yield from process(self._plan, self._pipeline, recording)


class _Pool:
    """The workers, what each does, and what waits."""

    def __init__(
        self, ray: Any, plan: Plan, recordings: Sequence[Recording], config: ClusterConfig
    ) -> None:
        self._ray, self._plan, self._config = ray, plan, config
        self._waiting = deque(recordings)
        self._attempts: Counter[str] = Counter()
        self._finished: set[str] = set()
        self._failed_starts = 0
        # A running answer -> its worker and recording; None while the worker loads.
        self._running: dict[Any, tuple[Any, Recording | None]] = {}
        self._actor = ray.remote(Worker).options(
            num_cpus=config.threads, num_gpus=share_of_gpus(ray, config),
            max_restarts=0, max_task_retries=0,
        )  # fmt: skip

    def run(self) -> Iterator[Progress | Row]:
        """Until every recording has a row."""
        for _ in range(min(self._config.workers, len(self._waiting))):
            self._start_worker()
        began, told = time.monotonic(), False
        while self._running:
            ready, _ = self._ray.wait(list(self._running), num_returns=1, timeout=_WAIT_S)
            for answer in ready:
                yield from self._take(answer)
            late = not self._attempts and time.monotonic() - began > _PATIENCE_S
            if late and not told:
                log.warning("no worker could begin yet: the cluster is busy, or loads networks")
                told = True

    def _start_worker(self) -> None:
        decoders = {name: text for name, text in os.environ.items() if name.startswith("OPENCV_")}
        worker = self._actor.remote(self._plan, str(Path.cwd()), decoders)
        self._running[worker.load.remote()] = (worker, None)

    def _take(self, answer: Any) -> Iterator[Progress | Row]:
        worker, recording = self._running[answer]
        if recording is None:
            self._take_loaded(answer, worker)
            return
        errors = self._ray.exceptions
        try:
            report = self._ray.get(next(answer))
        except StopIteration:
            del self._running[answer]
            self._give_work(worker)
        except errors.RayTaskError as error:  # outside of what belongs to the recording
            yield self._finish(failed(self._plan, recording, f"in its worker: {error.cause!r}"))
        except errors.RayError as error:
            del self._running[answer]
            self._ray.kill(worker)  # where it was the network that died
            yield from self._after_death(recording, error)
        else:
            yield self._finish(report) if isinstance(report, Row) else report

    def _take_loaded(self, answer: Any, worker: Any) -> None:
        del self._running[answer]
        errors = self._ray.exceptions
        try:
            self._ray.get(answer)
        except errors.RayTaskError as error:
            raise error.cause from error  # the same for every worker
        except errors.RayError as error:
            self._failed_starts += 1
            if self._failed_starts > self._config.retries + self._config.workers:
                raise TransportError(
                    "workers die while they load the networks (out of memory?): "
                    + _first_line(error)
                ) from error
            self._start_worker()
        else:
            self._give_work(worker)

    def _give_work(self, worker: Any) -> None:
        if not self._waiting:
            self._ray.kill(worker)  # its memory is of use to the others
            return
        recording = self._waiting.popleft()
        self._attempts[recording.name] += 1
        stream = worker.work.options(num_returns="streaming").remote(recording)
        self._running[stream] = (worker, recording)

    def _finish(self, row: Row) -> Row:
        self._finished.add(row.recording)
        return replace(row, attempts=max(self._attempts[row.recording], 1))

    def _after_death(self, recording: Recording, error: Exception) -> Iterator[Row]:
        """Put the recording first again, as long as it is not at fault itself."""
        attempts = self._attempts[recording.name]
        if recording.name not in self._finished:
            for left in (self._plan.out / PARTIAL).glob(f"{recording.name}-*"):
                shutil.rmtree(left, ignore_errors=True)
            if attempts <= self._config.retries:
                log.warning("%s: its worker died, it is begun again", recording.path)
                self._waiting.appendleft(recording)
            else:
                reason = f"its worker died {attempts} times (killed, or out of memory): "
                yield self._finish(failed(self._plan, recording, reason + _first_line(error)))
        if self._waiting:
            self._start_worker()


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
