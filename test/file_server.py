# SPDX-License-Identifier: Apache-2.0
"""A server of files on loopback that misbehaves in the ways that servers do."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


@dataclass
class Served:
    """One file and how it is served."""

    content: bytes
    etag: str = '"one"'
    modified: str = ""
    ranges: bool = True  # parts on request
    part_from: int = -1  # where every part begins, whatever was asked for
    honest: bool = True  # If-Range is looked at
    part_from_text: str = ""  # said in place of where a part begins
    length: bool = True  # Content-Length is sent
    length_text: str = ""  # in place of the true one
    content_type: str = "application/octet-stream"
    status: int = 0  # an error to answer with
    redirection: str = ""  # an address to send the client to
    cuts: list[int] = field(default_factory=list)  # bytes after which each next answer breaks off
    stall: bool = False  # instead of breaking off, send nothing more


@dataclass
class Request:
    """What a client asked for."""

    path: str
    range: str | None
    if_range: str | None
    status: int


class FileServer:
    """Serves ``files`` by path, remembers ``requests``; a context manager."""

    def __init__(self) -> None:
        self.files: dict[str, Served] = {}
        self.requests: list[Request] = []
        self.released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FileServer:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _handler(owner: FileServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served = owner.files.get(self.path)
            if served is None or served.status:
                self._answer(served.status if served else 404, b"", {})
                return
            if served.redirection:
                self._answer(302, b"", {"Location": served.redirection})
                return
            start = self._start(served)
            if start >= len(served.content) > 0:
                self._answer(416, b"", {"Content-Range": f"bytes */{len(served.content)}"})
                return
            headers = {"Content-Type": served.content_type}
            headers |= {"ETag": served.etag} if served.etag else {}
            headers |= {"Last-Modified": served.modified} if served.modified else {}
            if start:
                last = len(served.content) - 1
                begin = served.part_from_text or start
                headers["Content-Range"] = f"bytes {begin}-{last}/{last + 1}"
            if served.length:
                length = served.length_text or str(len(served.content) - start)
                headers["Content-Length"] = length
            body = served.content[start:]
            if served.cuts:
                body = body[: served.cuts.pop(0)]
            self._answer(206 if start else 200, body, headers)
            if served.stall:
                self.wfile.flush()
                owner.released.wait(30)

        def _start(self, served: Served) -> int:
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            if asked is None or not served.ranges:
                return 0
            version = self.headers.get("If-Range")
            if served.honest and version not in (None, served.etag, served.modified):
                return 0
            return int(asked[1]) if served.part_from < 0 else served.part_from

        def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            asked = self.headers.get("Range"), self.headers.get("If-Range")
            owner.requests.append(Request(self.path, *asked, status))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            """Nothing: what was asked is in ``requests``."""

    return Handler
