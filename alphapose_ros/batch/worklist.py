# SPDX-License-Identifier: Apache-2.0
"""Which recordings the inputs of a batch name, and how each is recognised later."""

from __future__ import annotations

import glob
import hashlib
import os
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from alphapose_ros.base.errors import InputError
from alphapose_ros.base.paths import expanded
from alphapose_ros.io.sources import (
    BAG_SUFFIXES,
    IMAGE_SUFFIXES,
    is_camera_index,
    natural_key,
)

VIDEO_SUFFIXES = {
    ".avi", ".flv", ".m2ts", ".m4v", ".mjpeg", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts",
    ".ogv", ".ts", ".webm", ".wmv",
}  # fmt: skip
SETTINGS_FILE = "batch.json"  # marks a folder of results, which is never an input
_LIST_SUFFIX = ".txt"
_LONGEST_STEM = 80


@dataclass(frozen=True)
class Recording:
    """A bag, a video or a folder of images, as it was when the batch began.

    Attributes:
        name: of its results: the file's stem and a part of its path's hash, so that it is its own
            whatever else the batch holds.
        path: absolute.
        size: bytes, of all files of a folder but hidden ones and results of batches.
        mtime_ns: of the newest file.
    """

    name: str
    path: str
    size: int
    mtime_ns: int

    @classmethod
    def at(cls, path: Path) -> Recording:
        """The recording that lies there."""
        path = Path(os.path.abspath(path))  # noqa: PTH100 (resolve() would follow links)
        states = [file.stat() for file in ([path] if path.is_file() else _files_in(path))]
        return cls(
            name_of(path),
            str(path),
            sum(state.st_size for state in states),
            max((state.st_mtime_ns for state in states), default=0),
        )


def _files_in(folder: Path) -> Iterator[Path]:
    """What a recording consists of; results may lie in it, and change with every batch."""
    for parent, folders, files in os.walk(folder):
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".") and not _is_results(Path(parent, name))
        ]
        visible = (Path(parent, name) for name in files if not name.startswith("."))
        yield from (path for path in visible if path.is_file())


def name_of(path: Path) -> str:
    """The name of a recording's results, from its absolute path."""
    stem = path.name if path.is_dir() else path.stem
    readable = re.sub(r"[^\w.-]+", "_", stem, flags=re.ASCII).strip("._-")[:_LONGEST_STEM]
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:8]
    return f"{readable or 'recording'}-{digest}"


def find_recordings(inputs: Sequence[str]) -> list[Recording]:
    """All recordings that ``inputs`` name, each once by whatever links, in natural order.

    Args:
        inputs: recordings; folders, searched with their sub-folders for bags and videos (one with
            neither but with images in it is itself a recording); patterns (``**/*.mcap``); lists,
            ``.txt`` files with one of these a line, relative to the list.

    Raises:
        InputError: something does not exist, is live, or nothing was found.
    """
    paths = {
        os.path.abspath(path)  # noqa: PTH100
        for text in inputs
        for path in _expanded(text)
    }
    if not paths:
        raise InputError(f"no bag or video in {', '.join(inputs)}")
    own: dict[str, str] = {}
    for path in sorted(paths, key=lambda path: (_links_in(path), natural_key(path))):
        own.setdefault(os.path.realpath(path), path)
    return [Recording.at(Path(path)) for path in sorted(own.values(), key=natural_key)]


def _links_in(path: str) -> int:
    """How many a path goes through: where one such as ``latest`` leads to changes."""
    return sum(each.is_symlink() for each in (Path(path), *Path(path).parents))


def _expanded(text: str) -> Iterator[Path]:
    path = expanded(text)
    if path.suffix.lower() == _LIST_SUFFIX and path.is_file():
        for line in _lines(path):
            yield from _named(line)
    else:
        yield from _named(text)


def _named(text: str) -> Iterable[Path]:
    """The recordings of one path or pattern."""
    path = expanded(text)
    if path.is_dir():
        return _inside(path)
    if path.exists():
        return [path]
    if glob.has_magic(text):
        found = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207 (of any anchor)
        if found:
            return [inner for each in found for inner in _matched(Path(each))]
        raise InputError(f"{text}: nothing matches the pattern")
    if is_camera_index(text) or "://" in text or text.startswith("/dev/"):
        raise InputError(f"{text}: expected recordings, a live source has no end")
    raise InputError(f"{text}: no such file or folder")


def _matched(path: Path) -> Iterable[Path]:
    """What a pattern meant: folders are searched, files of other kinds were not meant."""
    if path.is_dir():
        return _search(path) or (_image_folder(path) if not _is_results(path) else [])
    known = BAG_SUFFIXES | VIDEO_SUFFIXES
    if (path.parent / "metadata.yaml").is_file() or _is_results(path.parent.parent):
        return []  # the bag is the folder; poses are no recording
    return [path] if path.suffix.lower() in known else []


def _inside(folder: Path) -> Iterable[Path]:
    found = _search(folder) or _image_folder(folder)
    if not found:
        raise InputError(f"{folder}: no bag or video in it or below it")
    return found


def _search(folder: Path) -> list[Path]:
    """Bags and videos in and below a folder; hidden ones and results of batches are left out.

    Links are followed last: what they lead to goes by its own path where that is searched too.
    """
    found: list[Path] = []
    seen: set[str] = set()
    waiting = deque([folder])
    while waiting:
        path = waiting.popleft()
        own = os.path.realpath(path)
        if own in seen:
            continue
        seen.add(own)
        if not path.is_dir() or (path / "metadata.yaml").is_file():
            found.append(path)
        elif not _is_results(path):
            for inner in _searched(path):
                (waiting.append if inner.is_symlink() else waiting.appendleft)(inner)
    return found


def _searched(folder: Path) -> Iterator[Path]:
    """Of what is in a folder, the folders, bags and videos."""
    for path in sorted(folder.iterdir()):
        known = path.suffix.lower() in BAG_SUFFIXES | VIDEO_SUFFIXES
        if not path.name.startswith(".") and (path.is_dir() or known):
            yield path


def _image_folder(folder: Path) -> list[Path]:
    has_images = any(path.suffix.lower() in IMAGE_SUFFIXES for path in folder.iterdir())
    return [folder] if has_images else []


def _is_results(folder: Path) -> bool:
    return (folder / SETTINGS_FILE).is_file()


def _lines(path: Path) -> Iterator[str]:
    """The entries of a list; empty lines and those that begin with ``#`` are left out."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: expected a list of paths, this is no text") from error
    for line in lines:
        entry = line.strip()
        if entry and not entry.startswith("#"):
            yield str(path.parent / expanded(entry))
