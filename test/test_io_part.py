# SPDX-License-Identifier: Apache-2.0
"""Texts written at once: whole or as before, and where the path leads."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from alphapose_ros.io import part


def no_room(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_text_replaces_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "o.json"
    for text in ("first", "2"):
        part.write_text(path, text)
        assert path.read_text() == text
    assert [entry.name for entry in tmp_path.iterdir()] == ["o.json"]


def test_a_text_is_written_through_a_link(tmp_path: Path) -> None:
    """The link stays, whether what it leads to is there or not yet."""
    target, link = tmp_path / "target.json", tmp_path / "link.json"
    link.symlink_to(target)
    for text in ("first", "2"):
        part.write_text(link, text)
        assert link.is_symlink()
        assert target.read_text() == text


@pytest.mark.parametrize("mode", ["w", "a"])
@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_what_is_written_and_what_is_printed_share_one_file(
    tmp_path: Path, name: str, mode: str
) -> None:
    """``--json /dev/stdout > file``: as in a pipe, one behind the other."""
    script = (
        "import sys\n"
        f"sys.path.insert(0, {str(Path(part.__file__).parents[2])!r})\n"
        "from pathlib import Path\n"
        "from alphapose_ros.io.part import GrowingFile, write_text\n"
        "def say(text):\n"
        f"    print(text, file=sys.{name}, flush=True)\n"
        f"place = Path('/dev/{name}')\n"
        "say('begun')\n"
        "file = GrowingFile(place, place)\n"
        "file.append(b'one\\n')\n"
        "say('between')\n"
        "file.append(b'two\\n')\n"
        "file.close()\n"
        "write_text(place, 'three\\n')\n"
        "say('ended')\n"
    )
    path = tmp_path / "o.txt"
    path.write_text("before\n")
    with path.open(mode) as file:
        subprocess.run([sys.executable, "-c", script], check=True, **{name: file})
    before = ["before"] * (mode == "a")
    lines = path.read_text().splitlines()
    assert lines == [*before, "begun", "one", "between", "two", "three", "ended"]


def test_a_text_goes_into_a_pipe(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    heard: list[bytes | None] = []
    os.mkfifo(pipe)
    # Opened for both, so that neither side waits for the other where the pipe is replaced.
    reader = os.fdopen(os.open(pipe, os.O_RDWR), "rb", buffering=0)
    listening = threading.Thread(target=lambda: heard.append(reader.read(4)), daemon=True)
    listening.start()
    part.write_text(pipe, "text")
    assert pipe.is_fifo()
    listening.join(10)
    assert heard == [b"text"]
    reader.close()


@pytest.mark.parametrize("linked", [False, True])
def test_a_full_disk_removes_only_a_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, linked: bool
) -> None:
    target, link = tmp_path / "target.json", tmp_path / "link.json"
    target.write_text("of before")
    link.symlink_to(target)
    monkeypatch.setattr(os, "pwrite", no_room)
    path = link if linked else target
    with pytest.raises(OSError, match="No space left") as caught:
        part.write_text(path, "text")
    assert caught.value.filename == str(path)
    assert {entry.name for entry in tmp_path.iterdir()} == {"target.json", "link.json"}
    assert link.is_symlink()
    assert target.read_text() == ("" if linked else "of before")
