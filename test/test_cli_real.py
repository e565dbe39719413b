# SPDX-License-Identifier: Apache-2.0
"""The bundled networks on a real person, and files that pretend to be weights."""

from __future__ import annotations

import argparse
import dataclasses
import json
import pickle
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from cli_stand_in import fails

import alphapose_ros.cli as cli
from alphapose_ros.base.errors import WeightsError
from alphapose_ros.base.skeletons import HALPE136
from alphapose_ros.cli.pipelines import make_pipeline
from alphapose_ros.pipeline import PosePipeline
from alphapose_ros.registry.bundled import BUNDLED, POSE_NANO
from alphapose_ros.registry.catalogue import MODELS
from alphapose_ros.registry.store import bundled_path, state_of

data = pytest.importorskip("skimage.data")


@pytest.fixture(scope="module")
def bundled() -> PosePipeline:
    """The nano preset on the CPU, or a loud skip."""
    try:
        for spec in BUNDLED:
            bundled_path(spec.name)
    except WeightsError as error:
        pytest.skip(f"THE BUNDLED WEIGHTS ARE ABSENT: {error}")
    torch.set_num_threads(1)
    return make_pipeline(argparse.Namespace(params_file=None, preset="nano", device="cpu"))


@pytest.fixture(scope="module")
def astronaut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the same real person in twelve images, moving to the right."""
    folder = tmp_path_factory.mktemp("astronaut")
    image = cv2.resize(data.astronaut(), (256, 256), interpolation=cv2.INTER_AREA)
    for number in range(12):
        moved = np.roll(image, number, axis=1)
        assert cv2.imwrite(str(folder / f"{number}.png"), moved[:, :, ::-1])
    return folder


@pytest.fixture
def real(bundled: PosePipeline, monkeypatch: pytest.MonkeyPatch) -> PosePipeline:
    """Commands get the loaded pipeline, with nobody in its memory."""
    bundled.reset()
    monkeypatch.setattr("alphapose_ros.cli.pipelines.make_pipeline", lambda args: bundled)
    return bundled


def test_run_finds_and_follows_a_real_person(
    real: PosePipeline, astronaut: Path, tmp_path: Path
) -> None:
    lines, video = tmp_path / "o.jsonl", tmp_path / "o.mp4"
    assert cli.main(["run", str(astronaut), "--json", str(lines), "--video", str(video)]) == 0
    frames = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [len(frame["people"]) for frame in frames] == [1] * 12
    identities = [frame["people"][0]["id"] for frame in frames]
    assert identities[-1] > 0
    assert len(set(identities) - {0}) == 1
    joints = np.array(frames[0]["people"][0]["keypoints"]).reshape(-1, 3)
    assert len(joints) == 136
    # Seen by eye in the picture: her nose, and her shoulders left and right of it.
    nose, left, right = (joints[HALPE136.index(n)] for n in
                         ("nose", "left_shoulder", "right_shoulder"))  # fmt: skip
    assert np.hypot(*(nose[:2] - (110, 58))) < 10
    assert right[0] < nose[0] < left[0]
    assert min(nose[2], left[2], right[2]) > 0.5
    assert video.stat().st_size > 1000


def test_predict_agrees_with_run_and_boxes_replace_the_detector(
    real: PosePipeline, astronaut: Path, tmp_path: Path
) -> None:
    output, image = tmp_path / "r.json", str(astronaut / "0.png")
    argv = ["predict", image, "--format", "coco", "--skeleton", "coco17", "--output", str(output)]
    assert cli.main(argv) == 0
    (found,) = json.loads(output.read_text())
    boxes = tmp_path / "boxes.json"
    boxes.write_text(json.dumps([{key: found[key] for key in ("image_id", "bbox")}] * 2))
    assert cli.main([*argv, "--boxes", str(boxes)]) == 0
    rows = json.loads(output.read_text())
    assert len(rows) == 2  # duplicates too are answered
    given = np.array(rows[0]["keypoints"]).reshape(-1, 3)
    assert np.abs(given - np.array(found["keypoints"]).reshape(-1, 3))[:5, :2].max() < 1


def test_bench_reports(
    real: PosePipeline, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers = tmp_path / "bench.json"
    assert cli.main(["bench", "--frames", "2", "--json", str(numbers)]) == 0
    out = capsys.readouterr().out
    for text in ("640x480, 3 people", "frames/s", "detect", "pose network alone", "ratio"):
        assert text in out
    report = json.loads(numbers.read_text())
    assert report["ratio"] > 0
    assert report["outside_share"] == pytest.approx(max(1 - 1 / report["ratio"], 0))
    assert set(report["networks_ms"]) == {"detector", "pose", "reid"}
    assert cli.main(["bench", "--frames", "0"]) == 2


class Malicious:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("executed"),))  # type: ignore[return-value]


@pytest.mark.parametrize("room", ["pose", "detector"])
def test_a_pickle_as_weights_is_one_line_and_is_not_run(
    room: str, astronaut: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("evil.pt").write_bytes(pickle.dumps(Malicious()))
    Path("p.yaml").write_text(f"/**:\n  ros__parameters:\n    {room}.weights: evil.pt\n")
    argv = ["run", str(astronaut), "--params-file", "p.yaml", "--device", "cpu"]
    assert "evil.pt" in fails(capsys, argv)
    assert not Path("executed").exists()


@pytest.mark.parametrize("content", [None, b"", b"x" * 100])
def test_missing_and_damaged_weights_are_one_line(
    content: bytes | None, astronaut: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, params = tmp_path / "w.safetensors", tmp_path / "p.yaml"
    if content is not None:
        path.write_bytes(content)
    params.write_text(f"/**:\n  ros__parameters:\n    detector.weights: {path}\n")
    argv = ["run", str(astronaut), "--params-file", str(params), "--device", "cpu"]
    assert "w.safetensors" in fails(capsys, argv)


def test_a_wrong_hash_is_one_line(
    astronaut: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = dataclasses.replace(MODELS[POSE_NANO], sha256="0" * 64)
    if state_of(wrong) != "bundled":
        pytest.skip("THE BUNDLED WEIGHTS ARE ABSENT")
    monkeypatch.setitem(MODELS, POSE_NANO, wrong)
    argv = ["run", str(astronaut), "--device", "cpu"]
    assert "expected SHA-256 000000" in fails(capsys, argv)
    assert cli.main(["models", "verify"]) == 2
    assert "expected SHA-256" in capsys.readouterr().err
