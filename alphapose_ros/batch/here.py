# SPDX-License-Identifier: Apache-2.0
"""Recordings one after another in this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from alphapose_ros.batch.manifest import Row
from alphapose_ros.batch.recording import Plan, Progress, process
from alphapose_ros.batch.worklist import Recording


def work_here(plan: Plan, recordings: Sequence[Recording]) -> Iterator[Progress | Row]:
    """How far each recording is, and its row."""
    pipeline = plan.load()
    for recording in recordings:
        yield from process(plan, pipeline, recording)
