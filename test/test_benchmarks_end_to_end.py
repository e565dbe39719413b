# SPDX-License-Identifier: Apache-2.0
"""Camera, node and listener as processes: who is heard, what is said when one dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest

from alphapose_ros.base.errors import TransportError

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
pytestmark = pytest.mark.usefixtures("benchmarks")


@pytest.fixture
def middleware():
    for name in ("cyclonedds", "rosbags"):
        if find_spec(name) is None:
            pytest.skip(f"END TO END NOT CHECKED: {name.upper()} IS ABSENT")


FAKE_NODE = """
import sys
sys.path[:0] = [{root!r}, {test!r}]
from pathlib import Path
import numpy as np
from fake_pipeline import FakePipeline
from alphapose_ros.config import read_parameters, split_parameters
from alphapose_ros.dds.names import NodeNames
from alphapose_ros.dds.pose_node import serve
from alphapose_ros.front.config import NodeConfig
others = split_parameters(read_parameters(Path({file!r})))[1]
make = lambda: FakePipeline(0.001, np.zeros((3, 136, 2)))
sys.exit(serve(NodeConfig.from_parameters(others), NodeNames(), make))
"""


def fake_command(settings, parameters):
    root, test = str(BENCHMARKS.parent), str(Path(__file__).parent)
    return [sys.executable, "-c", FAKE_NODE.format(root=root, test=test, file=str(parameters))]


def test_end_to_end_hears_every_camera(middleware, skimage, tmp_path, monkeypatch, capsys):
    import _rig
    import end_to_end

    monkeypatch.setattr(_rig, "node_command", fake_command)
    path = tmp_path / "out.json"
    given = "--no-floor --people 2 --rates 20 --camera-rate 20 --cameras 1 2 --sizes 64x48"
    given += " --images 2 --seconds 1"
    assert end_to_end.main([*given.split(), "--json", str(path)]) == 0
    content = json.loads(path.read_text())
    tables = {table["title"]: table for table in content["tables"]}
    assert [title.split(" (")[0] for title in tables] == [
        "One image at a time over people",
        "One camera over input rates",
        "One image at a time over resolutions",
        "Several cameras",
    ]
    rows = [
        dict(zip(table["columns"], row, strict=True))
        for table in content["tables"]
        for row in table["rows"]
    ]
    for row in rows:
        assert row["memory MB"] > 0
        assert row["p50 ms"] > 0
        if "sent" in row:
            assert row["answered"] + row["skipped"] == row["sent"] == 20 * row["cameras"]
            assert row["wrong"] == 0
            assert row["node's own ms"] > 0
        else:
            assert row["unanswered"] == 0
            assert row["found"] == 3  # what the fake node finds
    assert "Several cameras" in capsys.readouterr().out


def test_a_node_that_dies_is_reported_with_its_last_words(middleware, monkeypatch, capsys):
    import _rig
    import end_to_end

    command = [sys.executable, "-c", "import sys; sys.exit('its last words')"]
    monkeypatch.setattr(_rig, "node_command", lambda *_: command)
    assert end_to_end.main(["--quick", "--no-floor"]) == 1
    error = capsys.readouterr().err
    assert "the node ended (1)" in error
    assert "its last words" in error


@pytest.mark.skipif(sys.platform != "linux", reason="/proc IS ABSENT")
def test_nothing_is_left_after_ctrl_c(middleware):
    code = (
        "import sys\n"
        f"sys.path.insert(0, {str(BENCHMARKS)!r})\n"
        "import _rig, end_to_end\n"
        "sleeper = [sys.executable, '-c', 'import time; time.sleep(99)']\n"
        "_rig.node_command = lambda *_: sleeper\n"
        "if __name__ == '__main__':\n"
        "    sys.exit(end_to_end.main(['--quick', '--no-floor']))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    try:
        end = time.monotonic() + 60
        while len(family(process.pid)) < 3:  # itself, the node, the camera, ...
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        while family(process.pid):  # the spawner's own helper ends a moment later
            assert time.monotonic() < end + 30
            time.sleep(0.05)
    finally:
        if family(process.pid):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def family(group):
    """Processes of a group that are not dead."""
    out = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = path.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(its_group) == group and state != "Z":
            out.append(int(path.parent.name))
    return out


@pytest.mark.parametrize(
    "wrong", [["--rates", "0"], ["--people", "-1"], ["--cameras", "0"], ["--sizes", "8K"]]
)
def test_end_to_end_refuses(wrong, middleware, monkeypatch, capsys):
    import end_to_end

    monkeypatch.setattr(end_to_end, "rig", None)
    assert end_to_end.main(wrong) == 1
    assert "expected" in capsys.readouterr().err


def test_parameters_of_several_cameras(tmp_path, middleware):
    from _node import NodeSettings

    from alphapose_ros.config import PipelineConfig, build, read_parameters, split_parameters
    from alphapose_ros.front.config import NodeConfig

    settings = NodeSettings(cameras=2, compressed=True, threads=3)
    settings.write(tmp_path / "node.yaml")
    ours, others = split_parameters(read_parameters(tmp_path / "node.yaml"))
    assert build(PipelineConfig, ours).threads == 3
    node = NodeConfig.from_parameters(others)
    assert node.image_transport == "compressed"
    assert [camera.image_topic for camera in node.cameras] == ["/camera0/image", "/camera1/image"]
    assert settings.poses_topic("camera1") == "/camera1/poses"
    assert NodeSettings().poses_topic("camera0") == "/poses"


def test_a_node_that_ended_names_its_log(tmp_path, middleware):
    from _node import Node

    process = subprocess.Popen([sys.executable, "-c", "pass"])
    process.wait()
    (tmp_path / "log").write_text("".join(f"line {k}\n" for k in range(20)))
    with pytest.raises(TransportError, match=r"ended \(0\)(.|\n)*line 19"):
        Node(process, tmp_path / "log").check()


@pytest.mark.parametrize(
    ("reports", "kept"),
    [
        ({"a": (9, 8, 1), "b": (9, 6, 1)}, True),
        ({"a": (9, 8, 1), "b": (9, 5, 1)}, False),
        ({"a": (9, 8, 2), "b": (9, 8, 1)}, False),  # counted twice
        ({"a": (9, 8, 1)}, False),  # nothing heard of the other
        ({}, False),
    ],
)
def test_a_soak_accounts_for_the_images_of_every_camera(middleware, reports, kept):
    from _soak_faults import Sample
    from _soak_report import judge

    columns = ("received", "processed", "dropped")
    told = {
        name: dict(zip(columns, map(str, counts), strict=True)) for name, counts in reports.items()
    }
    heard = dict.fromkeys("ab", SimpleNamespace(answers=5, disorder=0, unknown=0))
    soak = SimpleNamespace(ear=SimpleNamespace(heard=heard, reports=told))
    samples = [Sample(float(second), 100.0, 12, 30, 9, 0, 9, 0) for second in range(20)]
    verdicts = {each.promise: each.kept for each in judge(samples, soak, "", 0)}
    assert verdicts.pop("images accounted for") is kept
    assert all(verdicts.values())
