# SPDX-License-Identifier: Apache-2.0
"""``train ablation``: one training per variant, from the same start, judged alike."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from coco_scenes import coco_file, flat, person

from alphapose_ros import cli
from alphapose_ros.base.errors import ConfigError
from alphapose_ros.base.skeletons import HALPE136
from alphapose_ros.cli import ablation
from alphapose_ros.cli.ablation import AblationConfig
from alphapose_ros.pose.ablation import LOSSES
from alphapose_ros.train.pose_config import PoseTrainConfig
from alphapose_ros.weights import load_tensors

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def training(tmp_path: Path) -> Path:
    people = coco_file(tmp_path, [person(flat(HALPE136)), person(flat(HALPE136))])
    content = {
        "sets": [f"{people}@{tmp_path}"], "batch_size": 2, "workers": 0, "heatmap_steps": 0,
        "warmup": 0, "input_hw": [64, 64], "device": "cpu", "log_every": 1, "save_every": 1,
    }  # fmt: skip
    path = tmp_path / "pose.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_variants_are_trained_once_and_compared(
    training: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    runs: list[PoseTrainConfig] = []
    train = ablation.train_pose

    def train_and_note(config: PoseTrainConfig) -> Path:
        runs.append(config)
        return train(config)

    monkeypatch.setattr(ablation, "train_pose", train_and_note)
    people = next(iter(yaml.safe_load(training.read_text())["sets"]))
    argv = [
        "train", "ablation", "--training", str(training), "--held-out", people, "--steps", "1",
        "--out", str(tmp_path / "runs"), "--variants", "symmetric", "heatmap",
    ]  # fmt: skip
    assert cli.main(argv) == 0
    assert [config.loss for config in runs] == ["symmetric", "heatmap"]
    assert {config.steps for config in runs} == {1}
    assert len({config.init for config in runs}) == 1
    start = load_tensors(Path(runs[0].init))
    assert start["heatmaps.weight"].abs().max() < 0.01  # the last layer knows nothing
    assert cli.main([*argv, "dpg"]) == 0
    assert [config.dpg for config in runs] == [0.0, 0.0, 0.5]  # the first two were there
    lines = (tmp_path / "runs" / "ablation.md").read_text().splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["symmetric", "heatmap", "dpg"]
    found = json.loads((tmp_path / "runs" / "dpg" / "result.json").read_text())["measures"]
    assert 0 <= found["oks"] <= 1
    assert f"{found['oks']:.4f}" in lines[-1]
    assert "variant" in capsys.readouterr().out
    argv[argv.index("--steps") + 1] = "2"
    assert cli.main(argv) == 2
    told = capsys.readouterr().err
    assert "result.json: made with steps 1, got 2: compare in another folder" in told


def test_unknown_variants_and_missing_files_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"variants: expected some of symmetric, .*got 'magic'"):
        AblationConfig(variants=["magic"])
    for name in ("proposals", "distilled"):
        with pytest.raises(ConfigError, match=f"variants: {name} needs its file"):
            AblationConfig(variants=[name])
    assert AblationConfig(variants=list(LOSSES))
    assert AblationConfig(variants=["distilled"], teacher="pose_nano")
