# SPDX-License-Identifier: Apache-2.0
"""A real Ray cluster of two workers, which die; then its driver is killed, and another goes on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from batch_stand_in import (
    CONFIG,
    DEADLY,
    DEADLY_ONCE,
    Seeing,
    family,
    images,
    json_lines_of,
    plan,
)

from alphapose_ros.batch.here import work_here
from alphapose_ros.batch.manifest import BatchFolder, Row, read_row
from alphapose_ros.batch.recording import process
from alphapose_ros.batch.worklist import Recording

pytest.importorskip("ray", reason="RAY NOT CHECKED: ray is absent")
pytest.importorskip("pyarrow", reason="RAY NOT CHECKED: pyarrow is absent")

_LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}


def test_workers_die_then_the_driver_and_nothing_is_lost_or_repeated(
    tmp_path: Path, root: Path
) -> None:
    out, diary = tmp_path / "out", tmp_path / "diary"
    diary.touch()
    reds = {"deadly": [1, DEADLY], "once": [2, DEADLY_ONCE, 0]}
    reds |= {f"long{k}": [k % 4] * 60 for k in range(6)}
    paths = [images(tmp_path / "in" / name, values) for name, values in reds.items()]
    broken = tmp_path / "in" / "broken.mp4"
    broken.write_text("no video")
    recordings = [Recording.at(path) for path in (paths[0], paths[1], broken, *paths[2:])]

    rows = killed_batch(root, out, diary, recordings, {"deadly", "once", "broken.mp4"})
    by_name = {Path(row["path"]).name: row for row in rows}
    assert by_name["broken.mp4"]["error"].startswith(str(broken))
    assert by_name["deadly"]["status"] == "failed"
    assert "its worker died 2 times" in by_name["deadly"]["error"]
    assert (by_name["once"]["status"], by_name["once"]["attempts"]) == ("done", 2)

    worked = len(diary.read_text().split())
    healthy = [each for each in recordings if Path(each.path).name not in ("deadly", "broken.mp4")]
    with BatchFolder(out, {"of": "a test"}, CONFIG) as folder:
        before = [each for each in healthy if folder.is_done(each)]
        missing = [each for each in healthy if not folder.is_done(each)]
        assert before
        assert missing
        assert {row["recording"] for row in rows if row["status"] == "done"} <= {
            each.name for each in before
        }
        for report in work_here(plan(out, str(diary)), missing):
            if isinstance(report, Row):
                folder.add(report)
        assert all(folder.is_done(each) for each in healthy)
    again = diary.read_text().split()[worked:]
    assert sorted(again) == sorted(Path(each.path).name for each in missing for _ in range(60))
    for recording in healthy:  # the same as in one process, whoever did it
        alone = tmp_path / "alone"
        alone.mkdir(exist_ok=True)
        list(process(plan(alone), Seeing(str(tmp_path / "diary")), recording))
        assert json_lines_of(out / recording.name) == json_lines_of(alone / recording.name)
        assert read_row(out / recording.name) is not None


def killed_batch(
    root: Path, out: Path, diary: Path, recordings: list[Recording], wanted: set[str]
) -> list[dict[str, object]]:
    """The rows that a batch on Ray told before it was killed: five or more, those ``wanted``."""
    paths = os.pathsep.join([str(root), str(root / "test"), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, str(root / "test" / "batch_stand_in.py"), str(out), str(diary)]
    process = subprocess.Popen(
        [*command, *(each.path for each in recordings)],
        env={**os.environ, "PYTHONPATH": paths}, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        first = process.stdout.readline()
        assert first, process.stderr.read()
        addresses = json.loads(first)
        assert len(addresses) >= 4  # the cluster's own and the workers'
        assert set(addresses) <= _LOOPBACK
        rows = []
        while len(rows) < 5 or wanted - {Path(row["path"]).name for row in rows}:
            rows.append(json.loads(process.stdout.readline()))
    finally:
        started = family(process.pid) - {process.pid}
        process.kill()
        process.communicate()
    deadline = time.monotonic() + 60
    while any(map(works, started)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(works, started))  # nobody writes on, unseen
    return rows


def works(process: int) -> bool:
    """Whether it is a worker that lives; Ray's agents need a while to see that they are alone."""
    try:
        return b"ray::Worker" in Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return False
