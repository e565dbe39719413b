# SPDX-License-Identifier: Apache-2.0
"""Pipelines of one process, one after the other: a lifecycle node loads them again and again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from alphapose_ros.config import PipelineConfig
from alphapose_ros.tracking.identities import IdentitySource

if TYPE_CHECKING:
    from alphapose_ros.pipeline import PosePipeline


def pipelines() -> Callable[[PipelineConfig], PosePipeline]:
    """What loads a pipeline and runs its networks once.

    Everybody is forgotten with the pipeline before, and its numbers are not given again.
    """
    identities = IdentitySource()

    def load(config: PipelineConfig) -> PosePipeline:
        from alphapose_ros.pipeline import PosePipeline

        pipeline = PosePipeline(config)
        pipeline.begin_again(identities)
        pipeline.warm_up()
        return pipeline

    return load
