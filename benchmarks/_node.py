# SPDX-License-Identifier: Apache-2.0
"""The node under test and the helpers beside it: processes that never outlive the benchmark."""

from __future__ import annotations

import multiprocessing
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from alphapose_ros.base.errors import TransportError
from alphapose_ros.dds.environment import RosEnvironment
from alphapose_ros.demo import node_process
from alphapose_ros.eval.usage import processor_s, resident_mb, thread_count

_CHILD_S = 10.0


@dataclass(frozen=True)
class NodeSettings:
    """What the node under test runs with.

    Attributes:
        cameras: how many; their topics are ``camera0/image`` and so on.
        front: dds or ros.
        compressed: JPEG instead of raw images.
        preset, threads, device: of the networks.
    """

    cameras: int = 1
    front: str = "dds"
    compressed: bool = False
    preset: str = "nano"
    threads: int = 2
    device: str = "cpu"

    @property
    def names(self) -> list[str]:
        """Of the cameras."""
        return [f"camera{k}" for k in range(self.cameras)]

    def image_topic(self, camera: str) -> str:
        """Where a camera's images go."""
        return f"/{camera}/image" + ("/compressed" if self.compressed else "")

    def poses_topic(self, camera: str) -> str:
        """Where a camera's answers come."""
        return "/poses" if self.cameras == 1 else f"/{camera}/poses"

    def pipeline_parameters(self) -> dict[str, Any]:
        """What the pipeline alone is configured with."""
        return {"preset": self.preset, "threads": self.threads, "device": self.device}

    def write(self, path: Path) -> None:
        """As a parameter file."""
        import yaml

        values: dict[str, Any] = self.pipeline_parameters()
        values["image_transport"] = "compressed" if self.compressed else "raw"
        values["cameras"] = self.names
        values.update({name: {"image_topic": f"/{name}/image"} for name in self.names})
        content = {"/**": {"ros__parameters": values}}
        path.write_text(yaml.safe_dump(content), encoding="utf-8")


class Node:
    """A running node: whether it lives, and what it uses."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process, self.log = process, log

    def check(self) -> None:
        """Raise what ended the node, if it ended.

        Raises:
            TransportError: with the last lines of its log.
        """
        if self.process.poll() is not None:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
            tail = "\n".join(lines[-8:]) or "nothing"
            raise TransportError(f"the node ended ({self.process.returncode}), and said:\n{tail}")

    @property
    def memory_mb(self) -> float:
        """Resident."""
        return resident_mb(self.process.pid)

    @property
    def processor_s(self) -> float:
        """Seconds of the processor that it has used."""
        return processor_s(self.process.pid)

    @property
    def threads(self) -> int:
        """How many it has."""
        return thread_count(self.process.pid)


def node_command(settings: NodeSettings, parameters: Path) -> list[str]:
    """The public command that starts the node."""
    program = [sys.executable, "-m", "alphapose_ros", "node", "--front", settings.front]
    return [*program, "--params-file", str(parameters)]


@contextmanager
def running(command: Sequence[str], environment: RosEnvironment, log: Path) -> Iterator[Node]:
    """Start the node on loopback and a domain of its own, and end it in any case."""
    with node_process.running(command, environment, log, in_ros="ros" in command) as process:
        yield Node(process, log)


@contextmanager
def child(main: Callable[..., None], *arguments: Any) -> Iterator[Connection]:
    """A helper process that answers over a pipe; it ends when the pipe does, whoever closes it."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(main, there, arguments), daemon=True)
    process.start()
    there.close()
    try:
        yield here
    finally:
        here.close()
        process.join(_CHILD_S)
        if process.is_alive():
            process.kill()
            process.join()


def _serve(main: Callable[..., None], connection: Connection, arguments: Sequence[Any]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the parent ends this one
    try:
        main(connection, *arguments)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
