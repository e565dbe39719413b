# SPDX-License-Identifier: Apache-2.0
"""Files that grow under another name: ``out.mcap.part`` becomes ``out.mcap`` when it is complete.

What a killed process leaves is a ``.part``: never taken for a complete file, never overwritten by
the next run, which counts on (``out.mcap.2.part``). A file of the final name is replaced only by
a complete one.
"""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path

from alphapose_ros.base.errors import InputError

SUFFIX = ".part"
DISK_FAULTS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


def part_names(path: Path, *, keep_suffix: bool = False) -> Iterator[Path]:
    """Names that ``path`` may grow under, in order of preference.

    Args:
        path: the final name.
        keep_suffix: for writers that choose the format by it: ``.out.part.mp4``, hidden, because
            nothing else keeps it from being taken for a video.
    """
    for number in count(1):
        middle = SUFFIX if number == 1 else f".{number}{SUFFIX}"
        if keep_suffix:
            yield path.with_name(f".{path.stem}{middle}{path.suffix}")
        else:
            yield path.with_name(path.name + middle)


def new_part_file(path: Path, *, keep_suffix: bool = False) -> Path:
    """Make the empty file that ``path`` grows as; nobody else has it."""

    def make(part: Path) -> None:
        part.open("xb").close()

    return _first_free(part_names(path, keep_suffix=keep_suffix), make)


def growing_place(path: Path) -> Path:
    """Where the bytes of ``path`` go until it is complete: a part of one's own.

    Pipes, devices and links are written in place.
    """
    return path if is_written_in_place(path) else new_part_file(path)


def is_written_in_place(path: Path) -> bool:
    """Whether it is a pipe, a device or a link: others wait for what comes at this very place."""
    return path.is_symlink() or (path.exists() and not path.is_file())


def new_part_folder(path: Path) -> Path:
    """Make the folder that ``path`` grows as; nobody else has it."""
    return _first_free(part_names(path), Path.mkdir)


def _first_free(names: Iterator[Path], make: Callable[[Path], None]) -> Path:
    for name in names:
        with suppress(FileExistsError):
            make(name)
            return name
    raise AssertionError("the names never end")


def settle(part: Path) -> None:
    """Wait until the bytes of a complete file or folder are on the disk."""
    for each in (*part.iterdir(), part) if part.is_dir() else (part,):
        _to_disk(each)


def publish(part: Path, path: Path) -> None:
    """Give a complete file or folder its name, once its bytes are on the disk."""
    settle(part)
    part.replace(path)
    _to_disk(path.parent)


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno in DISK_FAULTS:  # others: a file system that has no such thing
            raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write a file at once: it is there whole, or as it was before.

    Pipes, devices and links are written in place.

    Raises:
        OSError: the disk is full or broken, the folder cannot be written; it names ``path``.
    """
    part = growing_place(path)
    try:
        file = GrowingFile(part, path)
        try:
            file.append(text.encode())
        finally:
            file.close()
        if part != path:
            publish(part, path)
    except BaseException:  # a signal too: half a text helps nobody
        if part != path:
            part.unlink(missing_ok=True)
        raise


def _printing_to(path: Path) -> int | None:
    """The descriptor of standard output or error, where it leads to this very file."""
    with suppress(OSError):  # not there yet
        found = path.stat()
        for descriptor in (1, 2) if stat.S_ISREG(found.st_mode) else ():
            with suppress(OSError):  # closed
                if os.path.samestat(found, os.fstat(descriptor)):
                    return descriptor
    return None


class GrowingFile:
    """A file that is whole at every moment: each piece is appended as one, or not at all.

    Nothing is buffered, so that a killed process loses at most the piece it was appending.

    Args:
        path: an empty file of one's own, or a pipe or device to write to, standard output too.
        name: of the output in errors; a user knows this one.

    Attributes:
        size: bytes that count.
    """

    def __init__(self, path: Path, name: Path) -> None:
        self._name = str(name)
        self.size = 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        # "/dev/stdout" of "> file", opened anew, would have an end of its own: what is printed
        # and what is written would lie over each other.
        printing = _printing_to(path)
        self._descriptor: int | None = (
            os.open(path, flags, 0o666) if printing is None else os.dup(printing)
        )
        self._regular = path.is_file() and printing is None

    def append(self, data: bytes) -> None:
        """Add ``data`` at the end.

        Raises:
            OSError: the disk is full or broken; the file ends before ``data``.
        """
        offset, rest = self.size, memoryview(data)
        try:
            while rest:
                written = (
                    os.pwrite(self._open(), rest, offset)
                    if self._regular
                    else os.write(self._open(), rest)
                )
                offset, rest = offset + written, rest[written:]
        except OSError as error:
            self.cut()
            raise OSError(error.errno, error.strerror, self._name) from error
        self.size = offset

    def patch(self, offset: int, data: bytes) -> None:
        """Write over bytes that are there.

        Raises:
            OSError: the disk is broken.
        """
        try:
            os.pwrite(self._open(), data, offset)
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._name) from error

    def cut(self) -> None:
        """Remove what an append that failed has left behind the last whole piece."""
        with suppress(OSError):  # a full or broken disk; readers stop at the last whole piece
            if self._regular and self._descriptor is not None:
                os.ftruncate(self._descriptor, self.size)

    def close(self) -> None:
        """Give it back; closing twice is allowed."""
        if self._descriptor is not None:
            self.cut()
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def _open(self) -> int:
        if self._descriptor is None:
            raise InputError(f"{self._name}: already closed")
        return self._descriptor


def write_json(path: Path, content: object) -> None:
    """Write indented JSON as :func:`write_text` does: it is there whole, or as it was before.

    Raises:
        OSError: as :func:`write_text`.
    """
    write_text(path, json.dumps(content, indent=2) + "\n")
