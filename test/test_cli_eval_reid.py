# SPDX-License-Identifier: Apache-2.0
"""``eval reid``: the bundled network on real people, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from alphapose_ros import cli
from alphapose_ros.models.osnet import OSNet
from alphapose_ros.weights import save_tensors

pytestmark = pytest.mark.usefixtures("one_thread")


def test_attention_holds_on_to_the_person(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    people = shared / "data" / "coco_person"
    written = tmp_path / "reid.json"
    argv = [
        "eval", "reid", "--annotations", str(people / "val.json"), "--images",
        str(people / "images"), "--most", "24", "--json", str(written),
    ]  # fmt: skip
    assert cli.main(argv) == 0
    numbers = json.loads(written.read_text())
    assert "24 people" in capsys.readouterr().out
    assert numbers["movement, background: ratio"] < 0.6
    assert numbers["movement, second person: ratio"] < 0.8
    for change in ("background", "second person", "occluded"):
        seen, blind = (numbers[f"ranking, {change}, {a}: rank1"] for a in ("attention", "none"))
        assert seen >= blind
    weight = numbers["attention, unchanged: weight_on_person"]
    assert weight > 1.3 * numbers["attention, unchanged: area_of_person"]


def test_a_network_without_attention_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    people = tmp_path / "people.json"
    people.write_text(json.dumps({"images": [], "annotations": [], "categories": []}))
    weights = tmp_path / "osnet.safetensors"
    torch.manual_seed(0)
    save_tensors(OSNet((16, 64, 96, 128)).state_dict(), weights)
    argv = ["eval", "reid", "--annotations", str(people), "--images", str(tmp_path)]
    assert cli.main([*argv, "--weights", str(weights)]) == 2
    assert "expected a network with pose-guided attention" in capsys.readouterr().err
    assert cli.main([*argv, "--most", "1"]) == 2
    assert "--most: expected at least 2, got 1" in capsys.readouterr().err
