# SPDX-License-Identifier: Apache-2.0
"""``torchrun`` itself starts the processes of a training; they train the network of one."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from train_processes import checkpoint, pose_config, rows

from alphapose_ros.train.pose import train_pose

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.skipif(
        not torch.distributed.is_available(), reason="TORCHRUN NOT CHECKED: no torch.distributed"
    ),
]


def changed(config: Any, default: Any) -> dict[str, Any]:
    """What differs from the defaults, as the command's YAML file holds it."""
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in asdict(config).items()
        if value != asdict(default)[key] and not isinstance(value, dict)
    }


def free_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return str(free.getsockname()[1])


def test_torchrun_trains_the_network_of_one_process(tmp_path: Path, root: Path) -> None:
    # A start whose norms are frozen: others see the samples of their own process alone.
    config = pose_config(tmp_path, "one", init="pose_nano", learning_rate=1e-5, warmup=0)
    finished = train_pose(config)
    file = tmp_path / "pose.yaml"
    file.write_text(yaml.safe_dump(changed(config, type(config)(out="-", sets=["-@-"]))))
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2",
        "--master-addr", "127.0.0.1", "--master-port", free_port(),
        "-m", "alphapose_ros", "train", "pose", "--config", str(file),
        "--out", str(tmp_path / "two"),
    ]  # fmt: skip
    process = subprocess.Popen(
        command, env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)},
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        out, said = process.communicate(timeout=120)
    finally:
        process.terminate()  # torchrun ends those that it started
    assert process.returncode == 0, said
    written = [line for line in out.splitlines() if line.startswith("written")]
    assert written == [f"written    {tmp_path / 'two' / finished.name}"]  # by one of the two
    one, two = checkpoint(tmp_path / "one"), checkpoint(tmp_path / "two")
    for part in ("model", "average"):
        for name, value in one[part].items():
            torch.testing.assert_close(two[part][name], value, rtol=2e-4, atol=2e-6, msg=name)
    np.testing.assert_allclose(
        rows(tmp_path / "two"), rows(tmp_path / "one"), rtol=2e-4, atol=1e-6
    )
