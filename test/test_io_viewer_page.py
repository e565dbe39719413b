# SPDX-License-Identifier: Apache-2.0
"""The page in front of the viewer: whom it answers, and what becomes of those it does not."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest
from file_server import FileServer, Served

from alphapose_ros.io import viewer_page
from alphapose_ros.io.viewer_page import ViewerPage

LINGER_NOT = struct.pack("ii", 1, 0)  # closing is a reset


@pytest.fixture(scope="module")
def files() -> Iterator[tuple[str, int]]:
    with FileServer() as server:
        server.files["/app.js"] = Served(b"shown")
        yield "127.0.0.1", int(server.address.rpartition(":")[2])


@pytest.fixture(scope="module")
def page(files: tuple[str, int]) -> Iterator[ViewerPage]:
    with ViewerPage("127.0.0.1", 0, files, 9091) as served:
        yield served


def asked(page: ViewerPage, host: str, path: bytes = b"/app.js") -> tuple[int, bytes]:
    """Status and all of an answer."""
    with socket.create_connection(("127.0.0.1", page.port), timeout=20) as client:
        client.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: " + host.encode() + b"\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    return int(answer.split()[1]), answer


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.0.0.1:9090", "localhost:9090", "LOCALHOST", "[::1]:9090", "10.0.0.7:1"],
)
def test_addresses_and_localhost_are_answered(page: ViewerPage, host: str) -> None:
    status, answer = asked(page, host)
    assert status == 200
    assert answer.endswith(b"shown")
    assert asked(page, host, b"/")[0] == 302


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:9090", "127.0.0.1.evil.example", "localhost.evil.example",
     "robot.local", "localhost@evil.example", "127.0.0.1/evil.example", "1"],
)  # fmt: skip
def test_a_name_that_anybody_can_let_mean_this_machine_is_refused(
    page: ViewerPage, host: str
) -> None:
    """Else a site whose name is bound to loopback afterwards could read what is shown."""
    for path in (b"/", b"/app.js"):
        status, answer = asked(page, host, path)
        assert status == 421
        assert b"shown" not in answer
        assert b"Location" not in answer
    assert asked(page, "")[0] == 421


def test_the_name_that_was_given_is_answered(files: tuple[str, int]) -> None:
    with ViewerPage("localhost", 0, files, 9091) as page:
        assert asked(page, "localhost")[0] == 200
        assert asked(page, "evil.example")[0] == 421


def test_on_all_networks_the_machine_s_own_names_are_answered(
    files: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewer_page.socket, "gethostname", lambda: "Robot")
    with ViewerPage("0.0.0.0", 0, files, 9091) as page:
        for host in ("robot:9090", "ROBOT.local", "10.0.0.7", "localhost"):
            assert asked(page, host)[0] == 200
        for host in ("evil.example", "robot.evil.example"):
            assert asked(page, host)[0] == 421


@pytest.mark.parametrize("path", [b"/\xe9", b"/a\x01b", b"/\x7f"])
def test_a_path_that_no_browser_sends_is_refused_in_silence(
    page: ViewerPage, path: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    assert asked(page, "localhost", path)[0] == 400
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "sent", [b"", b"GET / HT", b"GET /app.js HTTP/1.1\r\nHost: localhost\r\n\r\n"]
)
def test_a_client_that_resets_is_nobody_s_news(
    page: ViewerPage, sent: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    for _ in range(5):
        client = socket.create_connection(("127.0.0.1", page.port), timeout=20)
        client.sendall(sent)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
        client.close()
    assert asked(page, "localhost")[0] == 200
    assert capfd.readouterr().err == ""


def test_a_silent_client_is_sent_away(
    files: tuple[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(viewer_page._Handler, "timeout", 0.1)
    before = threading.active_count()
    with (
        ViewerPage("127.0.0.1", 0, files, 9091) as page,
        socket.create_connection(("127.0.0.1", page.port), timeout=20) as client,
    ):
        client.sendall(b"GET / HT")
        assert client.recv(1) == b""
    end = time.monotonic() + 10
    while threading.active_count() > before:
        assert time.monotonic() < end, "a thread stays"
        time.sleep(0.01)


def test_a_client_has_so_long_and_no_longer() -> None:
    assert 0 < viewer_page._Handler.timeout <= 60
