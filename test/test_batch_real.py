# SPDX-License-Identifier: Apache-2.0
"""The bundled networks: one pipeline for several recordings gives what ``run`` gives for each."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from batch_stand_in import CONFIG, json_lines_of

import alphapose_ros.cli as cli
from alphapose_ros.base.errors import WeightsError
from alphapose_ros.batch.here import work_here
from alphapose_ros.batch.manifest import DONE, Row
from alphapose_ros.batch.recording import Plan
from alphapose_ros.batch.settings import BatchOptions
from alphapose_ros.batch.worklist import find_recordings
from alphapose_ros.cli.bag_output import BagOutput
from alphapose_ros.cli.pipelines import make_pipeline
from alphapose_ros.registry.bundled import BUNDLED
from alphapose_ros.registry.store import bundled_path

pytest.importorskip("pyarrow", reason="BATCH NOT CHECKED: pyarrow is absent")
data = pytest.importorskip("skimage.data", reason="NO PEOPLE: scikit-image is absent")

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def recordings(tmp_path: Path) -> list[str]:
    """A real person who moves to the right, and one who moves to the left and is gone at last."""
    image = cv2.resize(data.astronaut(), (256, 256), interpolation=cv2.INTER_AREA)[:, :, ::-1]
    paths = []
    for name, step in (("right", 2), ("left", -2)):
        folder = tmp_path / name
        folder.mkdir()
        moved = [np.roll(image, step * k, axis=1) for k in range(6)]
        for k, picture in enumerate([*moved, np.zeros_like(image)] if step < 0 else moved):
            assert cv2.imwrite(str(folder / f"{k}.png"), picture)
        paths.append(str(folder))
    return paths


def test_a_batch_equals_run_on_each_recording(recordings: list[str], tmp_path: Path) -> None:
    try:
        for spec in BUNDLED:
            bundled_path(spec.name)
    except WeightsError as error:
        pytest.skip(f"THE BUNDLED WEIGHTS ARE ABSENT: {error}")
    options = argparse.Namespace(params_file=None, preset="nano", device="cpu", threads=1)
    out = tmp_path / "out"
    plan = Plan(out, CONFIG, BatchOptions(), lambda: make_pipeline(options), BagOutput)
    found = find_recordings(recordings)
    rows = [report for report in work_here(plan, found) if isinstance(report, Row)]
    assert [row.status for row in rows] == [DONE, DONE]
    assert [row.identities for row in rows] == [1, 1]
    for recording in found:
        lines = tmp_path / f"{recording.name}.jsonl"
        argv = ["run", recording.path, "--json", str(lines), "--device", "cpu", "--threads", "1"]
        assert cli.main([*argv, "--preset", "nano"]) == 0  # with networks of its own
        expected = [json.loads(line) for line in lines.read_text().splitlines()]
        assert json_lines_of(out / recording.name) == expected
        assert max(person["id"] for line in expected for person in line["people"]) == 1
    left = next(each for each in found if each.path.endswith("left"))
    assert json_lines_of(out / left.name)[-1]["people"] == []
