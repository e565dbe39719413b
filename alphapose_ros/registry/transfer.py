# SPDX-License-Identifier: Apache-2.0
"""A file over HTTP into a partial one beside it, which the next attempt or process goes on with.

A partial file is only continued where the server vouches that the file is still the same one:
its ETag or date is kept beside it and sent as If-Range (RFC 9110, 13.1.5).
"""

from __future__ import annotations

import errno
import http.client
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from alphapose_ros import __version__
from alphapose_ros.base.errors import ConfigError, WeightsError

Progress = Callable[[int, int], object]  # bytes that are here, bytes of the whole or 0

_BLOCK = 1 << 16
_MOST_BYTES = 4 << 30  # of what nobody knows the size of; the largest known file has a tenth of it
_DIGITS = 18  # of a size in bytes; Python reads no number of thousands
_WEB_PAGE = (b"<!doctype html", b"<html")


@dataclass(frozen=True)
class Transfer:
    """What is brought where.

    Attributes:
        address: http or https; from https, no redirection leads elsewhere.
        target: where the whole file belongs; the partial one lies beside it.
        web_page: what a person opens in a browser where the server sends no file; may be empty.
        size_bytes: of the file; 0 where unknown.
        timeout_s: longest silence of the server, s.
        attempts: how often a connection is made before what is cut is given up.
    """

    address: str
    target: Path
    web_page: str = ""
    size_bytes: int = 0
    timeout_s: float = 30.0
    attempts: int = 3

    def __post_init__(self) -> None:
        if not _is_address(self.address):
            raise ConfigError(f"expected an http or https address, got {self.address!r}")
        if self.attempts < 1:
            raise ConfigError(f"attempts: expected at least 1, got {self.attempts}")

    @property
    def partial(self) -> Path:
        """What has come so far."""
        return self.target.with_name(f"{self.target.name}.partial")

    @property
    def origin(self) -> Path:
        """Address and version of what the partial file holds the start of."""
        return self.partial.with_name(f"{self.partial.name}.from")


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and text.isascii()


class _CutError(Exception):
    """The rest did not come, or did not fit; another attempt may bring it."""


class _Redirections(urllib.request.HTTPRedirectHandler):
    """None out of https: of a file whose hash nobody knows, only TLS says that it is the one."""

    def redirect_request(
        self, req: urllib.request.Request, *args: Any
    ) -> urllib.request.Request | None:
        """The next request; ``args`` ends with its address."""
        address: str = args[-1]
        if urlsplit(req.full_url).scheme == "https" != urlsplit(address).scheme:
            raise urllib.error.URLError(f"sent from https to {address}")
        return super().redirect_request(req, *args)


def transfer(job: Transfer, on_progress: Progress | None = None) -> Path:
    """Bring the file; the path of the whole partial file.

    What has come is kept when the connection is cut or the process interrupted, and goes when it
    is of no use.

    Raises:
        WeightsError: refused, cut too often, another size, a web page, or no room on the disk.
    """
    for _ in range(job.attempts):
        try:
            _attempt(job, on_progress or (lambda done, total: None))
        except _CutError as error:
            problem = error
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
            discard(job)
            raise WeightsError(f"{job.target}: no space left on the disk") from error
        else:
            return job.partial
    raise WeightsError(f"{job.address}: {problem}; run the same command again")


def discard(job: Transfer) -> None:
    """Remove what has come."""
    for path in (job.partial, job.origin):
        path.unlink(missing_ok=True)


def _attempt(job: Transfer, on_progress: Progress) -> None:
    version, start = _kept(job)
    headers = {"User-Agent": f"alphapose_ros/{__version__}"}
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": version}
    response = _open(job, headers)
    if response is None:
        return
    with response:
        if response.headers.get_content_type() == "text/html":
            raise _refused_page(job)
        if start and response.status != http.client.PARTIAL_CONTENT:
            start = 0  # the server sends no parts, or the file is another one now
        total = _total(response, start)
        if start and (_version(response) not in ("", version) or not _begins_at(response, start)):
            discard(job)
            raise _CutError("the server changed the file while it was fetched")
        if job.size_bytes and total and total != job.size_bytes:
            discard(job)
            raise WeightsError(
                f"{job.address}: expected {job.size_bytes} bytes, the server has {total}"
            )
        check_space(job.target, total - start)
        if not start:
            job.origin.write_text(f"{job.address}\n{_version(response)}\n", encoding="utf-8")
        _receive(job, response, (start, total), on_progress)


