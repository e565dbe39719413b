# SPDX-License-Identifier: Apache-2.0
"""A second SIGINT or SIGTERM ends a process at once; one Ctrl-C that comes twice does not."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from dds_helpers import FarEnd, wait_for
from domains import new_domain
from fault_scenes import IN_WORK, Camera, environment_of, node_command
from processes import running
from recording_scenes import image_bag, start

import alphapose_ros.cli as cli
from alphapose_ros.front.insistence import SAME_S, Insistence, insistence
from alphapose_ros.front.signals import stop_signals

ENDS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
PAUSE_S = SAME_S + 0.2
ROOT = Path(__file__).parents[1]


def insist(process: subprocess.Popen[str], number: signal.Signals) -> int:
    """Send a signal again and again, as somebody who does not want to wait; the exit code."""
    assert process.poll() is None
    for _ in range(100):
        process.send_signal(number)
        try:
            return process.wait(PAUSE_S)
        except subprocess.TimeoutExpired:
            continue
    process.kill()
    raise AssertionError("it did not end")


@pytest.mark.parametrize(("number", "code"), ENDS)
def test_the_second_one_leaves_and_the_first_one_sent_twice_does_not(
    number: signal.Signals, code: int, capfd: pytest.CaptureFixture[str]
) -> None:
    now, left = [100.0], list[int]()
    seen = Insistence(lambda: now[0], left.append)
    seen.came(signal.SIGCHLD)
    seen.came(number)
    now[0] += SAME_S  # launch's own, after the terminal's
    seen.came(number)
    assert left == []
    now[0] += 0.01
    seen.came(number)
    assert left == [code]
    assert "second signal: ended at once" in capfd.readouterr().err


def test_another_kind_of_signal_is_a_second_one_too() -> None:
    now, left = [100.0], list[int]()
    seen = Insistence(lambda: now[0], left.append)
    seen.came(signal.SIGINT)
    now[0] += 5
    seen.came(signal.SIGTERM)
    assert left == [143]


def test_nothing_is_left_of_the_watch() -> None:
    before = threading.active_count(), len([*Path("/proc/self/fd").iterdir()])
    for _ in range(3):
        with insistence(), insistence():  # who watches inside is not needed
            assert threading.active_count() == before[0] + 1
    assert (threading.active_count(), len([*Path("/proc/self/fd").iterdir()])) == before
    assert signal.set_wakeup_fd(-1) == -1


def test_a_thread_has_no_signals_to_watch() -> None:
    done: list[bool] = []

    def work() -> None:
        with insistence():
            done.append(signal.getsignal(signal.SIGINT) is signal.default_int_handler)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]


_FORKS = """
import os, signal, sys, time
from alphapose_ros.front.signals import stop_signals
with stop_signals() as stop:
    child = os.fork()
    if not child:
        while not stop.is_set():
            time.sleep(0.01)
        os._exit(7)
    for _ in range(20):
        os.kill(child, signal.SIGINT)
        time.sleep(0.05)
    _, status = os.waitpid(child, 0)
    sys.exit(os.waitstatus_to_exitcode(status) if not stop.is_set() else 99)
"""


def test_what_a_child_is_sent_is_not_counted() -> None:
    """As torch sends its loading processes when a training ends."""
    done = subprocess.run([sys.executable, "-c", _FORKS], cwd=ROOT, timeout=60, check=False)
    assert done.returncode == 7


_COMMAND = """
import sys, time
import alphapose_ros.cli as cli
from alphapose_ros.cli import {module}

def hang(*_, **__):
    try:
        print("working", flush=True)
        time.sleep(600)
    finally:
        print("closing", flush=True)
        {hang}

class Node:
    def __init__(self, *_):
        pass

    def start(self):
        print("working", flush=True)

    def check(self):
        pass

    def close(self):
        print("closing", flush=True)
        {hang}

