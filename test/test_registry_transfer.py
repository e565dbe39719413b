# SPDX-License-Identifier: Apache-2.0
"""Whatever the server does: a file comes whole, or a start of it is kept, or nothing is."""

from __future__ import annotations

import socket
from pathlib import Path
from urllib.request import Request

import numpy as np
import pytest
from file_server import FileServer, Served
from registry_cases import model, names, refused, sha

from alphapose_ros.base.errors import ConfigError, WeightsError
from alphapose_ros.registry import download, transfer
from alphapose_ros.registry import spec as spec_module
from alphapose_ros.registry.download import FetchOptions, fetch

ONCE = FetchOptions(attempts=1)
PARTIAL = ["net.bin.partial", "net.bin.partial.from"]


def test_without_a_length_the_size_is_found_at_the_end(
    server: FileServer, cache: Path, content: bytes
) -> None:
    server.files["/a/net.bin"] = Served(content, length=False)
    assert fetch(model(server, size_bytes=len(content))).read_bytes() == content


def test_a_cut_connection_is_continued(server: FileServer, cache: Path, content: bytes) -> None:
    server.files["/a/net.bin"] = Served(content, cuts=[100_000, 100_000])
    assert fetch(model(server)).read_bytes() == content
    assert [r.range for r in server.requests] == [None, "bytes=100000-", "bytes=200000-"]
    assert [r.if_range for r in server.requests] == [None, '"one"', '"one"']
    assert names(cache) == ["net.bin", "net.bin.sha256"]


def test_the_next_command_goes_on_where_the_last_one_stopped(
    server: FileServer, cache: Path, content: bytes
) -> None:
    server.files["/a/net.bin"] = Served(content, cuts=[123_456])
    refused(model(server), r"cut after 123456 of 300000 bytes.*run the same command again", ONCE)
    assert names(cache) == PARTIAL
    fetch(model(server))
    assert server.requests[-1].range == "bytes=123456-"
    assert (cache / "net.bin").read_bytes() == content
    assert names(cache) == ["net.bin", "net.bin.sha256"]