def _open(job: Transfer, headers: dict[str, str]) -> http.client.HTTPResponse | None:
    """The answer; None where all had come already and only the rest of it was asked for."""
    request = urllib.request.Request(job.address, headers=headers)  # noqa: S310 (checked above)
    opener = urllib.request.build_opener(_Redirections)  # each reads the proxies' variables anew
    try:
        response: http.client.HTTPResponse = opener.open(request, timeout=job.timeout_s)
        return response
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            if error.headers.get("Content-Range") == f"bytes */{job.partial.stat().st_size}":
                return None
            discard(job)
            raise _CutError("the server has less than what had come") from error
        problem = f"the server answers {error.code} {error.reason}"
    except urllib.error.URLError as error:
        problem = f"cannot be reached ({error.reason})"
    except (OSError, http.client.HTTPException, ValueError) as error:  # sent to no address
        problem = f"cannot be reached ({error or type(error).__name__})"
    problem = " ".join(problem.split())  # Python's own word on endless redirections has lines
    by_hand = f" (in a browser: {job.web_page})" if job.web_page else ""
    raise WeightsError(
        f"{job.address}: {problem}; a file that was fetched by hand{by_hand} belongs at "
        f"{job.target}"
    )


def _receive(
    job: Transfer,
    response: http.client.HTTPResponse,
    extent: tuple[int, int],
    on_progress: Progress,
) -> None:
    done, total = extent
    most = job.size_bytes or total or _MOST_BYTES
    with job.partial.open("ab" if done else "wb") as file:
        while block := _read(response, done, total):
            if done == 0 and block.lstrip().lower().startswith(_WEB_PAGE):
                discard(job)
                raise _refused_page(job)
            done += len(block)
            if done > most:
                discard(job)
                known = "" if job.size_bytes else "at most "
                raise WeightsError(f"{job.address}: expected {known}{most} bytes, got more")
            file.write(block)
            on_progress(done, total)
    if done < total:
        raise _CutError(f"the connection was cut after {done} of {total} bytes")
    if job.size_bytes and done != job.size_bytes:
        discard(job)
        raise WeightsError(f"{job.address}: expected {job.size_bytes} bytes, got {done}")


def _read(response: http.client.HTTPResponse, done: int, total: int) -> bytes:
    try:
        return response.read1(_BLOCK)
    except (OSError, http.client.HTTPException) as error:
        after = f"{done} of {total} bytes" if total else f"{done} bytes"
        raise _CutError(f"the connection was cut after {after} ({error!r})") from error


def _kept(job: Transfer) -> tuple[str, int]:
    """Version and length of a start that can be continued, else nothing."""
    if not (job.partial.is_file() and job.origin.is_file()):
        return "", 0
    note = job.origin.read_text(encoding="utf-8", errors="replace")
    address, version, *_ = [*note.split("\n"), "", ""]
    sendable = version.isascii() and version.isprintable()  # what no header takes is no version
    if address != job.address or not version or not sendable:
        return "", 0
    return version, job.partial.stat().st_size


def _version(response: http.client.HTTPResponse) -> str:
    """What If-Range takes: a strong ETag, else the date."""
    etag: str = response.headers.get("ETag", "")
    return (
        etag if etag and not etag.startswith("W/") else response.headers.get("Last-Modified", "")
    )


def _total(response: http.client.HTTPResponse, start: int) -> int:
    length = response.headers.get("Content-Length", "")
    if not length.isdecimal():
        return 0
    return start + (int(length) if len(length) <= _DIGITS else 10**_DIGITS)


def _begins_at(response: http.client.HTTPResponse, start: int) -> bool:
    found = re.match(rf"bytes (\d{{1,{_DIGITS}}})-", response.headers.get("Content-Range", ""))
    return found is not None and int(found[1]) == start


def _refused_page(job: Transfer) -> WeightsError:
    why, what = "a network's login page, perhaps", "fetch the file by hand"
    if job.web_page:
        why = "Google Drive asks first, or the file's quota is used up"
        what = f"open {job.web_page} in a browser"
    return WeightsError(
        f"{job.address}: expected a file, got a web page ({why}); {what} and put it at "
        f"{job.target}"
    )


def check_space(path: Path, needed: int) -> None:
    """See beforehand whether ``needed`` more bytes fit beside ``path``.

    Raises:
        WeightsError: they do not.
    """
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise WeightsError(f"{path}: expected {needed} bytes of free space, got {free}")
