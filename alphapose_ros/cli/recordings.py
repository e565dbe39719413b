# SPDX-License-Identifier: Apache-2.0
"""What the evaluations of recordings share."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

from alphapose_ros.base.errors import InputError
from alphapose_ros.cli.console import progress

if TYPE_CHECKING:
    from alphapose_ros.base.records import Frame
    from alphapose_ros.config import PipelineConfig
    from alphapose_ros.io.sources import Source


def check_max_frames(args: argparse.Namespace) -> None:
    """Refuse to look at no frame.

    Raises:
        InputError: ``--max-frames`` is below 1.
    """
    if args.max_frames is not None and args.max_frames < 1:
        raise InputError(f"--max-frames: expected at least 1, got {args.max_frames}")


@contextmanager
def recorded(args: argparse.Namespace) -> Iterator[tuple[Source, Iterable[Frame]]]:
    """The recording ``args.video`` and its first ``--max-frames`` frames, with a progress bar.

    Raises:
        InputError: it cannot be read, or is live.
    """
    from alphapose_ros.io.sources import open_source

    with open_source(args.video) as source:
        if source.live:
            raise InputError(f"{args.video}: expected a recording, got a live source")
        total = args.max_frames or source.frame_count
        yield (
            source,
            progress(
                islice(source, args.max_frames), total=total, unit=" frames", quiet=args.quiet
            ),
        )


def with_pose_weights(config: PipelineConfig, weights: str | None) -> PipelineConfig:
    """The configuration with the file of ``--weights`` as its pose network, where one is named."""
    return replace(config, pose=replace(config.pose, weights=weights)) if weights else config
