# SPDX-License-Identifier: Apache-2.0
"""The viewer as a process of its own: a window, or a page for a browser.

The viewer's own defaults are to listen on all networks and to report its use; here it listens on
loopback unless told, and reports nothing.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from alphapose_ros.base.errors import InputError, TransportError, require
from alphapose_ros.io.closing import Closing
from alphapose_ros.io.viewer_layout import INSTALL_VIEWER
from alphapose_ros.io.viewer_page import ViewerPage, family_of

LOOPBACK = "127.0.0.1"
_EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - recognised, not bound
_START_S, _STOP_S, _POLL_S = 20.0, 5.0, 0.05


@dataclass(frozen=True)
class ViewerOptions:
    """Where the viewer shows and how much it keeps.

    Attributes:
        web: a page for a browser, else a window.
        host: address to listen on.
        port: of the page; the data come on the next one. 0: any free ones.
        memory: how much is kept, ``500MB`` or ``25%``; the oldest goes first.
    """

    web: bool = False
    host: str = LOOPBACK
    port: int = 9090
    memory: str = "1GB"

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65534:
            raise InputError(f"--port: expected 0 to 65534, got {self.port}")


class ViewerProcess(Closing):
    """A viewer that is ready for data, or shows a ``recording``.

    Attributes:
        url: where :class:`~alphapose_ros.io.viewer.ViewerStream` sends to.
        page: what to open in a browser; empty with a window.

    Raises:
        MissingDependencyError: the Rerun SDK is not installed.
        TransportError: it did not start, as where a port is taken; the message has its last line.
    """

    def __init__(self, options: ViewerOptions, recording: Path | None = None) -> None:
        program = viewer_program()
        self._options = options
        self.url = self.page = ""
        reached = LOOPBACK if options.host in _EVERYWHERE else options.host
        with ExitStack() as stack:
            self._folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            data = _port(options.host, options.port + 1 if options.port else 0)
            arguments = ["--bind", options.host, "--port", str(data)]
            arguments += ["--memory-limit", options.memory]
            if options.web:
                files = _port(options.host, 0)
                page = ViewerPage(options.host, options.port, (reached, files), data)
                stack.callback(page.close)
                self.page = f"http://{_in_url(reached)}:{page.port}"
                arguments += ["--serve-web", "--web-viewer-port", str(files)]
                arguments += ["--server-memory-limit", options.memory]
                for name in _names(options.host):
                    arguments += ["--cors-allow-origin", f"http://{name}:{page.port}"]
            if recording is not None:
                arguments.append(str(recording.resolve()))
            self._process = self._start(program, arguments)
            stack.callback(self._stop)
            for port in (data, files) if options.web else (data,):
                self._wait_for(reached, port)
            self.url = f"rerun+http://{_in_url(reached)}:{data}/proxy"
            self._stack = stack.pop_all()

    @property
    def running(self) -> bool:
        """Whether somebody can still look."""
        return self._process.poll() is None

    def close(self) -> None:
        """End a page; a window stays until somebody closes it, for a look at what was."""
        self._stack.close()

    def _start(self, program: Path, arguments: list[str]) -> subprocess.Popen[bytes]:
        settings = {**os.environ, "XDG_CONFIG_HOME": str(self._folder)}
        _silence(program, settings)
        with (self._folder / "log").open("wb") as log:
            # A session of its own: Ctrl-C ends us, and what was written last still arrives.
            return subprocess.Popen(
                [*(_dying_with_us() if self._options.web else ()), str(program), *arguments],
                env=settings,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _wait_for(self, host: str, port: int) -> None:
        end = time.monotonic() + _START_S
        while time.monotonic() < end:
            if not self.running:
                raise TransportError(f"the viewer did not start: {self._last_line()}")
            try:
                socket.create_connection((host, port), timeout=1).close()
                return
            except OSError:
                time.sleep(_POLL_S)
        raise TransportError(f"the viewer does not answer on {host}:{port} after {_START_S:g} s")

    def _last_line(self) -> str:
        text = (self._folder / "log").read_text(encoding="utf-8", errors="replace")
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return lines[-1] if lines else f"it ended with code {self._process.returncode}"

    def _stop(self) -> None:
        if self.url and not self._options.web:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def viewer_program() -> Path:
    """The viewer that the Rerun SDK brings.

    Raises:
        MissingDependencyError: the SDK, or its viewer, is not installed.
    """
    package = require("rerun_cli", needed_for="the viewer", install=INSTALL_VIEWER)
    return Path(str(package.__file__)).with_name("rerun")


def has_display(variables: Mapping[str, str]) -> bool:
    """Whether a window can be opened."""
    return bool(variables.get("DISPLAY") or variables.get("WAYLAND_DISPLAY"))


def _dying_with_us() -> list[str]:
    """Before a command: it ends with this process, however that ends. Linux alone knows how."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM"] if setpriv else []


def _silence(program: Path, settings: Mapping[str, str]) -> None:
    """No reports of use, without changing what the user chose for their own viewer."""
    try:
        subprocess.run(
            [str(program), "analytics", "disable"],
            env=settings,
            capture_output=True,
            check=True,
            timeout=_START_S,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise TransportError(f"{program}: the viewer does not run: {error}") from error


def _names(host: str) -> tuple[str, ...]:
    """Under which the page is called; pages of other hosts shall not read what is shown.

    Those that let their name mean this machine still can: the viewer looks at no Host.
    """
    if host in _EVERYWHERE:
        return ("*",)  # nobody knows what this machine is called elsewhere
    return (_in_url(host), "localhost") if host == LOOPBACK else (_in_url(host),)


def _port(host: str, wanted: int) -> int:
    """``wanted`` if it is free, or a free one for 0.

    Raises:
        TransportError: it is taken, or the host is not this machine's.
    """
    with socket.socket(family_of(host)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, wanted))
        except OSError as error:
            raise TransportError(f"{host}:{wanted}: the viewer cannot listen: {error}") from error
        return int(probe.getsockname()[1])


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
