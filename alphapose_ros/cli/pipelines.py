# SPDX-License-Identifier: Apache-2.0
"""From the common options to a pipeline."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from alphapose_ros.base.errors import ConfigError, InputError

if TYPE_CHECKING:
    from alphapose_ros.pipeline import PosePipeline

DEFAULT_PRESET = "nano"


def make_pipeline(args: argparse.Namespace) -> PosePipeline:
    """The pipeline of ``--params-file``, or else of ``--preset``, on ``--device``.

    Raises:
        ConfigError: the file does not exist or is not a configuration.
        InputError: both were given.
    """
    if args.params_file and args.preset:
        raise InputError("--params-file and --preset exclude each other")
    if args.params_file and not Path(args.params_file).is_file():
        raise ConfigError(f"{args.params_file}: no such parameter file")
    from alphapose_ros.pipeline import PosePipeline

    if args.params_file:
        return PosePipeline.from_config(Path(args.params_file))
    return PosePipeline.from_preset(args.preset or DEFAULT_PRESET, device=args.device)
