# SPDX-License-Identifier: Apache-2.0
"""The demo: where its clip comes from, that its node never outlives it, and all of it once."""

from __future__ import annotations

import gzip
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from dds_helpers import wait_for

from alphapose_ros.base.errors import SourceError, TransportError
from alphapose_ros.dds.participant import Participant
from alphapose_ros.demo import clip
from alphapose_ros.demo.node_process import private_environment, running_node
from alphapose_ros.demo.recorder import Recorder
from alphapose_ros.io.bag import BagWriter
from alphapose_ros.io.image_messages import compressed_message
from alphapose_ros.io.sinks import VideoWriter
from alphapose_ros.io.sources import open_source

ROOT = Path(__file__).parents[1]


def alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="no dpkg-deb")
@pytest.mark.parametrize("packed", [False, True])
def test_the_clip_comes_out_of_its_package(tmp_path: Path, packed: bool) -> None:
    tree = tmp_path / "tree"
    data = tree / "usr/share/doc/opencv-doc/examples/data"
    data.mkdir(parents=True)
    content = b"a clip" * 1000
    name = "vtest.avi.gz" if packed else "vtest.avi"
    (data / name).write_bytes(gzip.compress(content) if packed else content)
    (tree / "DEBIAN").mkdir()
    (tree / "DEBIAN/control").write_text(
        "Package: opencv-doc\nVersion: 1\nArchitecture: all\nMaintainer: x <x@x>\nDescription: x\n"
    )
    archive = tmp_path / "opencv-doc_1_all.deb"
    subprocess.run(["dpkg-deb", "-b", str(tree), str(archive)], check=True, capture_output=True)
    clip._store(*clip._extract(archive), tmp_path / "vtest.avi")
    assert (tmp_path / "vtest.avi").read_bytes() == content


def test_without_a_clip_it_says_so_and_flies_over_a_photograph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(clip, "_INSTALLED", tmp_path / "none")
    monkeypatch.setenv("PATH", "")
    source, description = clip.open_clip(None)
    assert "no apt-get" in description
    assert "SOURCE=" in description
    frames = list(source)
    assert len(frames) == source.frame_count == 150
    assert {f.image.shape for f in frames} == {(480, 640, 3)}
    assert np.abs(frames[0].image.astype(int) - frames[40].image).mean() > 5  # it moves
    with pytest.raises(SourceError):
        clip.open_clip(str(tmp_path / "missing.mp4"))


SLEEPER = "#!/bin/sh\nexec sleep 60\n"


@pytest.fixture
def sleeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stands in for Python, so that the node is a process that only sleeps."""
    script = tmp_path / "sleeper"
    script.write_text(SLEEPER)
    script.chmod(0o755)
    monkeypatch.setattr("alphapose_ros.demo.node_process.sys.executable", str(script))
    return tmp_path


def test_the_node_ends_with_the_block_even_by_an_error(sleeper: Path) -> None:
    with (  # noqa: PT012
        pytest.raises(ZeroDivisionError),
        running_node(private_environment(), sleeper / "log", []) as node,
    ):
        assert alive(node.process.pid)
        node.check()
        raise ZeroDivisionError
    assert not alive(node.process.pid)


def test_a_node_that_ended_is_reported_with_its_last_words(sleeper: Path) -> None:
    (sleeper / "sleeper").write_text("#!/bin/sh\necho no weights; exit 3\n")
    with running_node(private_environment(), sleeper / "log", []) as node:
        node.process.wait()
        with pytest.raises(TransportError, match=r"ended \(3\)(.|\n)*no weights"):
            node.check()


@pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is Linux's")
def test_a_killed_demo_takes_the_node_along(tmp_path: Path) -> None:
    (tmp_path / "sleeper").write_text(SLEEPER)
    (tmp_path / "sleeper").chmod(0o755)
    script = (
        "import sys, time, pathlib\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from alphapose_ros.demo.node_process import *\n"
        f"sys.executable = {str(tmp_path / 'sleeper')!r}\n"
        f"log = pathlib.Path({str(tmp_path / 'log')!r})\n"
        "with running_node(private_environment(), log, []) as n:\n"
        "    print(n.process.pid, flush=True); time.sleep(60)\n"
    )
    demo = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert demo.stdout is not None
    node = int(demo.stdout.readline())
    assert alive(node)
    demo.kill()
    demo.wait()
    demo.stdout.close()
    wait_for(lambda: not alive(node), "the node's end")


def start_demo(tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    bare = tmp_path / "cache"
    variables = {**os.environ, "XDG_CACHE_HOME": str(bare), "PATH": "", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "alphapose_ros.demo",
            "--output",
            str(tmp_path / "out"),
            *arguments,
        ],
        cwd=ROOT,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_live_cameras_video_lasts_as_long_as_it_was_heard(tmp_path: Path) -> None:
    """Two images a second of a camera that announced ten."""
    with (
        Participant("recorder", "/", private_environment()) as participant,
        BagWriter(tmp_path / "a.mcap") as bag,
    ):
        recorder = Recorder(participant, bag, "/image")
        picture = np.full((48, 64, 3), 90, np.uint8)
        for number in range(5):
            time = participant.messages.Time(sec=5 + number // 2, nanosec=number % 2 * 500_000_000)
            header = participant.messages.Header(stamp=time, frame_id="")
            message = compressed_message(picture, participant.messages, header)
            sample = SimpleNamespace(cdr=participant.types.serialize(message))
            recorder._on_images("/image/compressed", [sample])
        for live, frames in ((True, 21), (False, 5)):
            with VideoWriter(tmp_path / f"{live}.mp4", 10.0) as video:
                recorder.write_video(video, live=live)
            with open_source(str(video.path)) as source:
                assert len(list(source)) == frames


def test_people_come_back_through_the_middleware(tmp_path: Path) -> None:
    demo = start_demo(tmp_path, "--seconds", "4")
    text, _ = demo.communicate(timeout=240)
    assert demo.returncode == 0, text
    rows = {line[:17].strip(): line[17:].split() for line in text.splitlines()}
    assert int(rows["identities"][0]) >= 1, text
    assert int(rows["images sent"][0]) == sum(int(rows[k][0]) for k in ("answered", "dropped"))
    with open_source(str(tmp_path / "out/demo.mp4")) as video:
        assert len(list(video)) == int(rows["images sent"][0])
    with open_source(str(tmp_path / "out/demo.mcap")) as bag:
        assert len(list(bag)) == int(rows["images sent"][0])


def test_interrupted_twice_it_leaves_nobody_behind(tmp_path: Path) -> None:
    demo = start_demo(tmp_path)
    assert demo.stdout is not None
    for line in demo.stdout:
        if "waiting for the node" in line:
            break
    nodes = children(demo.pid)
    assert len(nodes) == 1
    demo.send_signal(signal.SIGINT)
    demo.send_signal(signal.SIGINT)
    text, _ = demo.communicate(timeout=60)
    assert "Traceback" not in text
    assert not any(alive(node) for node in nodes)
