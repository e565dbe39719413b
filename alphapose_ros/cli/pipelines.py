# SPDX-License-Identifier: Apache-2.0
"""From the common options to a configuration and a pipeline."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alphapose_ros.base.errors import InputError

if TYPE_CHECKING:
    from alphapose_ros.config import PipelineConfig
    from alphapose_ros.front.config import NodeConfig
    from alphapose_ros.pipeline import PosePipeline


def load_config(args: argparse.Namespace) -> tuple[PipelineConfig, NodeConfig]:
    """``--params-file`` (else the defaults), changed by the options that name models and device.

    A file is checked as a whole, the node's keys too where no node runs: a key that nobody knows
    is a mistake wherever the file is used.

    Raises:
        ConfigError: no such file or preset, an unknown key, a wrong type or value.
    """
    from alphapose_ros.config import (
        NODE_NAME,
        PipelineConfig,
        build,
        read_parameters,
        split_parameters,
    )
    from alphapose_ros.front.config import NodeConfig

    name, namespace = getattr(args, "node_name", NODE_NAME), getattr(args, "node_namespace", None)
    values: dict[str, Any] = {}
    if args.params_file:
        values = read_parameters(Path(args.params_file), name, namespace)
    ours, others = split_parameters(values)
    node = NodeConfig.from_parameters(others)
    config = build(PipelineConfig, ours)
    given = {name: getattr(args, name, None) for name in ("preset", "device", "runtime")}
    config = replace(config, **{name: value for name, value in given.items() if value})
    threads = getattr(args, "threads", None)
    if threads is not None:
        if threads < 1:
            raise InputError(f"--threads: expected at least 1, got {threads}")
        config = replace(config, threads=threads)
    return config.resolved(), node


def make_pipeline(args: argparse.Namespace) -> PosePipeline:
    """The pipeline that the common options name; its networks have run once."""
    config, _ = load_config(args)
    from alphapose_ros.pipeline import PosePipeline

    pipeline = PosePipeline(config)
    pipeline.warm_up()
    return pipeline