def test_any_cuts_give_the_same_bytes(
    server: FileServer, cache: Path, rng: np.random.Generator
) -> None:
    for _ in range(15):
        content = rng.bytes(int(rng.integers(1, 200_000)))
        cuts = rng.integers(0, len(content) // 2 + 1, int(rng.integers(0, 5))).tolist()
        kinds = {"ranges": bool(rng.integers(2)), "etag": str(rng.choice(["", '"e"', 'W/"e"']))}
        server.files["/a/net.bin"] = Served(content, cuts=[*cuts], **kinds)
        options = FetchOptions(attempts=len(cuts) + 1)
        path = fetch(model(server), options)
        assert path.read_bytes() == content
        assert names(cache) == ["net.bin", "net.bin.sha256"]
        path.unlink()


def test_a_server_without_parts_starts_over(
    server: FileServer, cache: Path, content: bytes
) -> None:
    server.files["/a/net.bin"] = Served(content, cuts=[100_000], ranges=False)
    assert fetch(model(server)).read_bytes() == content
    assert [r.status for r in server.requests] == [200, 200]


@pytest.mark.parametrize("honest", [True, False])
def test_parts_of_two_versions_are_not_glued(
    server: FileServer, cache: Path, content: bytes, honest: bool
) -> None:
    server.files["/a/net.bin"] = Served(content, cuts=[100_000])
    refused(model(server), "cut after", ONCE)
    other = content[::-1]
    server.files["/a/net.bin"] = Served(other, etag='"two"', honest=honest)
    assert fetch(model(server)).read_bytes() == other
    assert names(cache) == ["net.bin", "net.bin.sha256"]


def test_a_part_of_elsewhere_is_not_glued(server: FileServer, cache: Path, content: bytes) -> None:
    server.files["/a/net.bin"] = Served(content, cuts=[100_000], part_from=90_000)
    assert fetch(model(server)).read_bytes() == content
    assert [r.range for r in server.requests] == [None, "bytes=100000-", None]


def test_a_weak_tag_vouches_for_nothing_and_the_date_does(
    server: FileServer, cache: Path, content: bytes
) -> None:
    date = "Tue, 01 Mar 2022 10:00:00 GMT"
    for modified, expected in (("", None), (date, "bytes=100000-")):
        server.files["/a/net.bin"] = Served(
            content, etag='W/"one"', modified=modified, cuts=[100_000]
        )
        fetch(model(server)).unlink()
        assert server.requests[-1].range == expected
        assert server.requests[-1].if_range == (modified or None)


def test_the_start_of_another_address_is_not_used(
    server: FileServer, cache: Path, content: bytes
) -> None:
    server.files["/a/net.bin"] = Served(content, cuts=[100_000])
    server.files["/b/net.bin"] = Served(content[::-1])
    refused(model(server), "cut after", ONCE)
    path = fetch(model(server, url=f"{server.address}/b/net.bin"))
    assert path.read_bytes() == content[::-1]
    assert server.requests[-1].range is None


def test_a_file_that_became_shorter_starts_over(
    server: FileServer, cache: Path, content: bytes
) -> None:
    server.files["/a/net.bin"] = Served(content, cuts=[100_000])
    refused(model(server), "cut after", ONCE)
    server.files["/a/net.bin"] = Served(content[:50_000], honest=False)
    assert fetch(model(server)).read_bytes() == content[:50_000]


def test_a_wrong_size_without_a_length_leaves_nothing(
    server: FileServer, cache: Path, content: bytes
) -> None:
    server.files["/a/net.bin"] = Served(content, length=False)
    refused(model(server, size_bytes=300_001), "expected 300001 bytes, got 300000")
    assert names(cache) == []


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_refusal_says_where_a_file_fetched_by_hand_belongs(
    server: FileServer, cache: Path, status: int
) -> None:
    server.files["/a/net.bin"] = Served(b"", status=status)
    refused(model(server), f"answers {status} .*by hand belongs at {cache / 'net.bin'}")
    assert names(cache) == []


def test_a_server_that_is_not_there_is_one_line(server: FileServer, cache: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    refused(model(server, url=f"{nobody}/net.bin"), "cannot be reached.*refused.*belongs at")
    assert names(cache) == []


def test_a_redirection_is_followed_and_continued(
    server: FileServer, cache: Path, content: bytes
) -> None:
    server.files["/a/net.bin"] = Served(b"", redirection=f"{server.address}/store?key=1")
    server.files["/store?key=1"] = Served(content, cuts=[100_000])
    assert fetch(model(server)).read_bytes() == content
    assert [r.range for r in server.requests if r.path != "/a/net.bin"] == [None, "bytes=100000-"]
    server.files["/store?key=1"].redirection = f"{server.address}/a/net.bin"
    (cache / "net.bin").unlink()
    refused(model(server), "the server answers 302 .*infinite loop")


def test_no_redirection_leads_out_of_https(
    server: FileServer, cache: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = transfer._Redirections.redirect_request

    def from_https(self: transfer._Redirections, req: Request, *args: object) -> object:
        req.full_url = "https://publisher.invalid/net.bin"
        return real(self, req, *args)

    server.files["/a/net.bin"] = Served(b"", redirection=f"{server.address}/b")
    server.files["/b"] = Served(content)
    monkeypatch.setattr(transfer._Redirections, "redirect_request", from_https)
    refused(model(server), r"cannot be reached \(sent from https to http://127.*/b\)")
    assert names(cache) == []


def test_a_proxy_is_asked(
    server: FileServer, cache: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.address)
    server.files["http://nowhere.invalid/net.bin"] = Served(content)
    spec = model(server, url="http://nowhere.invalid/net.bin", sha256=sha(content))
    assert fetch(spec).read_bytes() == content


def test_a_silent_server_is_given_up(server: FileServer, cache: Path, content: bytes) -> None:
    server.files["/a/net.bin"] = Served(content, cuts=[100_000], stall=True)
    refused(model(server), "cut after 100000 of 300000", FetchOptions(timeout_s=0.2, attempts=1))
    assert names(cache) == PARTIAL


PAGE = b"\n<!DOCTYPE html><html><title>Google Drive - Quota exceeded</title></html>"


@pytest.mark.parametrize(
    ("page", "kind"),
    [(b"<head>sign in", "text/html; charset=utf-8"), (PAGE, "application/octet-stream")],
)
def test_a_web_page_is_no_file(
    server: FileServer, cache: Path, page: bytes, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files["/a/net.bin"] = Served(page, content_type=kind)
    refused(model(server), "expected a file, got a web page .*login page")
    assert names(cache) == []
    monkeypatch.setattr(spec_module, "_DRIVE", server.address + "/drive?id={}")
    server.files["/drive?id=1aB"] = Served(page, content_type=kind)
    refused(
        model(server, url="", drive_id="1aB"),
        r"quota.*open https://drive.google.com/file/d/1aB/view in a browser and .* at .*net\.bin",
    )
    assert names(cache) == []


def test_a_file_of_google_drive_comes(
    server: FileServer, cache: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spec_module, "_DRIVE", server.address + "/drive?id={}")
    server.files["/drive?id=1aB"] = Served(content, etag="")
    assert fetch(model(server, url="", drive_id="1aB")).read_bytes() == content


def test_an_interrupted_fetch_keeps_what_came(
    server: FileServer, cache: Path, content: bytes
) -> None:
    def interrupt(done: int, total: int) -> None:
        if done > 100_000:
            raise KeyboardInterrupt

    server.files["/a/net.bin"] = Served(content)
    with pytest.raises(KeyboardInterrupt):
        fetch(model(server), on_progress=interrupt)
    assert names(cache) == PARTIAL
    came = (cache / "net.bin.partial").stat().st_size
    assert came > 100_000
    assert fetch(model(server)).read_bytes() == content
    assert server.requests[-1].range == f"bytes={came}-"


def test_a_fetch_interrupted_at_its_end_brings_nothing_twice(
    server: FileServer, cache: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(path: Path) -> str:
        raise KeyboardInterrupt

    server.files["/a/net.bin"] = Served(content)
    with monkeypatch.context() as patch:
        patch.setattr(download, "sha256_of", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fetch(model(server))
    assert names(cache) == PARTIAL
    assert fetch(model(server)).read_bytes() == content
    assert [r.status for r in server.requests] == [200, 416]
    assert names(cache) == ["net.bin", "net.bin.sha256"]


@pytest.mark.parametrize("address", [
    "file:///etc/passwd", "ftp://host/x", "net.bin", "http://", "https://[::1", "https://hö.st/x",
])  # fmt: skip
def test_other_kinds_of_addresses_are_refused(
    server: FileServer, cache: Path, address: str
) -> None:
    with pytest.raises(ConfigError, match="expected an http or https address"):
        fetch(model(server, url=address))
    assert names(cache) == []


# ---- servers that mean no good


def test_a_body_without_end_is_cut_at_the_size_that_is_known(
    server: FileServer, cache: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    came: list[int] = []
    server.files["/a/net.bin"] = Served(bytes(20_000_000), length=False)
    spec = model(server, size_bytes=5, sha256=sha(content))
    with pytest.raises(WeightsError, match="expected 5 bytes, got more"):
        fetch(spec, on_progress=lambda done, total: came.append(done))
    assert sum(came) < 100_000
    assert names(cache) == []
    monkeypatch.setattr(transfer, "_MOST_BYTES", 1_000_000)
    refused(model(server), "expected at most 1000000 bytes, got more")
    assert names(cache) == []


@pytest.mark.parametrize("address", ["http://[::1", "http://a..b/x", f"http://{'a' * 70}.b/"])
def test_a_redirection_to_no_address_is_one_line(
    server: FileServer, cache: Path, address: str
) -> None:
    server.files["/a/net.bin"] = Served(b"", redirection=address)
    refused(model(server), "cannot be reached")
    assert names(cache) == []


@pytest.mark.parametrize("digits", ["9" * 5000, "9" * 30], ids=len)
def test_a_length_that_no_disk_has_is_refused(
    server: FileServer, cache: Path, content: bytes, digits: str
) -> None:
    server.files["/a/net.bin"] = Served(content, length_text=digits)
    refused(model(server), r"net\.bin: expected \d+ bytes of free space")
    assert names(cache) == []


def test_a_part_that_begins_nowhere_is_not_glued(
    server: FileServer, cache: Path, content: bytes
) -> None:
    server.files["/a/net.bin"] = Served(content, cuts=[100_000], part_from_text="9" * 5000)
    assert fetch(model(server)).read_bytes() == content


@pytest.mark.parametrize(
    "note", [b"\xff\xfe\0", b"URL\n\xff\xfe\0\n", 'URL\n"\u20ac"\n'.encode(), b'URL\n"a\tb"\n']
)
def test_a_version_that_cannot_be_sent_starts_over(
    server: FileServer, cache: Path, content: bytes, note: bytes
) -> None:
    server.files["/a/net.bin"] = Served(content)
    spec = model(server)
    cache.mkdir()
    (cache / "net.bin.partial").write_bytes(b"he")
    (cache / "net.bin.partial.from").write_bytes(note.replace(b"URL", spec.url.encode()))
    assert fetch(spec).read_bytes() == content
    assert [r.range for r in server.requests] == [None]


def test_a_tag_beyond_ascii_is_not_sent_back(
    server: FileServer, cache: Path, content: bytes
) -> None:
    server.files["/a/net.bin"] = Served(content, etag='"\xe9"', cuts=[100_000])
    assert fetch(model(server)).read_bytes() == content
    assert [r.range for r in server.requests] == [None, None]
