# SPDX-License-Identifier: Apache-2.0
"""``run --rrd``, ``run --view`` and ``view``: files, mistakes, and who waits for whom."""

from __future__ import annotations

import socket
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from cli_stand_in import OnePerson, fails, stand_in_pipeline, three_images
from viewer_recordings import read_recording

import alphapose_ros.cli as cli
from alphapose_ros.cli import viewers
from alphapose_ros.front.config import NodeConfig
from alphapose_ros.io.viewer_process import ViewerProcess

images = pytest.fixture(three_images)
pipeline = pytest.fixture(stand_in_pipeline)


def test_run_records_every_frame(
    pipeline: OnePerson, images: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "out.rrd"
    argv = ["run", str(images), "--rrd", str(path), "--camera-name", "front"]
    assert cli.main(argv) == 0
    assert f"recording  {path}" in capsys.readouterr().out
    read = read_recording(path)
    assert sorted(frame for frame, _, _ in read.rows["/front/image"]) == [0, 1, 2]
    labels = read.values("/front/image/boxes", "Boxes2D:labels")
    assert labels == [["tentative"], ["#1"], ["#1"]]


def test_a_run_that_breaks_leaves_a_whole_recording(
    pipeline: OnePerson, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    see = OnePerson.__call__

    def interrupted(self: OnePerson, frame: Any) -> Any:
        if len(self.frames) == 2:
            raise KeyboardInterrupt
        return see(self, frame)

    monkeypatch.setattr(OnePerson, "__call__", interrupted)
    path = tmp_path / "out.rrd"
    assert cli.main(["run", str(images), "--rrd", str(path), "--camera-name", "front"]) == 130
    assert len(read_recording(path).rows["/front/image"]) == 2


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("host", "called"),
    [
        ("127.0.0.1", "127.0.0.1"),
        *(
            pytest.param(
                *hosts,
                marks=pytest.mark.skipif(not has_ipv6(), reason="IPV6 NOT CHECKED: none here"),
            )
            for hosts in (("::1", "[::1]"), ("::", "127.0.0.1"))
        ),
    ],
)
def test_run_shows_what_it_sees_and_the_page_stays(
    host: str,
    called: str,
    pipeline: OnePerson,
    images: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    waited: list[bool] = []

    def look(viewer: ViewerProcess) -> None:
        with urllib.request.urlopen(viewer.page, timeout=20) as answer:
            assert "re_viewer" in answer.read().decode()
            policy = answer.headers["Content-Security-Policy"]
        assert f"http://{'*' if host == '::1' else called}:" in policy
        waited.append(viewer.running)

    monkeypatch.setattr("alphapose_ros.cli.run.serve_until_interrupted", look)
    argv = ["run", str(images), "--view", "--web", "--host", host, "--port", "0"]
    assert cli.main(argv) == 0
    assert waited == [True]
    assert f"http://{called}:" in capsys.readouterr().out


def test_a_window_that_was_closed_ends_the_run(
    pipeline: OnePerson, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Closed:
        url, page, running = "rerun+http://127.0.0.1:9/proxy", "", False

        def __enter__(self) -> Closed:
            return self

        def __exit__(self, *_: object) -> None: ...

    class Unheard:
        def __init__(self, *, url: str) -> None: ...

        def close(self) -> None: ...

    monkeypatch.setattr("alphapose_ros.cli.run.open_viewer", lambda args: Closed())
    monkeypatch.setattr("alphapose_ros.cli.viewer_output.ViewerStream", Unheard)
    assert cli.main(["run", str(images), "--view"]) == 0
    assert len(pipeline.frames) == 1


def test_ctrl_c_ends_the_wait(capsys: pytest.CaptureFixture[str]) -> None:
    class Page:
        page = "http://127.0.0.1:9090"

        @property
        def running(self) -> bool:
            raise KeyboardInterrupt

    viewers.serve_until_interrupted(Page())  # type: ignore[arg-type]
    assert "until Ctrl-C" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["view", "--no-view"], "--no-view: expected --rrd FILE with it"),
        (["view", "--seconds", "0"], "--seconds: expected more than 0"),
        (["view", "nothing.rrd"], "nothing.rrd: no such recording"),
        (["view", "a.rrd", "--rrd", "b.rrd"], "expected no --rrd"),
        (["view", "image"], "expected a remap such as"),
        (["view", "--web", "--port", "-1"], "--port: expected 0 to 65534"),
        (["view", "--web", "--port", "0", "--host", "192.0.2.1"], "192.0.2.1:"),
    ],
)
def test_mistakes_are_one_line(
    argv: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in fails(capsys, argv)


@pytest.mark.parametrize(
    ("package", "argv"),
    [("rerun", ["run", "IMAGES", "--rrd", "o.rrd"]), ("rerun_cli", ["view", "--web"])],
)
def test_without_the_package_one_line_says_how_to_get_it(
    package: str,
    argv: list[str],
    pipeline: OnePerson,
    images: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    argv = [str(images) if word == "IMAGES" else word for word in argv]
    assert "pip install 'rerun-sdk>=0.39,<0.42'" in fails(capsys, argv)


SECTIONS = """
/**: {ros__parameters: {cameras: [cam]}}
watcher: {ros__parameters: {cam: {image_topic: /watcher/image}}}
/rear/guard: {ros__parameters: {cam: {image_topic: /rear/image}}}
/front/guard: {ros__parameters: {cam: {image_topic: /front/image}}}
"""


@pytest.mark.parametrize(
    ("names", "topic"),
    [
        (["__node:=watcher"], "/watcher/image"),
        (["__node:=guard", "__ns:=/front"], "/front/image"),
        (["__node:=guard", "__ns:=/rear"], "/rear/image"),
    ],
)
@pytest.mark.parametrize("command", ["view", "node"])
def test_the_sections_of_the_node_that_is_named_count(
    command: str,
    names: list[str],
    topic: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "robot.yaml"
    file.write_text(SECTIONS)
    heard: list[str] = []

    def listen(config: NodeConfig, *_: object) -> Any:
        heard.extend(camera.image_topic for camera in config.cameras)
        return [] if command == "view" else 0

    monkeypatch.setattr("alphapose_ros.cli.view._listen", listen)
    monkeypatch.setattr("alphapose_ros.dds.pose_node.serve", listen)
    options = {"node": ["--front", "dds"], "view": ["--no-view", "--rrd", str(tmp_path / "o.rrd")]}
    assert cli.main([command, *options[command], "--params-file", str(file), *names]) == 0
    assert heard == [topic]
