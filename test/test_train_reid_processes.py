# SPDX-License-Identifier: Apache-2.0
"""``train reid`` in two processes, each with half of the people of a batch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_train_reid import config
from train_processes import checkpoint, rows, together

from alphapose_ros.models.osnet import WIDTHS, OSNet
from alphapose_ros.train import reid
from alphapose_ros.train.norms import set_training
from alphapose_ros.train.reid import train_reid
from alphapose_ros.weights import load_tensors, save_tensors

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.skipif(
        not torch.distributed.is_available(), reason="PROCESSES NOT CHECKED: no torch.distributed"
    ),
]


def test_hardest_pairs_are_sought_in_the_batch_of_all_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Triplets alone, with norms held: else each process's moments are those of its samples."""
    monkeypatch.setattr(reid, "set_training", lambda learner, **_: set_training(learner, True))
    one = config(
        tmp_path, init="reid_nano", people=4, steps=3, learning_rate=1e-4,
        contrast_weight=0.0, identity_weight=0.0,
    )  # fmt: skip
    train_reid(one)
    two = replace(one, out=str(tmp_path / "two"))
    together(train_reid, two, tmp_path, 2)
    header = (tmp_path / "run" / "log.csv").read_text().splitlines()[0].split(",")
    at = header.index("triplet")
    found = [[row[at] for row in rows(tmp_path / each)] for each in ("run", "two")]
    assert len(found[0]) == 3
    assert min(found[0]) > 0
    np.testing.assert_allclose(found[1], found[0], rtol=2e-3)
    states = [checkpoint(tmp_path / each)["model"] for each in ("run", "two")]
    for name in ("network.embed.weight", "network.attention.conv.weight"):
        torch.testing.assert_close(states[1][name], states[0][name], rtol=2e-3, atol=2e-5)


def test_one_process_asks_the_teacher_and_both_learn_its_answers(tmp_path: Path) -> None:
    torch.manual_seed(3)
    weights = tmp_path / "teacher.safetensors"
    save_tensors(OSNet(WIDTHS["0_25"]).eval().state_dict(), weights)
    chosen = config(
        tmp_path, people=4, steps=2, freeze=0, input_hw=[64, 32], teacher=str(weights),
        colourings=2,
    )  # fmt: skip
    together(train_reid, chosen, tmp_path, 2)
    with np.load(tmp_path / "run" / "teacher.npz") as kept:
        assert kept["set0"].shape == (18, 2, 512)
    assert np.isfinite(rows(tmp_path / "run")).all()
    assert len(rows(tmp_path / "run")) == 2
    finished = load_tensors(tmp_path / "run" / "reid.safetensors")
    assert all(value.isfinite().all() for value in finished.values())
