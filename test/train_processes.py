# SPDX-License-Identifier: Apache-2.0
"""Small trainings as processes of their own, and what they leave behind.

The processes are forked: each would otherwise take longer to import PyTorch than to train.
"""

from __future__ import annotations

import multiprocessing
import os
import socket
import traceback
from collections.abc import Callable, Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from coco_scenes import coco_file, flat, person

from alphapose_ros.base.skeletons import COCO17, HALPE136
from alphapose_ros.train.pose_config import PoseTrainConfig


def pose_config(folder: Path, out: str, **changes: Any) -> PoseTrainConfig:
    """A training of the light network on crops of 64x32 of one picture with two people."""
    people = [person(flat(HALPE136)), person(flat(COCO17, label=1))]
    path = coco_file(folder, people)
    options: dict[str, Any] = {
        "out": str(folder / out), "sets": [f"{path}@{folder}"], "input_hw": (64, 32),
        "steps": 3, "batch_size": 4, "heatmap_steps": 1, "warmup": 1, "save_every": 1,
        "log_every": 1, "workers": 0, "threads": 1, "device": "cpu",
    }  # fmt: skip
    return PoseTrainConfig(**options | changes)


def start(
    train: Callable[[Any], object], config: Any, said: Path, **variables: str
) -> BaseProcess:
    """``train(config)`` in a process of its own; what went wrong there is written to ``said``."""

    def work() -> None:
        os.environ.update(variables)
        torch.set_num_threads(1)
        try:
            train(config)
        except BaseException:
            said.write_text(traceback.format_exc())
            raise

    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    return process


def finish(process: BaseProcess, said: Path) -> None:
    process.join(120)
    process.kill()
    process.join()
    assert process.exitcode == 0, said.read_text() if said.exists() else process.exitcode


def together(train: Callable[[Any], object], config: Any, folder: Path, size: int) -> None:
    """``size`` processes that train one network, in the environment that torchrun makes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    world: Mapping[str, str] = {
        "WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port,
    }  # fmt: skip
    said = [folder / f"rank{rank}.txt" for rank in range(size)]
    processes = [
        start(train, config, path, RANK=str(rank), **world) for rank, path in enumerate(said)
    ]
    for process, path in zip(processes, said, strict=True):
        finish(process, path)


def checkpoint(folder: Path) -> dict[str, Any]:
    return torch.load(folder / "checkpoint.pt", weights_only=True)


def rows(folder: Path) -> list[list[float]]:
    lines = (folder / "log.csv").read_text().splitlines()[1:]
    return [[float(value) for value in line.split(",")] for line in lines]
