# SPDX-License-Identifier: Apache-2.0
"""One recording becomes its files: the same code in this process and in a cluster's workers."""

from __future__ import annotations

import secrets
import shutil
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Protocol

from alphapose_ros.base.errors import AlphaPoseError
from alphapose_ros.base.records import Frame, FrameResult, ImageArray
from alphapose_ros.base.skeletons import Skeleton
from alphapose_ros.batch.manifest import DONE, FAILED, PARTIAL, ROW, Row, read_row
from alphapose_ros.batch.settings import BatchOptions
from alphapose_ros.batch.tables import TablesWriter
from alphapose_ros.batch.worklist import Recording
from alphapose_ros.io.part import publish, settle
from alphapose_ros.io.sources import Source, open_source
from alphapose_ros.output.draw import draw_result

BAG = "poses.mcap"
_REPORT_S = 0.5  # between two words of how far a recording is


class Pipeline(Protocol):
    """What a batch needs of a pipeline."""

    @property
    def skeleton(self) -> Skeleton:
        """Of every pose."""

    def __call__(self, frame: Frame) -> FrameResult:
        """One image."""

    def begin_again(self) -> None:
        """Forget everybody, as if nothing had been seen yet."""


class Bag(Protocol):
    """Poses as the node would publish them."""

    def write(self, frame: Frame, result: FrameResult, drawn: ImageArray | None) -> bool:
        """Append a frame."""

    def close(self) -> None:
        """Finish the file."""


@dataclass(frozen=True)
class Plan:
    """What is the same for all recordings of a batch; a worker gets it once.

    Attributes:
        out: the batch's folder. config: hash of the settings.
        load: makes the pipeline. open_bag: (path, skeleton, with images) -> bag.
    """

    out: Path
    config: str
    options: BatchOptions
    load: Callable[[], Pipeline]
    open_bag: Callable[[Path, Skeleton, bool], Bag]


@dataclass(frozen=True)
class Progress:
    """``frames`` of a recording are done."""

    recording: str
    frames: int


def process(plan: Plan, pipeline: Pipeline, recording: Recording) -> Iterator[Progress | Row]:
    """Work on a recording: now and then how far it is, at the end its row.

    Whatever is wrong with the recording becomes its row. A complete result that is there already,
    of a worker that died before it could tell, counts.
    """
    final = plan.out / recording.name
    row = read_row(final)
    if row is not None and row.is_of(recording, plan.config):
        yield Progress(recording.name, row.frames)
        yield row
        return
    began = time.perf_counter()
    partial = None
    try:
        partial = _new_partial(plan, recording)
        for report in _written(plan, pipeline, recording, partial):
            if isinstance(report, Row):
                report = replace(report, seconds=round(time.perf_counter() - began, 3))
                _keep(partial, final, report)
            yield report
    except AlphaPoseError as error:
        yield failed(plan, recording, _one_line(error))
    except OSError as error:  # of the disk, not of the recording: results that were there stay
        yield Row.of(recording, FAILED, plan.config, error=_one_line(error))
    except Exception as error:  # noqa: BLE001 - of one recording; the others go on
        reason = f"unexpected {type(error).__name__}: {_one_line(error)}"
        yield replace(failed(plan, recording, reason), trace=traceback.format_exc())
    finally:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)


def failed(plan: Plan, recording: Recording, reason: str) -> Row:
    """The row of a recording that could not be worked on.

    Results of the recording as it was before it changed go: they would be taken for its own.
    """
    final = plan.out / recording.name
    row = read_row(final)
    if row is not None and not row.is_of(recording, plan.config):
        with suppress(OSError):  # of a disk that takes nothing: the row says that they are old
            partial = _new_partial(plan, recording)
            final.rename(partial)  # all at once, wherever it is killed
            shutil.rmtree(partial)
    return Row.of(recording, FAILED, plan.config, error=reason)


def _new_partial(plan: Plan, recording: Recording) -> Path:
    """An empty folder where nothing counts as results."""
    partial = plan.out / PARTIAL / f"{recording.name}-{secrets.token_hex(4)}"
    partial.mkdir(parents=True)
    return partial


def _written(
    plan: Plan, pipeline: Pipeline, recording: Recording, folder: Path
) -> Iterator[Progress | Row]:
    """All frames of a recording into files in ``folder``."""
    frames, identities = 0, set[int]()
    reported = time.monotonic()
    pipeline.begin_again()
    with ExitStack() as stack:
        source = stack.enter_context(open_source(recording.path, topic=plan.options.topic or None))
        skeleton = pipeline.skeleton
        tables = stack.enter_context(TablesWriter(folder, recording.name, skeleton, plan.config))
        bag = plan.open_bag(folder / BAG, skeleton, plan.options.images)
        stack.callback(bag.close)
        for frames, frame in enumerate(_frames(source, plan.options), start=1):
            result = pipeline(frame)
            tables.write(result)
            drawn = draw_result(frame.image, result) if plan.options.images else None
            bag.write(frame, result, drawn)
            identities.update(int(identity) for identity in result.tracks.ids if identity > 0)
            if time.monotonic() - reported >= _REPORT_S:
                reported = time.monotonic()
                yield Progress(recording.name, frames)
    yield Progress(recording.name, frames)
    yield Row.of(
        recording, DONE, plan.config, frames=frames, people=tables.people,
        identities=len(identities), problems=list(source.problems),
    )  # fmt: skip


def _frames(source: Source, options: BatchOptions) -> Iterator[Frame]:
    return islice(iter(source), options.max_frames or None)


def _keep(partial: Path, final: Path, row: Row) -> None:
    """Give complete results their name, once they are on the disk."""
    (partial / ROW).write_text(row.line(), encoding="utf-8")
    if final.exists():  # of the recording as it was before it changed
        settle(partial)  # before the old ones go
        shutil.rmtree(final)
    publish(partial, final)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
