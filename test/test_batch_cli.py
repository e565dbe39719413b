# SPDX-License-Identifier: Apache-2.0
"""``batch``: what it says, its exit codes, and that it goes on where it was killed."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from batch_stand_in import Seeing, images, json_lines_of, video
from cli_stand_in import fails

import alphapose_ros.cli as cli
from alphapose_ros.base.errors import InputError, MissingDependencyError
from alphapose_ros.base.records import Frame, FrameResult
from alphapose_ros.batch.cluster import ClusterConfig, joined
from alphapose_ros.batch.here import work_here
from alphapose_ros.batch.recording import Plan
from alphapose_ros.batch.worklist import Recording
from alphapose_ros.config import PipelineConfig

pytest.importorskip("pyarrow", reason="BATCH NOT CHECKED: pyarrow is absent")


@pytest.fixture
def diary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every worked frame's camera; the command gets a pipeline that writes it."""
    path = tmp_path / "diary"
    path.touch()
    monkeypatch.setattr("alphapose_ros.cli.batch.load_pipeline", lambda config: Seeing(str(path)))
    return path


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("one", "two", "three"):
        video(folder / f"{name}.avi")
    (folder / "broken.avi").write_text("no video")
    return folder


def batch(*options: object) -> int:
    return cli.main(["batch", *map(str, options), "--workers", "1", "--quiet"])


def manifest(out: Path) -> dict[str, dict[str, Any]]:
    rows = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    assert len({row["recording"] for row in rows}) == len(rows)
    return {Path(row["path"]).name: row for row in rows}


