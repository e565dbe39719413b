# SPDX-License-Identifier: Apache-2.0
"""The command line as a whole: help, exit codes, and the commands that need no images."""

from __future__ import annotations

import argparse
import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_stand_in import fails, poses_in, three_images

import alphapose_ros.cli as cli
from alphapose_ros.base.errors import ConfigError, InputError, MissingDependencyError, WeightsError
from alphapose_ros.base.records import FrameResult, Header, Tracks
from alphapose_ros.cli import node
from alphapose_ros.cli.console import table
from alphapose_ros.cli.run import RunStatistics

images = pytest.fixture(three_images)


def test_help_needs_nothing_heavy(root: Path) -> None:
    code = (
        "import sys\nfrom alphapose_ros.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit as end:\n    assert end.code == 0\n"
        "print(sorted({'numpy', 'torch', 'cv2', 'yaml', 'rosbags'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
    for command in ("run", "node", "play", "predict", "train", "eval", "models", "bench"):
        assert f"  {command} " in done.stdout


@pytest.mark.parametrize("command", cli.COMMANDS, ids=lambda c: c.__name__.rpartition(".")[2])
def test_every_command_explains_itself(command: Any, capsys: pytest.CaptureFixture[str]) -> None:
    name = {"evaluate": "eval"}.get(command.__name__.rpartition(".")[2])
    with pytest.raises(SystemExit) as end:
        cli.main([name or command.__name__.rpartition(".")[2], "--help"])
    assert end.value.code == 0
    assert len(capsys.readouterr().out) > 100


def test_python_m_starts_it(root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "alphapose_ros", "run", "/nowhere.mp4"],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr == "alphapose-ros: /nowhere.mp4: no such file, folder or camera\n"


def test_bad_usage_is_2() -> None:
    for argv in (
        [],
        ["fly"],
        ["run"],
        ["predict", "a.jpg"],
        ["eval", "cats"],
        ["node", "--front=x"],
    ):
        with pytest.raises(SystemExit) as end:
            cli.main(argv)
        assert end.value.code == 2


def test_remaps() -> None:
    assert node.parse_remaps([]) == {}
    assert node.parse_remaps(["image:=/front/image_raw", "poses:=people"]) == {
        "image": "/front/image_raw", "poses": "people"
    }  # fmt: skip
    for wrong in (["image"], ["image="], [":=x"], ["image:="], ["a:=b", "a:=c"]):
        with pytest.raises(InputError):
            node.parse_remaps(wrong)


def test_the_front_is_never_another_than_meant(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("ROS_DISTRO", "ROS_VERSION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(node, "_ROS_ROOT", tmp_path)
    monkeypatch.setattr(node, "find_spec", lambda name: None)
    assert node.choose_front("auto") == "dds"
    with pytest.raises(MissingDependencyError, match="needs ROS 2"):
        node.choose_front("ros")
    (tmp_path / "jazzy").mkdir()
    (tmp_path / "jazzy" / "setup.bash").write_text("")
    with pytest.raises(MissingDependencyError, match="jazzy is installed but not sourced"):
        node.choose_front("auto")
    assert node.choose_front("dds") == "dds"
    monkeypatch.setattr(node, "find_spec", lambda name: name == "rclpy" or None)
    for wanted in ("auto", "ros"):
        with pytest.raises(MissingDependencyError, match="build it with colcon"):
            node.choose_front(wanted)
    monkeypatch.setattr(node, "find_spec", lambda name: object())
    assert node.choose_front("auto") == node.choose_front("ros") == "ros"
    assert node.choose_front("dds") == "dds"


def test_the_rclpy_node_gets_the_same_words(tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text("/**:\n  ros__parameters:\n    marker_depth: 3.0\n")
    args = cli.build_parser().parse_args(
        ["node", "--params-file", str(file), "--device", "cpu", "--runtime", "torch",
         "--threads", "2", "image:=/cam", "__ns:=/r1"]
    )  # fmt: skip
    assert node.ros_arguments(args, node.parse_remaps(args.remaps)) == [
        "--ros-args", "--params-file", str(file), "-p", "device:=cpu", "-p", "runtime:=torch",
        "-p", "threads:=2", "-r", "image:=/cam", "-r", "__ns:=/r1",
    ]  # fmt: skip
    file.write_text("/**:\n  ros__parameters:\n    marker_dept: 3.0\n")
    with pytest.raises(ConfigError, match="did you mean marker_depth"):
        node.ros_arguments(args, {})


@pytest.mark.parametrize("front", ["ros", "dds"])
def test_bad_node_input_is_one_line(front: str, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["node", "--front", front]
    assert "expected a remap" in fails(capsys, [*argv, "image=/x"])


def test_bad_play_input_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert "--rate" in fails(capsys, ["play", "clip.mp4", "--rate", "0"])


def test_eval_checks_its_files_first(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    argv = ["eval", "pose", "--annotations", "nowhere.json", "--images", str(tmp_path)]
    assert "no such annotation file" in fails(capsys, argv)
    (tmp_path / "a.json").write_text("{}")
    argv = ["eval", "pose", "--annotations", str(tmp_path / "a.json"), "--images", "nowhere"]
    assert "no such folder" in fails(capsys, argv)


def test_an_error_with_line_breaks_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], images: Path
) -> None:
    for error in (ConfigError("unknown key 'x';\n known: a,\n b"), WeightsError("wrong\nhash")):

        def refuse(args: argparse.Namespace, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr("alphapose_ros.cli.pipelines.make_pipeline", refuse)
        fails(capsys, ["run", str(images)])


def test_a_package_that_is_not_installed_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], images: Path
) -> None:
    def missing(*args: Any) -> None:
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

    monkeypatch.setattr("alphapose_ros.cli.pipelines.make_pipeline", missing)
    line = fails(capsys, ["run", str(images)])
    assert "'torch' is not installed" in line
    assert "alphapose-ros doctor" in line


def test_a_missing_file_of_our_own_is_shown_whole(
    monkeypatch: pytest.MonkeyPatch, images: Path
) -> None:
    def missing(*args: Any) -> None:
        raise ModuleNotFoundError("No module named", name="alphapose_ros.cut_off")

    monkeypatch.setattr("alphapose_ros.cli.pipelines.make_pipeline", missing)
    with pytest.raises(ModuleNotFoundError):
        cli.main(["run", str(images)])


def test_a_reader_that_leaves_ends_it_quietly(root: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "alphapose_ros", "models", "list"],
        cwd=root, stdout=write, stderr=subprocess.PIPE, text=True, timeout=120, check=False,
    )  # fmt: skip
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_only_a_reader_of_an_output_ends_it_quietly(
    monkeypatch: pytest.MonkeyPatch, images: Path
) -> None:
    """A pipe without a name is one inside, to a process that died."""
    for names in (["o.jsonl"], []):

        def broken(*args: Any, names: list[str] = names) -> None:
            raise OSError(errno.EPIPE, os.strerror(errno.EPIPE), *names)

        monkeypatch.setattr("alphapose_ros.cli.pipelines.make_pipeline", broken)
        if names:
            assert cli.main(["run", str(images)]) == 141
        else:
            with pytest.raises(BrokenPipeError):
                cli.main(["run", str(images)])


def test_a_full_disk_is_one_line_whoever_met_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], images: Path
) -> None:
    def full(*args: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # as write() does: it names no file

    monkeypatch.setattr("alphapose_ros.cli.pipelines.make_pipeline", full)
    assert cli.main(["run", str(images)]) == 1
    assert capsys.readouterr().err == "alphapose-ros: No space left on device\n"


def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch, images: Path) -> None:
    def wrong(args: argparse.Namespace) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("alphapose_ros.cli.pipelines.make_pipeline", wrong)
    with pytest.raises(ZeroDivisionError):
        cli.main(["run", str(images)])


def test_tables_are_aligned() -> None:
    assert table([]) == ""
    assert table([("a", 1), ("bcd", 20)], ["name", "n"]).splitlines() == [
        "name   n", "----  --", "a      1", "bcd   20"
    ]  # fmt: skip


def test_statistics_count_people_that_are_seen() -> None:
    statistics = RunStatistics()
    person, zero = poses_in(np.array([[0, 0, 9, 9.0]]), np.ones(1)), np.zeros(1)
    for identity, state in ((0, 1), (4, 2), (4, 3)):
        tracks = Tracks([identity], [1], person, [state], np.zeros((1, 2)), zero, zero, zero)
        statistics.add(FrameResult(Header("c", "", 0, (9, 9)), tracks), 0.01)
    text = statistics.text()
    assert "0.7 a frame, at most 1" in text
    assert "identities  1" in text