{patch}
sys.exit(cli.main())
"""
PATCHES = {
    "run": "import alphapose_ros.io.sources as s; s.open_source = hang",
    "batch": "import alphapose_ros.cli.pipelines as p; p.load_config = hang",
    "train": "train._TRAININGS['pose'] = hang",
    "node": (
        "import alphapose_ros.cli.pipelines as p; p.make_pipeline = lambda args: None; "
        "import alphapose_ros.dds.pose_node as d; d.PoseNode = Node"
    ),
}
WORDS = {
    "run": ["run", "x.mp4"],
    "batch": ["batch", "x.mp4", "--out", "x"],
    "train": ["train", "pose"],
    "node": ["node", "--front", "dds"],
}
HANGS = {
    "in Python": "[time.sleep(600) for _ in range(600)]",
    "in C": (  # a lock that its own thread holds; no signal interrupts that
        "import ctypes; lock = ctypes.create_string_buffer(64); "
        "[ctypes.CDLL(None).pthread_mutex_lock(lock) for _ in range(2)]"
    ),
}


@pytest.mark.parametrize("how", HANGS)
@pytest.mark.parametrize("command", PATCHES)
@pytest.mark.parametrize(("number", "code"), ENDS)
def test_a_command_that_hangs_while_it_closes(
    tmp_path: Path, command: str, how: str, number: signal.Signals, code: int
) -> None:
    program = _COMMAND.format(module=command, hang=HANGS[how], patch=PATCHES[command])
    process = subprocess.Popen(
        [sys.executable, "-c", program, *WORDS[command]],
        cwd=tmp_path, env=environment_of(new_domain(), PYTHONPATH=str(ROOT)),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "working\n"
    process.send_signal(number)
    assert process.stdout.readline() == "closing\n"
    assert insist(process, number) == code
    _, err = process.communicate(timeout=60)
    assert err.split("\n")[1:] == [
        "second signal: ended at once, what was being written is not finished", ""
    ]  # fmt: skip


@pytest.mark.parametrize(("number", "code"), ENDS)
def test_run_whose_reader_does_not_read(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """A pipe that is full holds the frame that is being written; nobody has to wait for it."""
    source, pipe, bag = (
        image_bag(tmp_path / "in.mcap", 600),
        tmp_path / "lines",
        tmp_path / "o.db3",
    )
    os.mkfifo(pipe)
    process = start(["run", source, "--json", pipe, "--bag", bag])
    with pipe.open():
        room = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        try:
            wait_for(
                lambda: (
                    not select.select([], [room], [], 0)[1]
                    and _stands(bag.with_name("o.db3.part"))
                ),
                "the full pipe",
            )
            assert insist(process, number) == code
        finally:
            os.close(room)
    _, err = process.communicate(timeout=60)
    assert "Traceback" not in err
    assert not bag.exists()  # what is not complete has not got its name


def _stands(part: Path) -> bool:
    """Whether a file has begun and grows no more."""
    if not part.exists():
        return False
    size = part.stat().st_size
    time.sleep(1)
    return 0 < size == part.stat().st_size


@pytest.mark.parametrize(("number", "code"), ENDS)
def test_a_node_whose_pipeline_does_not_come_back(number: signal.Signals, code: int) -> None:
    """The first signal waits for the image in work; who insists does not."""
    domain = new_domain()
    variables = environment_of(domain)
    with running(node_command("FaultyPipeline(600)"), variables) as process, FarEnd(domain) as far:
        camera = Camera(far)
        far.start()

        def in_work() -> bool:
            camera.images.publish(far.image(time.time_ns(), 1))
            time.sleep(0.02)
            return f"{IN_WORK}\n" in process.lines

        wait_for(in_work, "an image in work")
        assert insist(process, number) == code


def test_a_command_that_was_not_interrupted_puts_everything_back() -> None:
    before = [signal.getsignal(number) for number, _ in ENDS]
    assert cli.main(["models", "list"]) == 0
    with stop_signals(last=True):
        pass
    assert [signal.getsignal(number) for number, _ in ENDS] == before
    assert signal.set_wakeup_fd(-1) == -1
