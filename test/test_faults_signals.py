# SPDX-License-Identifier: Apache-2.0
"""SIGINT and SIGTERM at any moment: the documented exit code, and nothing left behind."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from dds_helpers import FarEnd, wait_for
from domains import new_domain
from fault_scenes import Camera, environment_of, node_command

PATIENCE_S = 60.0  # a limit for what must happen, never a measure
_KEPT = "torchinductor_"  # PyTorch's cache of what it compiled: one for each user
SIGNALS = [signal.SIGINT, signal.SIGTERM]


class Watched:
    """A process, and what it may leave: files in its temporary folder, shared memory, children."""

    def __init__(self, command: list[str], folder: Path, domain: int) -> None:
        self.folder, self._memory = folder, _shared_memory()
        self.log = folder.parent / "log"
        with self.log.open("wb") as sink:
            self.process = subprocess.Popen(
                command,
                env=environment_of(domain, TMPDIR=str(folder)),
                stdout=sink,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def text(self) -> str:
        return self.log.read_text(errors="replace")

    def says(self, text: str) -> None:
        wait_for(lambda: text in self.text or self.process.poll() is not None, text, PATIENCE_S)

    def end(self) -> int:
        """The exit code; fails on anything that is left."""
        try:
            code = self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            pytest.fail(f"it did not end: {self.text}")
        names = [path.name for path in self.folder.iterdir()]
        assert not [name for name in names if not name.startswith(_KEPT)]
        left = _shared_memory() - self._memory  # other tests may be at work and clear up later
        wait_for(lambda: not left & _shared_memory(), f"the end of {left}", PATIENCE_S)
        with pytest.raises(ProcessLookupError):  # nobody of its session lives
            os.killpg(self.process.pid, 0)
        return code


def _shared_memory() -> set[str]:
    folder, found = Path("/dev/shm"), set[str]()
    for path in folder.glob("*"):
        with suppress(FileNotFoundError):  # another test's, gone meanwhile
            if path.name.startswith(("psm_", "sem.", "torch_")) and path.owner() == folder.owner():
                found.add(path.name)
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "tmp"
    path.mkdir()
    return path


@pytest.mark.parametrize("number", SIGNALS)
def test_while_it_loads(folder: Path, number: signal.Signals) -> None:
    """Loading would take ten minutes: the signal does not wait for its end."""
    watched = Watched(node_command("SlowLoading(600)"), folder, new_domain())
    watched.says("loading")
    watched.process.send_signal(number)
    assert watched.end() == 0
    assert "Traceback" not in watched.text


@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("seed", range(3))
def test_while_it_runs_and_closes(folder: Path, number: signal.Signals, seed: int) -> None:
    """A signal at a random moment of the work, up to three times at once, as launchers send it."""
    chance, domain = random.Random(seed), new_domain()
    watched = Watched(node_command("FaultyPipeline(0.02)"), folder, domain)
    with FarEnd(domain) as far:
        camera = Camera(far)
        far.start()
        camera.wait()
        camera.ask(1)
        for _ in range(chance.randrange(8)):
            camera.images.publish(far.image(time.time_ns(), 1))
            time.sleep(chance.uniform(0, 0.03))
        for _ in range(1 + seed):
            if watched.process.poll() is None:
                watched.process.send_signal(number)
            time.sleep(chance.uniform(0, 0.02))
        assert watched.end() == 0
    assert "Traceback" not in watched.text


@pytest.mark.parametrize(("number", "before"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_real_command_at_random_moments(
    folder: Path, number: signal.Signals, before: int
) -> None:
    """0 once the command has begun; before that the code that the shell gives a signal's end."""
    chance = random.Random(int(number))
    command = [sys.executable, "-m", "alphapose_ros", "node", "--front", "dds", "--device", "cpu"]
    for _ in range(2):
        watched = Watched(command, folder, new_domain())
        time.sleep(chance.uniform(0.1, 4))
        watched.process.send_signal(number)
        assert watched.end() in (0, before, -number), watched.text
