# SPDX-License-Identifier: Apache-2.0
"""Archives give the one file that is wanted, or leave nothing and say why."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
from file_server import FileServer, Served
from registry_cases import archive_model, names, refused, sha, zipped

from alphapose_ros.base.errors import WeightsError
from alphapose_ros.registry import download
from alphapose_ros.registry.download import fetch
from alphapose_ros.registry.store import recorded_hash


def test_only_the_named_file_of_an_archive_is_unpacked(
    server: FileServer, cache: Path, content: bytes
) -> None:
    archive = zipped(
        **{"x/y/end2end.onnx": content, "../../evil": b"e", "/evil": b"e", "x/pipeline.json": b""}
    )
    server.files["/kit.zip"] = Served(archive, cuts=[len(archive) // 2])
    path = fetch(archive_model(server))
    assert path.read_bytes() == content
    assert names(cache) == ["net.onnx", "net.onnx.sha256"]
    assert recorded_hash(path) == sha(content)
    assert not list(cache.parent.rglob("evil"))


def test_a_name_that_climbs_out_still_lands_in_the_cache(
    server: FileServer, cache: Path, content: bytes
) -> None:
    server.files["/kit.zip"] = Served(zipped(**{"../../../end2end.onnx": content}))
    assert fetch(archive_model(server)) == cache / "net.onnx"
    assert names(cache) == ["net.onnx", "net.onnx.sha256"]
    assert names(cache.parent) == ["cache"]


def damaged(archive: bytes, offset: int) -> bytes:
    """A byte of the packed content turned."""
    place = archive.index(b"end2end.onnx") + offset
    return archive[:place] + bytes([archive[place] ^ 255]) + archive[place + 1 :]


def test_unusable_archives_leave_nothing(server: FileServer, cache: Path, content: bytes) -> None:
    good = zipped(**{"x/end2end.onnx": content})
    for archive, match in (
        (zipped(other=content), r"kit.zip.partial: expected one end2end.onnx inside, got 0"),
        (zipped(**{"a/end2end.onnx": b"1", "b/end2end.onnx": b"2"}), "inside, got 2"),
        (good[:-100], "not a usable zip archive"),
        (good[: len(good) // 2], "not a usable zip archive"),
        (damaged(good, 200), "not a usable zip archive: Bad CRC"),
        (damaged(zipped(**{"end2end.onnx": b"net " * 9999}), 14), "not a usable zip archive: E"),
        (content, "not a usable zip archive"),
    ):
        server.files["/kit.zip"] = Served(archive)
        refused(archive_model(server), match)
        assert names(cache) == [], match


def test_an_archive_packed_in_a_rare_way_is_refused(
    server: FileServer, cache: Path, content: bytes
) -> None:
    server.files["/kit.zip"] = Served(zipped(zipfile.ZIP_BZIP2, **{"end2end.onnx": content}))
    refused(archive_model(server), "expected end2end.onnx to be stored or deflated, got method 12")
    server.files["/kit.zip"] = Served(zipped(zipfile.ZIP_STORED, **{"end2end.onnx": content}))
    assert fetch(archive_model(server)).read_bytes() == content


def test_altered_archives_raise_nothing_else(
    server: FileServer, cache: Path, rng: np.random.Generator
) -> None:
    good = zipped(**{"x/end2end.onnx": rng.bytes(200) + b"net" * 50})
    cache.mkdir()
    unusable = 0
    for _ in range(400):
        bad = bytearray(good)
        for place in rng.integers(0, len(bad), int(rng.integers(1, 5))):
            bad[place] = rng.integers(256)
        (cache / "kit.zip").write_bytes(bad)
        try:
            fetch(archive_model(server)).unlink()
        except WeightsError:
            unusable += 1
        assert set(names(cache)) <= {"kit.zip", "net.onnx.sha256"}
    assert unusable > 200
    assert server.requests == []


def test_a_wrong_hash_of_what_was_unpacked_leaves_nothing(
    server: FileServer, cache: Path, content: bytes
) -> None:
    server.files["/kit.zip"] = Served(zipped(**{"end2end.onnx": content}))
    refused(archive_model(server, sha256="0" * 64), "net.onnx: refused, expected SHA-256 0000")
    assert names(cache) == []


def test_a_bomb_is_not_unpacked(
    server: FileServer, cache: Path, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "_LARGEST_MEMBER", 299_999)
    server.files["/kit.zip"] = Served(zipped(**{"end2end.onnx": content}))
    refused(archive_model(server), "expected at most 299999 bytes of end2end.onnx, got 300000")
    assert names(cache) == []


def test_an_archive_put_there_by_hand_needs_no_network(
    server: FileServer, cache: Path, content: bytes
) -> None:
    cache.mkdir()
    (cache / "kit.zip").write_bytes(zipped(**{"end2end.onnx": content}))
    assert fetch(archive_model(server)).read_bytes() == content
    assert server.requests == []
    assert "kit.zip" in names(cache)  # it is the user's