def test_a_broken_recording_costs_itself_alone(
    diary: Path, inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert batch(inputs, "--out", out) == 1
    said = capsys.readouterr().out
    assert "recordings  4: 3 done (0 before), 1 failed" in said
    assert "broken.avi: not a readable video" in said
    rows = manifest(out)
    assert {name: row["status"] for name, row in rows.items()} == {
        "one.avi": "done", "two.avi": "done", "three.avi": "done", "broken.avi": "failed",
    }  # fmt: skip


def test_the_same_command_does_what_is_missing_or_failed(
    diary: Path, inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert batch(inputs, "--out", out) == 1
    assert len(diary.read_text().split()) == 9
    before = manifest(out)
    (inputs / "broken.avi").unlink()
    video(inputs / "broken.avi", frames=4)
    video(inputs / "new.avi", frames=1)
    assert batch(inputs, "--out", out) == 0
    assert diary.read_text().split()[9:] == ["broken"] * 4 + ["new"]
    assert "5: 5 done (3 before), 0 failed" in capsys.readouterr().out
    os.utime(inputs / "one.avi", ns=(1, 1))  # not the recording that it was
    assert batch(inputs, "--out", out) == 0
    assert diary.read_text().split()[14:] == ["one"] * 3
    assert batch(inputs, "--out", out) == 0
    assert len(diary.read_text().split()) == 17
    after = manifest(out)
    assert all(after[name] == before[name] for name in ("two.avi", "three.avi"))


def test_results_inside_a_recording_do_not_change_it(diary: Path, tmp_path: Path) -> None:
    folder = images(tmp_path / "photos", [1, 1])
    for _ in range(2):
        assert batch(folder, "--out", folder / "poses") == 0
    assert len(diary.read_text().split()) == 2


def test_another_configuration_is_refused_in_one_line(
    diary: Path, inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    argv = ["batch", str(inputs / "one.avi"), "--out", str(out), "--workers", "1"]
    assert cli.main(argv) == 0
    capsys.readouterr()
    line = fails(capsys, [*argv, "--max-frames", "2"])
    assert "was made with batch.max_frames = 0, this is 2; use --restart" in line
    assert "device = 'auto', this is 'cpu'" in fails(capsys, [*argv, "--device", "cpu"])
    assert cli.main([*argv, "--max-frames", "2", "--restart"]) == 0
    assert manifest(out)["one.avi"]["frames"] == 2
    assert cli.main([*argv, "--max-frames", "2", "--threads", "3"]) == 0  # changes no result


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--max-frames", "0"], "--max-frames: expected at least 1"),
        (["--workers", "0"], "workers: expected at least 1, got 0"),
        (["--retries", "-1"], "retries: expected at least 0, got -1"),
        (["--gpus-per-worker", "-1", "--device", "auto"], "gpus per worker: expected 0 or more"),
        (["--threads", "0"], "--threads: expected at least 1"),
        (["--address", "ray://head:10001"], "expected auto or host:port"),
    ],
)
def test_bad_usage_is_one_line(
    options: list[str], says: str, inputs: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    assert says in fails(capsys, ["batch", str(inputs), "--out", str(tmp_path / "o"), *options])


def test_a_missing_input_is_one_line(
    inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = fails(capsys, ["batch", str(inputs), "nowhere.mp4", "--out", str(tmp_path / "o")])
    assert "nowhere.mp4: no such file or folder" in line
    assert not (tmp_path / "o").exists()


def test_boxes_of_one_recording_are_refused(
    inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    params = tmp_path / "pose.yaml"
    params.write_text("/**: {ros__parameters: {detector: {name: replay, weights: boxes.json}}}")
    argv = ["batch", str(inputs), "--out", str(tmp_path / "o"), "--params-file", str(params)]
    assert "replay knows the boxes of one recording" in fails(capsys, argv)


@pytest.mark.parametrize(
    ("options", "threads"),
    [
        (["--workers", "1"], 0),  # the process's own choice, as of run
        (["--workers", "1", "--threads", "3"], 3),
        (["--workers", "2"], 1),
        (["--workers", "2", "--threads", "3"], 3),
        (["--workers", "1", "--address", "head:6379"], 1),
    ],
)
def test_one_thread_each_where_workers_share_the_cores(
    options: list[str], threads: int, inputs: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    loaded: list[int] = []

    def load(config: PipelineConfig) -> Seeing:
        loaded.append(config.threads)
        return Seeing()

    def on_a_cluster(plan: Plan, missing: list[Recording], cluster: object) -> Any:
        return work_here(plan, missing)

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr("alphapose_ros.cli.batch.load_pipeline", load)
    monkeypatch.setattr("alphapose_ros.batch.ray_pool.work_on_ray", on_a_cluster)
    argv = ["batch", str(inputs / "one.avi"), "--out", str(tmp_path / "o"), "--quiet"]
    assert cli.main([*argv, *options]) == 0
    assert loaded == [threads]


def test_without_ray_the_line_says_how_to_get_it(
    inputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setitem(__import__("sys").modules, "ray", None)
    argv = ["batch", str(inputs), "--out", str(tmp_path / "o"), "--workers", "2"]
    assert "pip install 'ray>=2.46' pyarrow" in fails(capsys, argv)
    with pytest.raises(MissingDependencyError, match="ray"), joined(ClusterConfig(workers=2)):
        pass
    assert "RAY_AUTH_TOKEN" not in os.environ


def test_a_cluster_of_nonsense_is_refused() -> None:
    with pytest.raises(InputError, match="threads: expected at least 1"):
        ClusterConfig(threads=0)
    with pytest.raises(InputError, match="gpus per worker"):
        ClusterConfig(gpus=float("nan"))


class Endless(Seeing):
    """Does not come to the end of the last recording: whoever shall be killed is still there."""

    last = ""

    def __call__(self, frame: Frame) -> FrameResult:
        if frame.camera == self.last:
            time.sleep(600)
        return super().__call__(frame)


def test_a_driver_that_is_killed_half_way_loses_and_repeats_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGKILL at some moment of some recording, three times over."""
    diary, out = tmp_path / "diary", tmp_path / "out"
    diary.touch()
    folders = [images(tmp_path / "in" / f"r{k}", [k % 3] * 4) for k in range(8)]
    endless = Endless(str(diary), delay_s=0.02)
    endless.last, made = folders[-1].name, endless
    monkeypatch.setattr("alphapose_ros.cli.batch.load_pipeline", lambda config: made)

    def work() -> None:
        os._exit(batch(*folders, "--out", out))

    def complete() -> set[str]:
        return {path.parent.name for path in out.glob("*/recording.json")}

    seen: set[str] = set()
    for goal in (2, 4, 6):
        process = multiprocessing.get_context("fork").Process(target=work)
        process.start()
        while len(complete()) < goal and process.is_alive():
            time.sleep(0.005)
        process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        assert seen <= complete()
        seen = complete()
    made = Seeing(str(diary), delay_s=0.02)
    worked = diary.read_text().split()
    before = {name: (out / name / "recording.json").stat().st_ino for name in seen}
    assert batch(*folders, "--out", out) == 0
    assert {name: (out / name / "recording.json").stat().st_ino for name in seen} == before
    names = {name.rpartition("-")[0] for name in seen}
    assert not names & set(diary.read_text().split()[len(worked) :])  # not once more
    assert {row["frames"] for row in manifest(out).values()} == {4}
    assert len(manifest(out)) == 8
    assert not list((out / ".partial").iterdir())
    for k, folder in enumerate(folders):
        (result,) = out.glob(f"{folder.name}-*")
        assert [len(line["people"]) for line in json_lines_of(result)] == [k % 3] * 4


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_batch_leaves_nothing_half_done(
    number: int, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(Seeing):
        def __call__(self, frame: Any) -> Any:
            os.kill(os.getpid(), number)
            return super().__call__(frame)

    monkeypatch.setattr("alphapose_ros.cli.batch.load_pipeline", lambda config: Interrupted())
    out = tmp_path / "out"
    inherited = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        ended = batch(inputs / "one.avi", "--out", out)
    except SystemExit as end:
        ended = end.code
    finally:
        signal.signal(signal.SIGINT, inherited)
    assert ended == {signal.SIGINT: 130, signal.SIGTERM: 143}[number]
    assert sorted(path.name for path in out.iterdir()) == [
        ".lock", ".partial", "batch.json", "manifest.jsonl",
    ]  # fmt: skip
    assert not list((out / ".partial").iterdir())
