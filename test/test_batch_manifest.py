# SPDX-License-Identifier: Apache-2.0
"""The folder of a batch: whose it is, what is done there, and what was left half done."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
from dataclasses import replace
from pathlib import Path

import pytest

from alphapose_ros.base.errors import InputError
from alphapose_ros.batch.manifest import DONE, FAILED, MANIFEST, ROW, BatchFolder, Row
from alphapose_ros.batch.settings import BatchOptions, describe, fingerprint
from alphapose_ros.batch.worklist import Recording
from alphapose_ros.config import PipelineConfig
from alphapose_ros.pose.config import PoseConfig
from alphapose_ros.reid.config import ReidConfig

SETTINGS = {"version": "1", "batch.images": False, "sides": (1, 2)}
CLIP = Recording("clip-0", "/data/clip.mp4", 100, 7)


def opened(path: Path, *, restart: bool = False, **changes: object) -> BatchFolder:
    return BatchFolder(path, {**SETTINGS, **changes}, "c0", restart=restart)


def complete(out: Path, recording: Recording) -> Row:
    row = Row.of(recording, DONE, "c0", frames=3)
    (out / recording.name).mkdir()
    (out / recording.name / ROW).write_text(row.line())
    return row


def test_a_complete_folder_counts_as_it_was_made_of(tmp_path: Path) -> None:
    out = tmp_path / "new" / "out"
    with opened(out) as folder:
        assert not folder.is_done(CLIP)
        folder.add(complete(out, CLIP))
        assert folder.is_done(CLIP)
    with opened(out) as folder:
        assert folder.is_done(CLIP)
        assert not folder.is_done(replace(CLIP, size=101))
        assert not folder.is_done(replace(CLIP, mtime_ns=8))
        assert not folder.is_done(replace(CLIP, name="other-0"))
        assert folder.rows[CLIP.name].frames == 3


def test_a_row_without_its_folder_and_a_failure_are_not_done(tmp_path: Path) -> None:
    with opened(tmp_path / "out") as folder:
        folder.add(Row.of(CLIP, DONE, "c0"))
        folder.add(Row.of(replace(CLIP, name="bad-0"), FAILED, "c0", error="broken"))
    with opened(tmp_path / "out") as folder:
        assert not folder.is_done(CLIP)
        assert list(folder.rows) == ["bad-0"]
        assert not folder.is_done(replace(CLIP, name="bad-0"))
        folder.add(complete(folder.path, replace(CLIP, name="bad-0")))
    with opened(tmp_path / "out") as folder:
        assert folder.rows["bad-0"].status == DONE
        (line,) = (folder.path / MANIFEST).read_text().splitlines()
        assert json.loads(line)["status"] == DONE


def lines_of(folder: BatchFolder) -> dict[str, str]:
    """Recording and status of each line of the manifest; none has two."""
    lines = [json.loads(line) for line in (folder.path / MANIFEST).read_text().splitlines()]
    assert len({line["recording"] for line in lines}) == len(lines)
    return {line["recording"]: line["status"] for line in lines}


def test_another_row_of_a_recording_replaces_its_own(tmp_path: Path) -> None:
    with opened(tmp_path / "out") as folder:
        for name in ("bad-0", "bad-1"):
            folder.add(Row.of(replace(CLIP, name=name), FAILED, "c0", error="broken"))
    with opened(tmp_path / "out") as folder:
        folder.add(complete(folder.path, replace(CLIP, name="bad-0")))
        assert lines_of(folder) == {"bad-0": DONE, "bad-1": FAILED}
        folder.add(complete(folder.path, CLIP))  # appended to the file that is there now
        assert lines_of(folder) == {"bad-0": DONE, "bad-1": FAILED, CLIP.name: DONE}


def test_what_killed_processes_left_is_no_obstacle(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / ".batch.json.partial").write_text("{")
    with opened(out) as folder:
        complete(out, CLIP)  # named, and killed before it could tell
        (out / ".partial/other-0-ff").mkdir(parents=True)
        (out / ".partial/other-0-ff/people.parquet").write_text("half")
        folder.add(Row.of(replace(CLIP, name="bad-0"), FAILED, "c0", error="broken"))
    with (out / MANIFEST).open("a") as file:
        file.write('{"recording":"half')
    with opened(out) as folder:
        assert folder.is_done(CLIP)
        assert sorted(folder.rows) == ["bad-0", "clip-0"]
        assert not (out / ".partial").exists()
        names = [json.loads(line)["recording"] for line in (out / MANIFEST).read_text().split()]
        assert sorted(names) == ["bad-0", "clip-0"]


def test_other_settings_are_refused_by_name(tmp_path: Path) -> None:
    out = tmp_path / "out"
    opened(out).close()
    opened(out).close()  # tuples are lists in JSON, and the same
    with pytest.raises(InputError, match=r"batch.images = False, this is True; use --restart"):
        opened(out, **{"batch.images": True})
    with pytest.raises(InputError, match="version = '1', this is '2'"):
        opened(out, **{"a key of version 2": 5, "version": "2"})
    (out / "batch.json").write_text("[")
    with pytest.raises(InputError, match="damaged"):
        opened(out)


def test_restart_removes_what_a_batch_made_and_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with opened(out) as folder:
        folder.add(complete(out, CLIP))
    (out / "mine").mkdir()
    (out / "mine" / "notes.txt").touch()
    with opened(out, restart=True, version="2") as folder:
        assert folder.rows == {}
        assert not (out / CLIP.name).exists()
        assert (out / "mine" / "notes.txt").exists()
    opened(out, version="2").close()


def test_a_folder_of_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    for restart in (False, True):
        with pytest.raises(InputError, match="expected a new folder or one of an earlier batch"):
            opened(tmp_path, restart=restart)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_one_process_at_a_time(tmp_path: Path) -> None:
    out = tmp_path / "out"

    def another() -> None:
        try:
            opened(out)
        except InputError as error:
            raise SystemExit(7 if "another batch is writing" in str(error) else 1) from error

    with opened(out):
        process = multiprocessing.get_context("fork").Process(target=another)
        process.start()
        process.join(30)
        assert process.exitcode == 7
    opened(out).close()  # the lock went with it


def test_a_file_system_without_locks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.raises(InputError, match=r"out: this file system has no locks: No locks avail"):
        opened(tmp_path / "out")


def test_settings_hold_all_that_results_depend_on(tmp_path: Path) -> None:
    config, options = PipelineConfig(), BatchOptions()
    settings = describe(config, options)
    mark = fingerprint(settings)
    assert settings["tracker.max_lost_s"] == config.tracker.max_lost_s
    assert fingerprint(describe(config, options)) == mark
    assert fingerprint(describe(replace(config, threads=3), options)) == mark
    assert fingerprint(describe(config, BatchOptions(topic="/front"))) != mark
    assert fingerprint(describe(replace(config, precision="float16"), options)) != mark
    named = describe(replace(config, preset="nano"), options)
    assert named["preset"] == ""  # what it stands for counts, not how it was asked for


def test_files_count_by_their_content(tmp_path: Path) -> None:
    file = tmp_path / "mine.onnx"
    config = PipelineConfig(pose=PoseConfig(weights=str(file)))
    marks = set()
    for content in ("one", "two", "one"):
        file.write_text(content)
        settings = describe(config, BatchOptions())
        assert "pose.weights (sha256)" in settings
        marks.add(fingerprint(settings))
    assert len(marks) == 2


def test_the_weights_beside_a_graph_count_too(tmp_path: Path) -> None:
    graph = tmp_path / "looks.xml"
    config = PipelineConfig(reid=ReidConfig(weights=str(graph)))
    graph.write_text("graph")
    marks = set()
    for content in ("one", "two"):
        graph.with_suffix(".bin").write_text(content)
        marks.add(fingerprint(describe(config, BatchOptions())))
    assert len(marks) == 2
    graph.with_suffix(".bin").unlink()
    with pytest.raises(OSError, match=r"looks\.bin"):
        describe(config, BatchOptions())
