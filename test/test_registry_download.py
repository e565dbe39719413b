# SPDX-License-Identifier: Apache-2.0
"""Downloads end verified and in their place, or leave the cache as it was."""

from __future__ import annotations

import dataclasses
import fcntl
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from file_server import FileServer, Served
from registry_cases import archive_model, model, names, refused, sha, zipped

from alphapose_ros.base.errors import AlphaPoseError, ConfigError
from alphapose_ros.registry import download, transfer
from alphapose_ros.registry.download import FetchOptions, fetch
from alphapose_ros.registry.spec import Beside
from alphapose_ros.registry.store import recorded_hash, state_of


def test_a_file_comes_whole_and_its_hash_is_recorded(
    server: FileServer, cache: Path, content: bytes
) -> None:
    server.files["/a/net.bin"] = Served(content)
    seen: list[tuple[int, int]] = []
    path = fetch(model(server), on_progress=lambda *step: seen.append(step))
    assert path == cache / "net.bin"
    assert path.read_bytes() == content
    assert path.stat().st_mode & 0o044 == 0o044
    assert names(cache) == ["net.bin", "net.bin.sha256"]
    assert recorded_hash(path) == sha(content)
    assert seen == sorted(seen)
    assert seen[-1] == (len(content), len(content))
    assert server.requests[0].range is None


def test_a_model_of_two_files_is_both_or_nothing(
    server: FileServer, cache: Path, content: bytes
) -> None:
    weights = content[::-1]
    beside = Beside(f"{server.address}/a/net.weights", len(weights), sha(weights))
    spec = model(server, sha256=sha(content), size_bytes=len(content), beside=beside)
    server.files["/a/net.weights"] = Served(weights)
    refused(spec, "the server answers 404")
    assert names(cache) == ["net.weights"]
    assert state_of(spec) == "not fetched"
    server.files["/a/net.bin"] = Served(content)
    assert fetch(spec) == cache / "net.bin"
    assert names(cache) == ["net.bin", "net.weights"]
    assert state_of(spec) == "cached"
    assert [request.path for request in server.requests] == [
        "/a/net.weights", "/a/net.bin", "/a/net.bin"
    ]  # fmt: skip
    (cache / "net.weights").write_bytes(content)
    server.files["/a/net.weights"] = Served(content)
    refused(spec, "net.weights: refused, expected SHA-256")
    (cache / "net.weights").unlink()
    assert state_of(spec) == "not fetched"


def test_the_record_is_sha256sums(server: FileServer, cache: Path, content: bytes) -> None:
    if shutil.which("sha256sum") is None:
        pytest.skip("no sha256sum here")
    server.files["/a/net.bin"] = Served(content)
    fetch(model(server))
    subprocess.run(["sha256sum", "--check", "--quiet", "net.bin.sha256"], cwd=cache, check=True)


def test_where_the_hash_is_known_nothing_is_recorded(
    server: FileServer, cache: Path, content: bytes
) -> None:
    server.files["/a/net.bin"] = Served(content)
    fetch(model(server, sha256=sha(content), size_bytes=len(content)))
    assert names(cache) == ["net.bin"]


def test_an_empty_file_is_a_file(server: FileServer, cache: Path) -> None:
    server.files["/a/net.bin"] = Served(b"")
    assert fetch(model(server)).read_bytes() == b""
    assert names(cache) == ["net.bin", "net.bin.sha256"]


@pytest.mark.parametrize(
    ("known", "match"),
    [
        ({"sha256": "0" * 64}, "refused, expected SHA-256 0{64}, got [0-9a-f]{64}"),
        ({"sha256_prefix": "zz"}, "begins with zz, got"),
        ({"size_bytes": 5}, "expected 5 bytes, the server has 300000"),
    ],
)
def test_another_file_is_refused_and_leaves_nothing(
    server: FileServer, cache: Path, content: bytes, known: dict[str, object], match: str
) -> None:
    server.files["/a/net.bin"] = Served(content)
    refused(model(server, **known), match)
    assert names(cache) == []


def test_the_right_first_digits_are_accepted_and_the_rest_recorded(
    server: FileServer, cache: Path, content: bytes
) -> None:
    server.files["/a/net.bin"] = Served(content)
    path = fetch(model(server, sha256_prefix=sha(content)[:8]))
    assert recorded_hash(path) == sha(content)


def test_a_sound_file_is_not_fetched_again(
    server: FileServer, cache: Path, content: bytes
) -> None:
    server.files["/a/net.bin"] = Served(content)
    assert fetch(model(server)) == fetch(model(server))
    assert len(server.requests) == 1


def test_a_sound_file_needs_no_lock(server: FileServer, cache: Path, content: bytes) -> None:
    """As in a cache that may only be read, where no lock file can be made."""
    cache.mkdir()
    (cache / "net.bin").write_bytes(content)
    (cache / "net.bin.lock").mkdir()
    assert fetch(model(server, sha256=sha(content))) == cache / "net.bin"
    refused(model(server, sha256="0" * 64), "net.bin.lock: Is a directory")
    assert server.requests == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_hash_that_cannot_be_recorded_leaves_nothing(
    server: FileServer, cache: Path, content: bytes
) -> None:
    server.files["/a/net.bin"] = Served(content)
    cache.mkdir()
    (cache / "net.bin.sha256.partial").symlink_to("/dev/full")
    refused(model(server), "No space left on device")
    assert names(cache) == []


