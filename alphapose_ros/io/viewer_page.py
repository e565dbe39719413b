# SPDX-License-Identifier: Apache-2.0
"""The web viewer's page, served so that the browser asks nobody but this machine.

The page that the viewer brings would load a font, look for news and report its use on the net. A
Content-Security-Policy forbids the browser all of that; everything needed comes from here.

A site on the net may let its own name mean this machine (DNS rebinding), and the browser then lets
that site read the page. Whoever calls it by a name that is not this machine's own is refused.
"""

from __future__ import annotations

import ipaddress
import re
import socket
import threading
from contextlib import suppress
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote

from alphapose_ros.base.errors import TransportError
from alphapose_ros.io.closing import Closing

_HOST = re.compile(r"([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::\d+)?")
_PASSED_ON = ("Content-Type", "Content-Encoding", "rerun-final-length")
_TIMEOUT_S = 30.0


class ViewerPage(Closing):
    """An HTTP server in front of the viewer's own.

    Args:
        host, port: where to listen; port 0 is any free one. The page answers to this host, to
            ``localhost`` and to addresses; on all networks also to the machine's own name.
        files: address and port of the viewer's own page.
        data_port: where the page gets its data, on the host that it was called by.

    Raises:
        TransportError: the address cannot be listened on.
    """

    def __init__(self, host: str, port: int, files: tuple[str, int], data_port: int) -> None:
        values = {"files": files, "data_port": data_port, "names": _names(host)}
        handler = type("Handler", (_Handler,), values)
        server = type("Server", (ThreadingHTTPServer,), {"address_family": family_of(host)})
        try:
            self._server: ThreadingHTTPServer = server((host, port), handler)
        except (OSError, OverflowError) as error:
            raise TransportError(f"{host}:{port}: cannot serve the viewer: {error}") from error
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="viewer-page", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def family_of(host: str) -> socket.AddressFamily:
    """IPv6 for its addresses; names and all else are IPv4."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _names(host: str) -> frozenset[str]:
    """Names that no stranger can let mean this machine."""
    own, address = socket.gethostname(), _address(host)
    everywhere = address is not None and address.is_unspecified
    others = (own, f"{own}.local") if everywhere else (host,)
    return frozenset(name.lower() for name in ("localhost", *others))


class _Handler(BaseHTTPRequestHandler):
    files: tuple[str, int]
    data_port: int
    names: frozenset[str]
    timeout = _TIMEOUT_S  # of a client that says nothing or takes nothing

    def handle(self) -> None:
        """Answer; a browser may leave any time."""
        with suppress(ConnectionError):
            super().handle()

    def do_GET(self) -> None:
        """Send the browser to the data, or give it a file of the page."""
        host = self._called_by()
        if host is None:
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST, "expected an address or localhost")
        elif not (self.path.isascii() and self.path.isprintable()):
            self.send_error(HTTPStatus.BAD_REQUEST, "expected a path in ASCII")
        elif self.path == "/":
            data = quote(f"rerun+http://{host}:{self.data_port}/proxy", safe="")
            self.send_response(HTTPStatus.FOUND)
            self.send_header("Location", f"/?url={data}")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._pass_on(host)

    def _pass_on(self, host: str) -> None:
        connection = HTTPConnection(*self.files, timeout=_TIMEOUT_S)
        try:
            connection.request("GET", self.path.partition("?")[0])
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, HTTPException):
            self.send_error(HTTPStatus.BAD_GATEWAY, "the viewer is gone")
            return
        finally:
            connection.close()
        self.send_response(answer.status)
        for name in _PASSED_ON:
            if answer.getheader(name) is not None:
                self.send_header(name, str(answer.getheader(name)))
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", _policy(host, self.data_port))
        self.end_headers()
        self.wfile.write(body)

    def _called_by(self) -> str | None:
        """The host that the browser knows us by, without its port; None for a stranger's name."""
        found = _HOST.fullmatch(self.headers.get("Host", "").lower())
        return found[1] if found and (found[1] in self.names or _address(found[1])) else None

    def log_message(self, *_arguments: object) -> None:
        """Requests are nobody's news."""


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def _policy(host: str, data_port: int) -> str:
    own = "'self' data: blob:"
    if host.startswith("["):
        host = "*"  # a policy has no words for an IPv6 address; browsers pass over one
    return (
        f"default-src {own}; connect-src {own} http://{host}:{data_port}; "
        f"script-src {own} 'unsafe-inline' 'wasm-unsafe-eval'; style-src {own} 'unsafe-inline'"
    )
