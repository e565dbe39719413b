# SPDX-License-Identifier: Apache-2.0
"""A training that is killed at a random moment comes to the same end."""

from __future__ import annotations

import os
import random
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from train_processes import checkpoint, finish, pose_config, start

from alphapose_ros.base.errors import WeightsError
from alphapose_ros.train.loop import Run, RunOptions
from alphapose_ros.train.pose import train_pose
from alphapose_ros.train.schedule import Schedule
from alphapose_ros.weights import load_tensors

pytestmark = pytest.mark.usefixtures("one_thread")


def test_killed_trainings_come_to_the_same_numbers(tmp_path: Path) -> None:
    config = pose_config(tmp_path, "whole", steps=24, batch_size=2, log_every=3, save_every=2)
    train_pose(config)
    folder, said = tmp_path / "killed", tmp_path / "said.txt"
    path, reached = folder / "checkpoint.pt", []
    for _ in range(2):
        before = path.stat().st_mtime_ns if reached else 0
        process = start(train_pose, replace(config, out=str(folder)), said)
        while process.is_alive() and not (path.exists() and path.stat().st_mtime_ns > before):
            time.sleep(0.005)
        time.sleep(random.SystemRandom().uniform(0, 0.4))
        process.kill()  # SIGKILL: nothing is tidied up
        process.join()
        reached.append(checkpoint(folder)["step"])
    assert 0 < reached[0] <= reached[1]
    finish(start(train_pose, replace(config, out=str(folder)), said), said)
    assert (folder / "log.csv").read_text() == (tmp_path / "whole/log.csv").read_text(), reached
    first, second = checkpoint(tmp_path / "whole"), checkpoint(folder)
    for part in ("model", "average"):
        assert all(torch.equal(first[part][k], second[part][k]) for k in first[part]), reached
    first, second = (
        load_tensors(tmp_path / name / "pose.safetensors") for name in ("whole", "killed")
    )
    assert all(torch.equal(first[k], second[k]) for k in first)


def run_in(folder: Path) -> Run:
    model = torch.nn.Linear(3, 2)
    return Run(folder, model, torch.optim.SGD(model.parameters(), 0.1), RunOptions(Schedule(4)))


def test_a_write_that_was_cut_short_leaves_the_checkpoint_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_in(tmp_path)
    run.save()
    good = run.checkpoint_path.read_bytes()

    def cut_short(state: object, path: Path) -> None:
        path.write_bytes(good[:100])
        raise OSError("no space left on device")

    run.step = 2
    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", cut_short)
        with pytest.raises(OSError, match="no space"):
            run.save()
    again = run_in(tmp_path)
    assert again.resume()
    assert again.step == 0


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_truncated_checkpoint_is_refused_in_one_line(tmp_path: Path, share: float) -> None:
    run = run_in(tmp_path)
    run.save()
    good = run.checkpoint_path.read_bytes()
    run.checkpoint_path.write_bytes(good[: int(share * len(good))])
    with pytest.raises(WeightsError, match=r"checkpoint\.pt: not a usable checkpoint") as caught:
        run_in(tmp_path).resume()
    assert "\n" not in str(caught.value)


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Harm:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(tmp_path / "harm"),)

    run = run_in(tmp_path)
    torch.save({"steps": 4, "model": Harm()}, run.checkpoint_path)
    with pytest.raises(WeightsError, match="may run code"):
        run.resume()
    assert not (tmp_path / "harm").exists()