def test_a_damaged_file_is_replaced_only_by_a_sound_one(
    server: FileServer, cache: Path, content: bytes
) -> None:
    spec = model(server, sha256=sha(content))
    cache.mkdir()
    (cache / "net.bin").write_bytes(b"damaged")
    refused(spec, "answers 404")
    assert (cache / "net.bin").read_bytes() == b"damaged"
    server.files["/a/net.bin"] = Served(content)
    assert fetch(spec).read_bytes() == content


def test_whoever_reads_the_old_file_reads_on(
    server: FileServer, cache: Path, content: bytes
) -> None:
    server.files["/a/net.bin"] = Served(content)
    cache.mkdir()
    (cache / "net.bin").write_bytes(b"damaged")
    with (cache / "net.bin").open("rb") as old:
        fetch(model(server, sha256=sha(content)))
        assert old.read() == b"damaged"


def test_threads_fetch_a_file_once(server: FileServer, cache: Path, content: bytes) -> None:
    server.files["/a/net.bin"] = Served(content)
    found: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: found.append(fetch(model(server)).read_bytes()))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [content] * 8
    assert len(server.requests) == 1
    assert names(cache) == ["net.bin", "net.bin.sha256"]


def test_a_lock_that_somebody_removed_locks_nobody_out_or_in(
    server: FileServer, cache: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waited for a removed lock file goes on to wait for the one that replaced it."""
    waiting = threading.Semaphore(0)
    monkeypatch.setattr(download._LOG, "info", lambda *args: waiting.release())
    server.files["/a/net.bin"] = Served(content)
    cache.mkdir()
    path = cache / "net.bin.lock"
    thread = threading.Thread(target=fetch, args=(model(server),))
    with path.open("w") as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        thread.start()
        assert waiting.acquire(timeout=30)
        path.unlink()
        with path.open("w") as second:
            fcntl.flock(second, fcntl.LOCK_EX)
            first.close()
            assert waiting.acquire(timeout=30)
            assert server.requests == []
            path.unlink()
    thread.join()
    assert len(server.requests) == 1
    assert names(cache) == ["net.bin", "net.bin.sha256"]


def test_processes_fetch_a_file_once(
    server: FileServer, cache: Path, content: bytes, root: Path
) -> None:
    server.files["/a/net.bin"] = Served(content)
    code = (
        "import sys; from alphapose_ros.registry.spec import ModelSpec; "
        "from alphapose_ros.registry.download import fetch; "
        "fetch(ModelSpec(name='net', task='pose', format='light', input_hw=(1, 1), licence='', "
        "file='net.bin', url=sys.argv[1]))"
    )
    argv = [sys.executable, "-c", code, f"{server.address}/a/net.bin"]
    processes = [subprocess.Popen(argv, cwd=root, env=dict(os.environ)) for _ in range(3)]
    fetch(model(server))
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert (cache / "net.bin").read_bytes() == content
    assert len(server.requests) == 1
    assert names(cache) == ["net.bin", "net.bin.sha256"]


def test_a_mirror_holds_files_and_archives_side_by_side(
    server: FileServer, cache: Path, content: bytes
) -> None:
    server.files["/m/net.bin"] = Served(content)
    server.files["/m/kit.zip"] = Served(zipped(**{"end2end.onnx": content}))
    for spec in (
        model(server, url="https://nowhere.invalid/net.bin"),
        model(server, url="", drive_id="1aB", file="net.bin"),
        archive_model(server, url="https://nowhere.invalid/a/kit.zip?x=1"),
    ):
        for slash in ("", "/"):
            path = fetch(spec, FetchOptions(mirror=f"{server.address}/m{slash}"))
            assert path.read_bytes() == content
            path.unlink()


def test_a_cache_that_cannot_be_written_is_one_line(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("ALPHAPOSE_ROS_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(AlphaPoseError, match="file/cache: Not a directory"):
        fetch(model(server))


def test_a_bundled_model_is_where_it_was(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(b"abc")
    bundled = dataclasses.replace(
        model(server, sha256=sha(b"abc")), url="", file=str(tmp_path / "w")
    )
    assert fetch(bundled) == tmp_path / "w"
    refused(dataclasses.replace(bundled, sha256="0" * 64), "expected SHA-256 000")


def test_a_fetch_that_may_not_even_try_is_refused(server: FileServer, cache: Path) -> None:
    with pytest.raises(ConfigError, match="attempts: expected at least 1, got 0"):
        fetch(model(server), FetchOptions(attempts=0))


def test_no_room_is_told_before_anything_comes(
    server: FileServer, cache: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")._replace(free=299_999)
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda path: usage)
    server.files["/a/net.bin"] = Served(content)
    refused(model(server), "expected 300000 bytes of free space, got 299999")
    server.files["/kit.zip"] = Served(zipped(**{"end2end.onnx": bytes(300_000)}))
    refused(archive_model(server), "expected 300000 bytes of free space, got 299999")
    assert names(cache) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_disk_that_fills_up_is_one_line(server: FileServer, cache: Path, content: bytes) -> None:
    cache.mkdir()
    (cache / "net.bin.partial").symlink_to("/dev/full")
    server.files["/a/net.bin"] = Served(content)
    refused(model(server), "net.bin: no space left on the disk")
    assert names(cache) == []
