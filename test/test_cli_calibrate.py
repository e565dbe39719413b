# SPDX-License-Identifier: Apache-2.0
"""``train calibration``, and the pipeline's estimator with what it wrote."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from coco_scenes import coco_file, flat, person

from alphapose_ros import cli
from alphapose_ros.base.errors import ConfigError, InputError
from alphapose_ros.base.skeletons import HALPE136, SKELETONS, Skeleton
from alphapose_ros.cli import calibrate as command
from alphapose_ros.data.people import People
from alphapose_ros.eval.metrics import calibration_error
from alphapose_ros.eval.pose import Estimates
from alphapose_ros.models.checkpoint import save_checkpoint
from alphapose_ros.models.family import architecture_of
from alphapose_ros.models.info import default_info
from alphapose_ros.models.light import LightPose
from alphapose_ros.pose.confidence import Calibration, Logistic
from alphapose_ros.pose.config import PoseConfig
from alphapose_ros.pose.factory import create_estimator, decoded_network
from alphapose_ros.weights import save_tensors

pytestmark = pytest.mark.usefixtures("one_thread")


def timid(count: int, rng: np.random.Generator) -> Estimates:
    """Scores whose chance of being right is the root of the score: always told too low."""
    keypoints = rng.uniform(0, 90, (count, 136, 2))
    labels = np.zeros((count, 136), np.uint8)
    labels[:, :17] = 2
    labels[:, 94:115] = 1  # a pseudo-labelled left hand
    scores = rng.uniform(0.05, 0.95, (count, 136))
    right = rng.random((count, 136)) < np.sqrt(scores)
    found = keypoints + np.where(right, 0, 500)[..., None]
    boxes = np.tile(np.array([0, 0, 100, 100], np.float32), (count, 1))
    people = People(
        np.arange(count), np.arange(count), boxes, np.full(count, 5000.0), keypoints, labels,
        tuple(Path(f"{k}.png") for k in range(count)), HALPE136,
    )  # fmt: skip
    return Estimates(people, found.astype(np.float32), scores.astype(np.float32), scores.mean(1))


def test_the_command_fits_writes_and_judges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    sets = {"fit@x": timid(300, rng), "other@x": timid(200, rng), "few@x": timid(9, rng)}
    monkeypatch.setattr(command, "_estimates", lambda config, text: sets[text])
    out = tmp_path / "run" / "c.json"
    argv = ["train", "calibration", "--out", str(out), "--held-out", "other@x", "--people"]
    assert cli.main([*argv, "fit@x"]) == 0
    assert "left_hand" in capsys.readouterr().out
    made = Calibration.load(out)
    assert set(made.curves) == {"body", "left_hand"}
    other = sets["other@x"]
    placed, known = command.placed_joints(other), command.known_joints(other.people)
    assert known.sum() == 200 * 38
    before, after = (
        calibration_error(s[known], placed[known])
        for s in (other.scores, made(other.scores, HALPE136))
    )
    assert before > 0.1
    assert after < 0.03
    rows = command.compared(other, made)
    assert [(row[0], row[1]) for row in rows] == [("body", 3400), ("left_hand", 4200)]
    with pytest.raises(InputError, match="few@x: expected 30 people"):
        command.calibrate(command.CalibrationConfig(out=str(out), people="few@x"))


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS.keys())
def test_the_file_fits_the_network_that_it_was_made_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator, skeleton: Skeleton
) -> None:
    weights, out = tmp_path / "pose.safetensors", tmp_path / "c.json"
    network = LightPose(len(skeleton))
    info = default_info(architecture_of(network.state_dict()), "")
    save_checkpoint(network, replace(info, skeleton=skeleton.name), weights)
    path = coco_file(tmp_path, [person(flat(skeleton))] * 40)
    content = json.loads(path.read_text())
    content["categories"] = [{"id": 1, "keypoints": list(skeleton.keypoint_names)}]
    path.write_text(json.dumps(content))

    def answered(estimator: object, people: People, *_: object) -> Estimates:
        scores = rng.uniform(0.05, 0.95, people.labels.shape).astype(np.float32)
        found = people.keypoints + 500 * (rng.random((*scores.shape, 1)) > scores[..., None])
        return Estimates(people, found.astype(np.float32), scores, scores.mean(1))

    monkeypatch.setattr(command, "estimate_people", answered)
    config = command.CalibrationConfig(
        out=str(out), people=f"{path}@{tmp_path}", weights=str(weights)
    )
    command.calibrate(config)
    assert Calibration.load(out).skeleton == skeleton.name
    assert set(Calibration.load(out).curves) == set(skeleton.parts)
    decoded_network(weights, PoseConfig(calibration=str(out)))
    coco_file(tmp_path, [])
    with pytest.raises(InputError, match="expected people with keypoints, found none"):
        command.calibrate(config)


def test_most_people_are_spread_over_the_set(rng: np.random.Generator) -> None:
    people = timid(10, rng).people
    assert command._spread(people, 4).image_ids.tolist() == [0, 3, 6, 9]
    assert len(command._spread(people, 0)) == len(command._spread(people, 99)) == 10


def test_the_estimator_takes_the_curves(tmp_path: Path) -> None:
    weights, file = tmp_path / "pose.safetensors", tmp_path / "c.json"
    save_tensors(LightPose(136).state_dict(), weights)
    Calibration("halpe136", {"body": Logistic(1.0, 2.0)}).save(file)
    crops = torch.rand(2, 3, 64, 64) * 255
    plain = decoded_network(weights, PoseConfig())[0](crops)
    curved = decoded_network(weights, PoseConfig(calibration=str(file)))[0](crops)
    assert torch.equal(plain[0], curved[0])
    odds = torch.logit(plain[1][:, :17].double()) + 2
    torch.testing.assert_close(curved[1][:, :17].double(), odds.sigmoid(), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(plain[1][:, 26:], curved[1][:, 26:])  # a part without a curve
    with pytest.raises(InputError, match="nowhere"):
        decoded_network(weights, PoseConfig(calibration=str(tmp_path / "nowhere.json")))


def test_an_onnx_file_takes_none(tmp_path: Path) -> None:
    (tmp_path / "a.onnx").write_bytes(b"")
    config = PoseConfig(weights=str(tmp_path / "a.onnx"), calibration="c.json")
    with pytest.raises(ConfigError, match=r"pose\.calibration: an ONNX file"):
        create_estimator(config)
