# SPDX-License-Identifier: Apache-2.0
"""Where a run's numbers go."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from alphapose_ros.base.errors import MissingDependencyError
from alphapose_ros.train.board import CsvLog, open_logs


def test_a_row_that_a_kill_cut_short_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("step,loss\n1,0.5\n2,0.25\n3,0")
    CsvLog(path, 2).write(3, {"loss": 0.125})
    assert path.read_text().split() == ["step,loss", "1,0.5", "2,0.25", "3,0.125"]
    path.write_text("step,loss,rate\n1,0.5,1\n2,0")
    CsvLog(path, 2)
    assert path.read_text().split() == ["step,loss,rate", "1,0.5,1"]


def test_without_tensorboard_nothing_is_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    (tmp_path / "log.csv").write_text("step,loss\n1,0.5\n")
    with pytest.raises(MissingDependencyError, match="pip install tensorboard"):
        open_logs(tmp_path, 0, tensorboard=True)
    assert (tmp_path / "log.csv").read_text() == "step,loss\n1,0.5\n"
    assert len(open_logs(tmp_path, 0, tensorboard=False)) == 1


def test_curves_carry_the_rows(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="CURVES NOT CHECKED: no tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for start, value in ((0, 0.5), (1, 0.25)):
        logs = open_logs(tmp_path, start, tensorboard=True)
        for log in logs:
            log.write(start + 1, {"loss": value})
            log.write(start + 2, {"loss": value / 4})
            log.close()
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    found = {event.step: event.value for event in events.Scalars("loss")}
    assert found == {1: 0.5, 2: 0.25, 3: 0.0625}
