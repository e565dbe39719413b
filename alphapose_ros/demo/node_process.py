# SPDX-License-Identifier: Apache-2.0
"""The node as a second process that never outlives the demo."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from alphapose_ros.base.errors import TransportError
from alphapose_ros.dds.environment import RosEnvironment

_PR_SET_PDEATHSIG = 1
_FOREIGN = ("ROS_", "RMW_", "CYCLONEDDS_")


def private_environment() -> RosEnvironment:
    """Loopback, and a DDS domain that no robot on this machine is likely to use."""
    return RosEnvironment(domain_id=1 + os.getpid() % 100, discovery_range="LOCALHOST")


class NodeProcess:
    """A running node and where its log goes."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process, self.log = process, log

    def check(self) -> None:
        """Raise what ended the node, if it ended.

        Raises:
            TransportError: with the last lines of the node's log.
        """
        if self.process.poll() is not None:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
            tail = "\n".join(lines[-5:])
            raise TransportError(
                f"the node ended ({self.process.returncode}); {self.log} says:\n{tail}"
            )


@contextmanager
def running_node(
    environment: RosEnvironment, log: Path, arguments: list[str]
) -> Iterator[NodeProcess]:
    """Start ``alphapose-ros node --front dds`` and end it in any case."""
    command = [sys.executable, "-m", "alphapose_ros", "node", "--front", "dds", *arguments]
    with running(command, environment, log) as process:
        yield NodeProcess(process, log)


@contextmanager
def running(
    command: Sequence[str], environment: RosEnvironment, log: Path, *, in_ros: bool = False
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command on a domain and end it in any case.

    Args:
        command: program and arguments.
        environment: where on the network.
        log: receives what it says.
        in_ros: it needs the variables of a sourced ROS 2.
    """
    variables = {k: v for k, v in os.environ.items() if in_ros or not k.startswith(_FOREIGN)}
    variables["ROS_DOMAIN_ID"] = str(environment.domain_id)
    variables["ROS_AUTOMATIC_DISCOVERY_RANGE"] = environment.discovery_range
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
        try:
            yield process
        finally:
            _end(process)


def _die_with_parent() -> None:
    """Even a parent that is killed outright takes the node with it (Linux)."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _end(process: subprocess.Popen[bytes]) -> None:
    for number, patience_s in ((signal.SIGINT, 15), (signal.SIGTERM, 5), (signal.SIGKILL, 5)):
        if process.poll() is not None:
            return
        process.send_signal(number)
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            continue
