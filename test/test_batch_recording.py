# SPDX-License-Identifier: Apache-2.0
"""One recording into its files: what they say, and that they are whole or not there."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import signal
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from batch_stand_in import CONFIG, RAISING, Seeing, images, json_lines_of, plan, video

from alphapose_ros import __version__
from alphapose_ros.base.records import Frame
from alphapose_ros.base.skeletons import HALPE136
from alphapose_ros.batch import recording as room
from alphapose_ros.batch import tables
from alphapose_ros.batch.here import work_here
from alphapose_ros.batch.manifest import DONE, FAILED, ROW, Row, read_row
from alphapose_ros.batch.recording import BAG, Progress, failed, process
from alphapose_ros.batch.tables import FRAMES, PEOPLE
from alphapose_ros.batch.worklist import Recording
from alphapose_ros.io import part
from alphapose_ros.io.sinks import JsonLinesWriter
from alphapose_ros.io.sources import open_source

parquet = pytest.importorskip("pyarrow.parquet", reason="TABLES NOT CHECKED: pyarrow is absent")


def last(reports: Any) -> Row:
    *_, row = reports
    assert isinstance(row, Row)
    return row


def lines_of_run(path: Path, folder: Path) -> list[dict[str, Any]]:
    pipeline = Seeing()
    with open_source(str(path)) as source, JsonLinesWriter(folder / "lines.jsonl") as lines:
        for frame in source:
            lines.write(pipeline(frame))
    return [json.loads(line) for line in (folder / "lines.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("reds", [[2, 0, 3, 1], [0, 0], [5]])
def test_the_tables_say_what_json_lines_say(tmp_path: Path, reds: list[int]) -> None:
    path = images(tmp_path / "clip", reds)
    recording = Recording.at(path)
    row = last(process(plan(tmp_path), Seeing(), recording))
    folder = tmp_path / recording.name
    lines = lines_of_run(path, tmp_path)
    assert json_lines_of(folder) == lines
    assert [len(line["people"]) for line in lines] == [red - (red > 2) for red in reds]
    assert (row.status, row.frames) == (DONE, len(reds))
    assert row.people == sum(len(line["people"]) for line in lines)
    assert read_row(folder) == row
    assert {file.name for file in folder.iterdir()} == {PEOPLE, FRAMES, BAG, ROW}


def test_the_files_explain_themselves(tmp_path: Path) -> None:
    recording = Recording.at(images(tmp_path / "clip", [3, 0]))
    last(process(plan(tmp_path), Seeing(), recording))
    people = parquet.read_table(tmp_path / recording.name / PEOPLE)
    said = {key.decode(): value.decode() for key, value in people.schema.metadata.items()}
    assert said["alphapose_ros.version"] == __version__
    assert said["alphapose_ros.config"] == CONFIG
    assert said["alphapose_ros.skeleton"] == HALPE136.name
    assert tuple(json.loads(said["alphapose_ros.keypoint_names"])) == HALPE136.keypoint_names
    assert str(people.schema.field("keypoints").type).endswith(f"[{3 * 136}]")
    assert people["recording"].to_pylist() == [recording.name] * 2
    frames = parquet.read_table(tmp_path / recording.name / FRAMES).to_pylist()
    assert [frame["people"] for frame in frames] == [2, 0]
    assert [frame["stamp_ns"] for frame in frames] == [0, 33_333_333]
    assert (frames[0]["height"], frames[0]["width"]) == (24, 32)


def test_keypoints_keep_every_bit(tmp_path: Path) -> None:
    path = images(tmp_path / "clip", [2])
    recording = Recording.at(path)
    last(process(plan(tmp_path), Seeing(), recording))
    with open_source(str(path)) as source:
        poses = Seeing()(next(iter(source))).tracks.poses
    column = parquet.read_table(tmp_path / recording.name / PEOPLE)["keypoints"]
    found = np.array(column.to_pylist(), np.float32).reshape(2, 136, 3)
    np.testing.assert_array_equal(found[..., :2], poses.keypoints)
    np.testing.assert_array_equal(found[..., 2], poses.scores)


def test_rows_are_written_a_group_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "_PEOPLE_GROUP", 4)
    path = images(tmp_path / "clip", [2, 2, 2, 2, 0, 1])
    recording = Recording.at(path)
    last(process(plan(tmp_path), Seeing(), recording))
    file = parquet.ParquetFile(tmp_path / recording.name / PEOPLE)
    assert [file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)] == [4, 4, 1]
    assert json_lines_of(tmp_path / recording.name) == lines_of_run(path, tmp_path)


def test_each_camera_counts_its_own_frames(tmp_path: Path) -> None:
    image, pipeline = np.full((4, 4, 3), 2, np.uint8), Seeing()
    frames = [Frame(image, k * 10, camera) for k, camera in enumerate(("left", "right", "left"))]
    results = [pipeline(frame) for frame in frames]
    with (
        tables.TablesWriter(tmp_path, "two", HALPE136, CONFIG) as writer,
        JsonLinesWriter(tmp_path / "lines.jsonl") as lines,
    ):
        for result in results:
            writer.write(result)
            lines.write(result)
    found = json_lines_of(tmp_path)
    assert [(line["camera"], line["frame"]) for line in found] == [
        ("left", 0), ("right", 0), ("left", 1),
    ]  # fmt: skip
    assert found == [json.loads(line) for line in lines.path.read_text().splitlines()]


@pytest.mark.parametrize("with_images", [False, True])
def test_the_bag_has_poses_and_images_where_asked_for(tmp_path: Path, with_images: bool) -> None:
    highlevel = pytest.importorskip("rosbags.highlevel")
    recording = Recording.at(images(tmp_path / "clip", [2, 0]))
    last(process(plan(tmp_path, images=with_images), Seeing(), recording))
    with highlevel.AnyReader([tmp_path / recording.name / BAG]) as reader:
        topics = sorted(connection.topic for connection, _, _ in reader.messages())
    drawn = ["/pose_image/compressed"] * 2 if with_images else []
    assert topics == [*drawn, "/poses", "/poses", "/skeleton"]


def test_every_recording_begins_with_nobody(tmp_path: Path) -> None:
    paths = [images(tmp_path / name, [2, 2]) for name in ("a", "b")]
    recordings = [Recording.at(path) for path in paths]
    rows = [r for r in work_here(plan(tmp_path), recordings) if isinstance(r, Row)]
    assert [row.identities for row in rows] == [2, 2]
    for recording in recordings:
        column = parquet.read_table(tmp_path / recording.name / PEOPLE)["id"].to_pylist()
        assert column == [1, 0, 3, 0]


def test_max_frames_and_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_REPORT_S", 0.0)
    recording = Recording.at(images(tmp_path / "clip", [1] * 5))
    *progress, row = process(plan(tmp_path, max_frames=3), Seeing(), recording)
    assert progress == [Progress(recording.name, count) for count in (1, 2, 3, 3)]
    assert row.frames == 3


def test_a_broken_recording_is_a_row_and_the_others_go_on(tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_text("no video")
    inputs = [broken, tmp_path / "gone.mp4", images(tmp_path / "bug", [1, RAISING]),
              video(tmp_path / "good.avi")]  # fmt: skip
    (tmp_path / "gone.mp4").touch()
    recordings = [Recording.at(path) for path in inputs]
    (tmp_path / "gone.mp4").unlink()
    rows = [r for r in work_here(plan(tmp_path), recordings) if isinstance(r, Row)]
    assert [row.status for row in rows] == [FAILED, FAILED, FAILED, DONE]
    assert "broken.mp4: not a readable video" in rows[0].error
    assert "no such file" in rows[1].error
    assert rows[2].error == "unexpected RuntimeError: a bug in two lines"
    assert "_die_where_told" in rows[2].trace
    assert rows[3].frames == 3
    assert all("\n" not in row.error for row in rows)
    folders = {path.name for path in tmp_path.iterdir() if path.is_dir()}
    assert folders == {"bug", ".partial", recordings[3].name}
    assert not list((tmp_path / ".partial").iterdir())  # nothing half done stays


def test_skipped_images_are_told(tmp_path: Path) -> None:
    path = images(tmp_path / "clip", [1, 1])
    (path / "3.png").write_text("broken")
    row = last(process(plan(tmp_path), Seeing(), Recording.at(path)))
    assert row.status == DONE
    assert "1 of 3 images skipped" in row.problems[0]


def test_a_full_disk_fails_the_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(part, "_to_disk", full)
    recording = Recording.at(images(tmp_path / "clip", [1]))
    row = last(process(plan(tmp_path), Seeing(), recording))
    assert row.status == FAILED
    assert "No space left" in row.error
    assert not (tmp_path / recording.name).exists()


def test_a_full_disk_costs_no_result_that_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path) -> None:
        if (path / ROW).exists():  # last of all
            raise OSError(28, "No space left on device", str(path))

    recording = Recording.at(images(tmp_path / "clip", [1]))
    before = last(process(plan(tmp_path), Seeing(), recording))
    changed = replace(recording, mtime_ns=recording.mtime_ns + 1)
    monkeypatch.setattr(part, "_to_disk", full)
    assert last(process(plan(tmp_path), Seeing(), changed)).status == FAILED
    assert read_row(tmp_path / recording.name) == before


def test_a_file_system_that_syncs_no_folders_costs_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def of_files_alone(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))

    monkeypatch.setattr(os, "fsync", of_files_alone)
    recording = Recording.at(images(tmp_path / "clip", [1]))
    row = last(process(plan(tmp_path), Seeing(), recording))
    assert row.status == DONE, row.error
    assert read_row(tmp_path / recording.name) == row


def test_a_complete_result_is_not_made_again_and_one_of_a_changed_file_is(tmp_path: Path) -> None:
    diary = tmp_path / "diary"
    path = images(tmp_path / "clip", [1, 1])
    recording = Recording.at(path)
    first = last(process(plan(tmp_path), Seeing(str(diary)), recording))
    assert last(process(plan(tmp_path), Seeing(str(diary)), recording)) == first
    assert len(diary.read_text().splitlines()) == 2
    changed = replace(recording, mtime_ns=recording.mtime_ns + 1)
    row = last(process(plan(tmp_path, max_frames=1), Seeing(str(diary)), changed))
    assert (row.frames, row.mtime_ns) == (1, changed.mtime_ns)
    assert read_row(tmp_path / recording.name) == row


@pytest.mark.parametrize("red", [RAISING, None])
def test_a_changed_one_that_fails_leaves_no_results(tmp_path: Path, red: int | None) -> None:
    (image,) = images(tmp_path / "clip", [1]).iterdir()
    before = Recording.at(image.parent)
    assert last(process(plan(tmp_path), Seeing(), before)).status == DONE
    image.write_text("broken")
    if red is not None:
        (image,) = (each.replace(image) for each in images(tmp_path / "new", [red]).iterdir())
    assert last(process(plan(tmp_path), Seeing(), Recording.at(image.parent))).status == FAILED
    assert not (tmp_path / before.name).exists()
    assert not list((tmp_path / ".partial").iterdir())


def test_a_failure_costs_no_results_that_are_its_own(tmp_path: Path) -> None:
    """Of a worker that finished and died before it could tell, for the last time allowed."""
    recording = Recording.at(images(tmp_path / "clip", [1]))
    row = last(process(plan(tmp_path), Seeing(), recording))
    assert failed(plan(tmp_path), recording, "its worker died").status == FAILED
    assert read_row(tmp_path / recording.name) == row
    failed(plan(tmp_path), replace(recording, size=1), "its worker died")
    assert not (tmp_path / recording.name).exists()


def test_results_are_waited_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(part, "_to_disk", synced.append)
    last(process(plan(tmp_path), Seeing(), Recording.at(images(tmp_path / "clip", [1]))))
    names = [path.name for path in synced]
    assert [names.count(name) for name in (PEOPLE, FRAMES, BAG, ROW)] == [1] * 4


def killed(work: Callable[[], object]) -> int | None:
    process = multiprocessing.get_context("fork").Process(target=work)
    process.start()
    process.join(60)
    return process.exitcode


@pytest.mark.parametrize("moment", ["row", "sync", "rename", "named"])
def test_wherever_it_is_killed_nothing_is_half_done(tmp_path: Path, moment: str) -> None:
    recording = Recording.at(images(tmp_path / "clip", [2, 1]))

    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def work() -> None:
        if moment == "row":
            Path.write_text = die  # type: ignore[method-assign, assignment]
        elif moment == "sync":
            part._to_disk = die  # type: ignore[assignment]
        elif moment == "rename":
            Path.replace = die  # type: ignore[method-assign, assignment]
        for report in process(plan(tmp_path), Seeing(), recording):
            if isinstance(report, Row):
                die()

    assert killed(work) == -signal.SIGKILL
    row = read_row(tmp_path / recording.name)
    assert (row is not None) == (moment == "named")
    diary = tmp_path / "diary"
    assert last(process(plan(tmp_path), Seeing(str(diary)), recording)).status == DONE
    assert diary.exists() == (moment != "named")  # done again only where it had no name
    assert len(json_lines_of(tmp_path / recording.name)) == 2
